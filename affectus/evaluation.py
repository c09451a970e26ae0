"""Predictions to an evaluation: scores with intervals by speaker, groups, confusion, calibration.

Numpy only: whoever has a table of scores can judge it here, whatever made it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.errors import EvaluationError
from affectus.files import replacing
from affectus.manifest import Clip, Manifest
from affectus.metrics import Interval

_FACTS = ("clip_id", "fold", "speaker", "truth", "prediction")
GROUPED_BY = ("sex", "intensity", "sentence", "corpus", "language")
_FEW_CLIPS = 20  # in a class or group: its figure says little
_FEW_SPEAKERS = 10
_ROUNDING = 0.01  # how far the scores of a clip may sum from 1, where they were written rounded


@dataclass(frozen=True)
class Predictions:
    """What a model said of clips whose emotion is known.

    `scores` is [N, K] float64, rows summing to 1, columns in the order of `labels`; `truth` is [N]
    label indices. `speakers` and `folds` name each clip's speaker and the fold that answered it.
    """

    labels: tuple[str, ...]
    clip_ids: tuple[str, ...]
    speakers: tuple[str, ...]
    folds: tuple[str, ...]
    truth: NDArray[np.intp]
    scores: NDArray[np.float64]

    @property
    def prediction(self) -> NDArray[np.intp]:
        """The label index with the largest score, [N]."""
        best: NDArray[np.intp] = self.scores.argmax(1)
        return best

    def __len__(self) -> int:
        return len(self.clip_ids)

    def write(self, path: Path | str) -> None:
        """Write a CSV: clip_id, fold, speaker, truth, prediction, one column a label.

        Scores are written in full, so `read` returns the same. Complete or not at all: a temporary
        file is renamed at the end.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*_FACTS, *self.labels))
        facts = zip(self.clip_ids, self.folds, self.speakers, strict=True)
        for row, true, said, scores in zip(
            facts, self.truth, self.prediction, self.scores, strict=True
        ):
            writer.writerow(
                (*row, self.labels[true], self.labels[said], *(repr(float(s)) for s in scores))
            )
        with replacing(Path(path)) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="")

    @classmethod
    def read(cls, path: Path | str) -> Predictions:
        """Read a CSV written by `write`, or made elsewhere in the same form.

        Raises EvaluationError naming the line at fault.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            rows = list(csv.reader(io.StringIO(text, newline="")))
        except OSError as error:
            raise EvaluationError(f"{path}: {error.strerror}; expected predictions.") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise EvaluationError(f"{path}: {error}; expected a CSV in UTF-8.") from None
        header = tuple(rows[0]) if rows else ()
        labels = header[len(_FACTS) :]
        known = header[: len(_FACTS)] == _FACTS and len(set(labels)) == len(labels) >= 2
        if not known or len(rows) < 2:
            raise EvaluationError(
                f"{path}: columns {', '.join(header) or 'none'}; expected "
                f"{', '.join(_FACTS)} and one for each label, and rows."
            )
        truth, scores = [], []
        for line, row in enumerate(rows[1:], 2):
            try:
                said, found = _read_row(row, header)
            except ValueError as error:
                raise EvaluationError(f"{path}:{line}: {error}.") from None
            truth.append(said)
            scores.append(found)
        columns = list(zip(*(row[:3] for row in rows[1:]), strict=True))
        return cls(labels, columns[0], columns[2], columns[1], np.array(truth), np.array(scores))


def _read_row(row: Sequence[str], header: Sequence[str]) -> tuple[int, list[float]]:
    """Return a row's truth and scores; ValueError says what is wrong with it."""
    if len(row) != len(header):
        raise ValueError(f"{len(row)} cells; expected {len(header)}")
    labels = header[len(_FACTS) :]
    for what, label in (("truth", row[3]), ("prediction", row[4])):
        if label not in labels:
            raise ValueError(f"{what} is '{label}'; expected one of {', '.join(labels)}")
    scores = [float(cell) for cell in row[len(_FACTS) :]]
    said = labels.index(row[4])
    if scores[said] < max(scores):
        best = labels[scores.index(max(scores))]
        raise ValueError(f"prediction is '{row[4]}'; expected '{best}', which has the best score")
    return labels.index(row[3]), scores


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Pool the predictions of folds. Raises EvaluationError if labels differ."""
    if len({part.labels for part in parts}) != 1:
        raise EvaluationError("predictions to be pooled have different labels; expected the same.")
    clip_ids = tuple(clip_id for part in parts for clip_id in part.clip_ids)
    return Predictions(
        parts[0].labels,
        clip_ids,
        tuple(speaker for part in parts for speaker in part.speakers),
        tuple(fold for part in parts for fold in part.folds),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


class ClassScore(msgspec.Struct, frozen=True):
    """One label: how many clips have it, and its recall, precision and F1 (None: undefined)."""

    label: str
    n: int
    recall: float | None
    precision: float | None
    f1: float | None


class GroupScore(msgspec.Struct, frozen=True):
    """The clips that share a trait (sex female): how many clips and speakers, and their UAR."""

    by: str
    name: str
    n: int
    n_speakers: int
    uar: Interval


class Mistake(msgspec.Struct, frozen=True):
    """A clip that was answered wrong, and with what score."""

    clip_id: str
    truth: str
    prediction: str
    score: float


class Evaluation(msgspec.Struct, frozen=True):
    """A judgement that can be defended: scores, what they rest on, and what limits them.

    `n_planned` clips were to be answered, `n_answered` were. Intervals are 95 %, by bootstrap over
    speakers. `protocol` holds name, version, text and whether it leaks; `cautions` say in words
    what a reader must know before comparing.
    """

    name: str
    side: str
    labels: tuple[str, ...]
    scheme: str
    protocol: dict[str, Any]
    n_planned: int
    n_answered: int
    n_speakers: int
    uar: Interval
    war: Interval
    macro_f1: Interval
    ece: float
    nll: float
    confusion: list[list[int]]
    classes: list[ClassScore]
    groups: list[GroupScore]
    speakers: list[GroupScore]
    mistakes: list[Mistake]
    cautions: list[str]
    provenance: dict[str, Any]

    @property
    def n_present(self) -> int:
        """How many labels have clips: the UAR is the mean over these."""
        return sum(score.n > 0 for score in self.classes)

    @property
    def chance(self) -> float:
        """The UAR of an answer that never depends on the clip: 1 / labels that have clips."""
        return 1 / self.n_present


def evaluate_predictions(
    predictions: Predictions,
    manifest: Manifest,
    *,
    name: str,
    side: str,
    scheme: str,
    protocol: Mapping[str, Any],
    n_planned: int | None = None,
    cautions: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge pooled predictions.

    `manifest` gives the traits to group by. `n_planned` is how many clips should have been
    answered; all of them by default. `seed` draws the bootstrap.

    Raises EvaluationError for no predictions, scores that are not finite or no probabilities, or
    an unknown clip.
    """
    clips = _find_clips(predictions, manifest)
    k = len(predictions.labels)
    truth, said = predictions.truth, predictions.prediction
    confusion = metrics.confusion_matrix(truth, said, k)
    _, by_speaker = metrics.confusions_by_group(truth, said, predictions.speakers, k)
    known_speakers = all(predictions.speakers)
    scores = {
        metric.__name__: metrics.speaker_interval(
            metric, by_speaker if known_speakers else confusion[None], seed=seed
        )
        for metric in (metrics.uar, metrics.war, metrics.macro_f1)
    }
    planned = len(predictions) if n_planned is None else n_planned
    found = Evaluation(
        name=name,
        side=side,
        labels=predictions.labels,
        scheme=scheme,
        protocol=dict(protocol),
        n_planned=planned,
        n_answered=len(predictions),
        n_speakers=len(by_speaker) if known_speakers else 0,
        **scores,
        ece=metrics.expected_calibration_error(truth, predictions.scores),
        nll=metrics.negative_log_likelihood(truth, predictions.scores),
        confusion=confusion.tolist(),
        classes=_class_scores(predictions.labels, confusion),
        groups=_group_scores(predictions, clips, seed),
        speakers=_scores_by("speaker", predictions.speakers, predictions, seed)
        if known_speakers
        else [],
        mistakes=_mistakes(predictions),
        cautions=[],
        provenance=dict(provenance or {}),
    )
    return msgspec.structs.replace(found, cautions=[*cautions, *_cautions(found)])


