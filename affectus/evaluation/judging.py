"""Predictions to an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.emotions import LabelScheme
from affectus.errors import EvaluationError
from affectus.evaluation.cautions import write_cautions
from affectus.evaluation.groups import group_scores, scores_by
from affectus.evaluation.mistakes import find_confused, find_mistakes
from affectus.evaluation.predictions import Predictions
from affectus.evaluation.results import (
    Calibration,
    ClassScore,
    Control,
    Evaluation,
    LeftOut,
    Selected,
)
from affectus.evaluation.targets import read_ratings, target_scores
from affectus.manifest import Clip, Manifest

_ROUNDING = 0.01  # how far the scores of a clip may sum from 1, where they were written rounded
_N_BINS = 15
_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_N_POINTS = 100  # of the risk-coverage curve


def evaluate_predictions(
    predictions: Predictions,
    manifest: Manifest,
    *,
    name: str,
    side: str,
    scheme: LabelScheme | str,
    protocol: Mapping[str, Any],
    n_planned: int | None = None,
    adapted: bool = False,
    temperatures: Mapping[str, float] | None = None,
    left_out: Sequence[LeftOut] = (),
    cautions: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge pooled predictions.

    `manifest` gives the traits to group by. `scheme` is what became of the labels, or only words
    for it: raters' votes are then taken as they are. `n_planned` is how many clips should have been
    answered; all of them by default. `temperatures`, by fold, are applied to the scores; they must
    come from other speakers (`metrics.find_temperature`). `adapted` says that the features of each
    speaker were standardised by that speaker's own clips. `seed` draws the bootstrap.

    Raises EvaluationError for no predictions, scores that are not finite or no probabilities, or
    an unknown clip.
    """
    clips = _find_clips(predictions, manifest)
    raw, predictions = predictions, predictions.scaled(temperatures or {})
    k = len(predictions.labels)
    truth, said = predictions.truth, predictions.prediction
    confusion = metrics.confusion_matrix(truth, said, k)
    known_speakers = all(predictions.speakers)
    # Without their names all are one speaker, who has no interval.
    voices = np.asarray(predictions.speakers if known_speakers else [""] * len(predictions))
    _, by_speaker = metrics.confusions_by_group(truth, said, voices.tolist(), k)
    scores = {
        metric.__name__: metrics.speaker_interval(metric, by_speaker, seed=seed)
        for metric in (metrics.uar, metrics.war, metrics.macro_f1)
    }
    hits = metrics.top_hits(truth, predictions.scores)
    relabel: Callable[[str | None], str | None] = lambda label: label  # noqa: E731
    if isinstance(scheme, LabelScheme):
        relabel, scheme = scheme.label, scheme.describe()
    ratings = read_ratings(clips, predictions.labels, relabel)
    rater_hits = None if ratings is None else ratings.hits
    groups, gaps = group_scores(predictions, clips, rater_hits, seed)
    curve, area, selected = _selective(predictions)
    found = Evaluation(
        name=name,
        side=side,
        adapted=adapted,
        labels=predictions.labels,
        scheme=scheme,
        corpora=_count_corpora(clips),
        protocol=dict(protocol),
        n_planned=len(predictions) if n_planned is None else n_planned,
        n_answered=len(predictions),
        n_speakers=len(by_speaker) if known_speakers else 0,
        **scores,
        top2=metrics.mean_interval(hits, voices, seed=seed),
        calibration=_calibration(predictions, raw, voices, temperatures or {}, seed),
        control=_control(predictions, voices, float(scores["uar"].value), seed),
        confusion=confusion.tolist(),
        classes=_class_scores(predictions.labels, confusion, by_speaker, seed),
        groups=groups,
        gaps=gaps,
        speakers=scores_by("speaker", voices, predictions, rater_hits, seed)[0]
        if known_speakers
        else [],
        targets=[] if ratings is None else target_scores(predictions, ratings, seed),
        selected=selected,
        curve=curve,
        area=area,
        confused=find_confused(predictions),
        mistakes=find_mistakes(predictions),
        left_out=list(left_out),
        cautions=[],
        provenance=dict(provenance or {}),
    )
    return msgspec.structs.replace(found, cautions=[*cautions, *write_cautions(found)])


