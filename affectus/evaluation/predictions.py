"""What a model said of clips whose emotion is known, and the table it is written as."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectus.errors import EvaluationError
from affectus.files import replacing
from affectus.metrics import scale_scores

_FACTS = ("clip_id", "fold", "speaker", "truth", "prediction")
FIRST_NOTE = "right"  # the first of the columns that may follow the labels: see `write`


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

    def scaled(self, temperatures: Mapping[str, float]) -> Predictions:
        """Return the predictions with each fold's logits divided by its temperature, if it has one.

        What is predicted stays; only how sure it is changes.
        """
        scores = self.scores.copy()
        folds = np.asarray(self.folds)
        for fold, temperature in temperatures.items():
            own = folds == fold
            scores[own] = scale_scores(scores[own], temperature)
        return replace(self, scores=scores)

    def take(self, rows: NDArray[np.intp]) -> Predictions:
        """Return the predictions of some rows, in that order."""
        names = [(self.clip_ids[i], self.speakers[i], self.folds[i]) for i in rows]
        clip_ids, speakers, folds = zip(*names, strict=True) if names else ((), (), ())
        return Predictions(
            self.labels, clip_ids, speakers, folds, self.truth[rows], self.scores[rows]
        )

    def write(self, path: Path | str, notes: Mapping[str, Sequence[object]] | None = None) -> None:
        """Write a CSV: clip_id, fold, speaker, truth, prediction, one column a label.

        `notes` are further columns, the first called 'right': for people; `read` passes them over.
        Scores are written in full, so `read` returns the same. Complete or not at all: a temporary
        file is renamed at the end.
        """
        notes = notes or {}
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*_FACTS, *self.labels, *notes))
        facts = zip(self.clip_ids, self.folds, self.speakers, strict=True)
        beyond = zip(*notes.values(), strict=True) if notes else ((),) * len(self)
        for row, true, said, scores, more in zip(
            facts, self.truth, self.prediction, self.scores, beyond, strict=True
        ):
            cells = (repr(float(s)) for s in scores)
            writer.writerow((*row, self.labels[true], self.labels[said], *cells, *more))
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
        width = header.index(FIRST_NOTE) if FIRST_NOTE in header else len(header)
        labels = header[len(_FACTS) : width]
        known = header[: len(_FACTS)] == _FACTS and len(set(labels)) == len(labels) >= 2
        if not known or len(rows) < 2:
            raise EvaluationError(
                f"{path}: columns {', '.join(header) or 'none'}; expected "
                f"{', '.join(_FACTS)} and one for each label, and rows."
            )
        truth, scores = [], []
        for line, row in enumerate(rows[1:], 2):
            try:
                if len(row) != len(header):
                    raise ValueError(f"{len(row)} cells; expected {len(header)}")
                said, found = _read_row(row[:width], labels)
            except ValueError as error:
                raise EvaluationError(f"{path}:{line}: {error}.") from None
            truth.append(said)
            scores.append(found)
        columns = list(zip(*(row[:3] for row in rows[1:]), strict=True))
        return cls(labels, columns[0], columns[2], columns[1], np.array(truth), np.array(scores))


def _read_row(row: Sequence[str], labels: Sequence[str]) -> tuple[int, list[float]]:
    """Return a row's truth and scores; ValueError says what is wrong with it."""
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