def _find_clips(predictions: Predictions, manifest: Manifest) -> list[Clip]:
    if not len(predictions):
        raise EvaluationError("no predictions; expected some. Train, then evaluate again.")
    if not np.isfinite(predictions.scores).all():
        bad = int((~np.isfinite(predictions.scores).all(1)).argmax())
        raise EvaluationError(
            f"the scores of clip '{predictions.clip_ids[bad]}' are not finite; expected numbers. "
            f"Train again."
        )
    improbable = (predictions.scores < 0).any(1) | (abs(predictions.scores.sum(1) - 1) > _ROUNDING)
    if improbable.any():
        bad = int(improbable.argmax())
        raise EvaluationError(
            f"the scores of clip '{predictions.clip_ids[bad]}' are "
            f"{', '.join(f'{score:.4g}' for score in predictions.scores[bad])}; expected "
            f"probabilities, which sum to 1. Give those, not logits."
        )
    answered = set(zip(predictions.folds, predictions.clip_ids, strict=True))
    if len(answered) < len(predictions):
        raise EvaluationError("a fold answered a clip twice; expected once. Train again.")
    known = {clip.clip_id: clip for clip in manifest}
    unknown = [clip_id for clip_id in predictions.clip_ids if clip_id not in known]
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} clips are not in the manifest (the first: {unknown[0]}); expected "
            f"the manifest that was trained on."
        )
    return [known[clip_id] for clip_id in predictions.clip_ids]