def _find_clips(predictions: Predictions, manifest: Manifest) -> list[Clip]:
    """Return the clip of each prediction; refuse predictions that cannot be judged."""
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


def _count_corpora(clips: Sequence[Clip]) -> dict[str, int]:
    names, counts = np.unique([clip.corpus for clip in clips], return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _class_scores(
    labels: Sequence[str], confusion: metrics.Matrix, by_speaker: metrics.Matrix, seed: int
) -> list[ClassScore]:
    columns = [
        [None if np.isnan(score.value) else score for score in scores]
        for scores in (
            metrics.speaker_intervals(metric, by_speaker, seed=seed)
            for metric in (metrics.recalls, metrics.precisions, metrics.f1_scores)
        )
    ]
    return [
        ClassScore(label, int(n), *row)
        for label, n, row in zip(labels, confusion.sum(1), zip(*columns, strict=True), strict=True)
    ]


def _calibration(
    predictions: Predictions,
    raw: Predictions,
    speakers: NDArray[np.str_],
    temperatures: Mapping[str, float],
    seed: int,
) -> Calibration:
    truth, scores = predictions.truth, predictions.scores
    _, index = np.unique(speakers, return_inverse=True)
    sums = metrics.calibration_sums(truth, scores, index, _N_BINS)
    before = {}
    if temperatures:
        before = {
            "ece": metrics.expected_calibration_error(truth, raw.scores, _N_BINS),
            "brier": metrics.brier_score(truth, raw.scores),
            "nll": metrics.negative_log_likelihood(truth, raw.scores),
        }
    return Calibration(
        ece=metrics.speaker_interval(metrics.calibration_gap, sums, seed=seed),
        brier=metrics.mean_interval(metrics.brier_losses(truth, scores), speakers, seed=seed),
        nll=metrics.mean_interval(metrics.log_losses(truth, scores), speakers, seed=seed),
        bins=metrics.calibration_bins(truth, scores, _N_BINS),
        temperatures={fold: round(value, 4) for fold, value in temperatures.items()},
        raw=before,
    )


def _control(
    predictions: Predictions, speakers: NDArray[np.str_], uar: float, seed: int
) -> Control:
    shuffled = metrics.permuted_uars(
        predictions.truth,
        predictions.prediction,
        speakers.tolist(),
        len(predictions.labels),
        seed=seed,
    )
    low, high = np.quantile(shuffled, [0.025, 0.975])
    reached = int((shuffled >= uar - 1e-12).sum())
    return Control(len(shuffled), float(shuffled.mean()), float(low), float(high), reached)


def _selective(
    predictions: Predictions,
) -> tuple[list[tuple[float, float]], float, list[Selected]]:
    """Return the risk-coverage curve, its area, and what remains at some coverages."""
    truth, said = predictions.truth, predictions.prediction
    confidence = predictions.scores.max(1)
    found = metrics.risk_coverage(said == truth, confidence)
    n = len(predictions)
    places = np.unique(np.ceil(np.linspace(1 / _N_POINTS, 1, _N_POINTS) * n).astype(int) - 1)
    points = [(float(found.coverage[i]), float(found.risk[i])) for i in places]
    order = np.argsort(-confidence, kind="stable")
    selected = []
    for coverage in _COVERAGES:
        count = max(1, round(coverage * n))
        kept = order[:count]
        confusion = metrics.confusion_matrix(truth[kept], said[kept], len(predictions.labels))
        selected.append(
            Selected(
                coverage,
                float(found.threshold[count - 1]),
                count,
                float(1 - found.risk[count - 1]),
                float(metrics.uar(confusion)),
            )
        )
    return points, found.area, selected
