"""Where it goes wrong: the surest mistakes, labels taken for each other, notes on each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.audit.listening import Heard, Progress, Refused, listen
from affectus.evaluation.predictions import FIRST_NOTE, Predictions
from affectus.evaluation.results import Confused, Mistake
from affectus.manifest import Clip, Manifest
from affectus.metrics import Interval

_NAMED = 3  # clips of each pair of labels

Sounds = Mapping[str, Heard | Refused]


class ErrorRate(msgspec.Struct, frozen=True):
    """The share of wrong answers among clips that sound alike in one way: seconds 1.2 to 2.9."""

    by: str
    name: str
    n: int
    n_wrong: int
    wrong: Interval


def find_mistakes(predictions: Predictions, most: int | None = 25) -> list[Mistake]:
    """Return the most confident wrong answers, the surest first; all of them for None."""
    said, labels = predictions.prediction, predictions.labels
    wrong = np.flatnonzero(said != predictions.truth)
    sure = predictions.scores[wrong, said[wrong]]
    return [
        Mistake(
            predictions.clip_ids[i],
            predictions.speakers[i],
            labels[predictions.truth[i]],
            labels[said[i]],
            round(float(predictions.scores[i, said[i]]), 4),
        )
        for i in wrong[np.argsort(-sure, kind="stable")[:most]]
    ]


def find_confused(predictions: Predictions, most: int = 8) -> list[Confused]:
    """Return the pairs of labels with the largest share of a label's clips, the largest first."""
    said, labels, k = predictions.prediction, predictions.labels, len(predictions.labels)
    confusion = metrics.confusion_matrix(predictions.truth, said, k)
    n = confusion.sum(1)
    pairs = [(i, j) for i in range(k) for j in range(k) if i != j and confusion[i, j]]
    pairs.sort(key=lambda pair: (-confusion[pair] / n[pair[0]], -confusion[pair]))
    found = []
    for i, j in pairs[:most]:
        rows = np.flatnonzero((predictions.truth == i) & (said == j))
        surest = rows[np.argsort(-predictions.scores[rows, j], kind="stable")[:_NAMED]]
        count = int(confusion[i, j])
        names = [predictions.clip_ids[row] for row in surest]
        found.append(Confused(labels[i], labels[j], count, count / int(n[i]), names))
    return found


def annotate(
    predictions: Predictions, clips: Sequence[Clip], sounds: Sounds | None = None
) -> dict[str, list[object]]:
    """Return further columns for a table of predictions: what a person wants beside each answer.

    `sounds` are those of `affectus.audit.listening.listen`; without them nothing is said of the
    sound.
    """
    said, rows = predictions.prediction, np.arange(len(predictions))
    ordered = np.argsort(-predictions.scores, axis=1, kind="stable")
    notes: dict[str, list[object]] = {
        FIRST_NOTE: ["yes" if right else "no" for right in said == predictions.truth],
        "confidence": [round(float(s), 4) for s in predictions.scores[rows, said]],
        "second": [predictions.labels[i] for i in ordered[:, 1]],
        "rank_of_truth": [
            int(place) + 1 for place in (ordered == predictions.truth[:, None]).argmax(1)
        ],
        "file": [clip.file for clip in clips],
    }
    for name in ("corpus", "sex", "age", "ethnicity", "language", "intensity", "sentence"):
        values = [getattr(clip, name) for clip in clips]
        if any(values):
            notes[name] = list(values)
    if any(clip.votes for clip in clips):
        notes["votes"] = [
            " ".join(f"{emotion}:{n}" for emotion, n in (clip.votes or {}).items())
            for clip in clips
        ]
    if sounds is not None:
        heard = [sounds.get(clip.clip_id) for clip in clips]
        facts = [sound if isinstance(sound, Heard) else None for sound in heard]
        notes["seconds"] = [round(fact.seconds, 3) if fact else "" for fact in facts]
        notes["level_db"] = [round(fact.level, 1) if fact else "" for fact in facts]
        notes["sound_warnings"] = [
            "; ".join(fact.warnings) if fact else sound.text if isinstance(sound, Refused) else ""
            for fact, sound in zip(facts, heard, strict=True)
        ]
    return notes


def error_rates(
    predictions: Predictions, clips: Sequence[Clip], sounds: Sounds, seed: int = 0
) -> list[ErrorRate]:
    """Return how often clips of each third in length and in loudness are answered wrong.

    Clips that could not be heard are left out of their thirds.
    """
    wrong = predictions.prediction != predictions.truth
    facts = [sounds.get(clip.clip_id) for clip in clips]
    found = []
    for by, unit, name in (("length", "s", "seconds"), ("level", "dB", "level")):
        values = np.array(
            [getattr(fact, name) if isinstance(fact, Heard) else np.nan for fact in facts]
        )
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 3:
            continue
        order = known[np.argsort(values[known], kind="stable")]
        for rows in np.array_split(order, 3):
            span = f"{values[rows[0]]:.1f} to {values[rows[-1]]:.1f} {unit}"
            speakers = np.asarray(predictions.speakers)[rows]
            found.append(_rate(by, span, wrong[rows], speakers, seed))
    return found


def _rate(
    by: str, name: str, wrong: NDArray[np.bool_], speakers: NDArray[np.str_], seed: int
) -> ErrorRate:
    interval = metrics.mean_interval(wrong, speakers, seed=seed)
    return ErrorRate(by, name, len(wrong), int(wrong.sum()), interval)


def explain_errors(
    path: Path,
    manifest: Manifest,
    *,
    most: int = 25,
    on_progress: Progress = lambda heard, total: None,
) -> tuple[list[Mistake], list[ErrorRate]]:
    """Hear every clip of a file of predictions and note its sound there.

    Returns the surest mistakes, and how often clips of each third in length and loudness are
    wrong. Recordings that are gone are noted as such; nothing is played or copied.
    """
    predictions = Predictions.read(path)
    known = {clip.clip_id: clip for clip in manifest}
    clips = [known[clip_id] for clip_id in predictions.clip_ids]
    sounds = listen(clips, on_progress=on_progress)
    predictions.write(path, annotate(predictions, clips, sounds))
    return find_mistakes(predictions, most), error_rates(predictions, clips, sounds)