def _class_scores(labels: Sequence[str], confusion: metrics.Matrix) -> list[ClassScore]:
    columns = (
        metrics.recalls(confusion),
        metrics.precisions(confusion),
        metrics.f1_scores(confusion),
    )
    return [
        ClassScore(label, int(n), *(None if np.isnan(value) else float(value) for value in row))
        for label, n, row in zip(labels, confusion.sum(1), zip(*columns, strict=True), strict=True)
    ]


def _group_scores(predictions: Predictions, clips: Sequence[Clip], seed: int) -> list[GroupScore]:
    found = []
    for by in GROUPED_BY:
        names = [str(getattr(clip, by)) for clip in clips]
        if len(set(names)) > 1 and all(names):
            found += _scores_by(by, names, predictions, seed)
    return found


def _scores_by(
    by: str, names: Sequence[str], predictions: Predictions, seed: int
) -> list[GroupScore]:
    """Return the UAR within each group, over the classes that the group has."""
    said, k = predictions.prediction, len(predictions.labels)
    group, speakers = np.asarray(names), np.asarray(predictions.speakers)
    found = []
    for name in np.unique(group):
        inside = group == name
        truth, answers, voices = predictions.truth[inside], said[inside], speakers[inside].tolist()
        n_speakers = 0
        confusions = metrics.confusion_matrix(truth, answers, k)[None]
        if all(voices):
            _, confusions = metrics.confusions_by_group(truth, answers, voices, k)
            n_speakers = len(confusions)
        interval = metrics.speaker_interval(metrics.uar, confusions, n_draws=2_000, seed=seed)
        found.append(GroupScore(by, str(name), int(inside.sum()), n_speakers, interval))
    return found


def _mistakes(predictions: Predictions, most: int = 25) -> list[Mistake]:
    """Return the most confident wrong answers."""
    said = predictions.prediction
    wrong = np.flatnonzero(said != predictions.truth)
    sure = predictions.scores[wrong, said[wrong]]
    return [
        Mistake(
            predictions.clip_ids[i],
            predictions.labels[predictions.truth[i]],
            predictions.labels[said[i]],
            round(float(predictions.scores[i, said[i]]), 4),
        )
        for i in wrong[np.argsort(-sure, kind="stable")[:most]]
    ]


def _cautions(found: Evaluation) -> list[str]:
    """Say what makes these figures weaker or not comparable."""
    texts = []
    if found.protocol.get("leaky"):
        texts.append(
            "LEAKY: the same speakers are in training and in this side, or the very clips are in "
            "that of the encoder. The score says how well known voices are recognised; it must not "
            "be compared with speaker-independent ones."
        )
    if found.side == "dev":
        texts.append(
            "These are dev clips: the epoch was chosen on them, so the score is optimistic."
        )
    if found.n_answered < found.n_planned:
        texts.append(
            f"{found.n_planned - found.n_answered:,} of {found.n_planned:,} clips got no answer."
        )
    empty = [c.label for c in found.classes if c.n == 0]
    if empty:
        texts.append(f"No clip is {', '.join(empty)}: UAR is the mean over the other classes.")
    few = [f"{c.label} ({c.n})" for c in found.classes if 0 < c.n < _FEW_CLIPS]
    if few:
        texts.append(f"Classes with fewer than {_FEW_CLIPS} clips: {', '.join(few)}.")
    if found.n_speakers == 0:
        texts.append("Speakers are not known: no interval can be given.")
    elif found.n_speakers < _FEW_SPEAKERS:
        texts.append(f"Only {found.n_speakers} speakers: the interval itself is uncertain.")
    if found.uar.value > 0.995 and found.n_answered >= 50:
        texts.append("Nearly perfect. Real speech is not: look for a leak before believing it.")
    predicted = [c.label for c in found.classes if c.precision is not None]
    if len(predicted) == 1:
        texts.append(f"Every answer is {predicted[0]}: the model has learnt nothing.")
    return texts
