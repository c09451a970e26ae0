"""Scores of a classifier, from confusion matrices; numpy only.

A confusion matrix [K, K] counts clips by truth (rows) and prediction (columns). Every function
takes any leading axes, so that ten thousand bootstrap draws are one call.

    UAR   unweighted average recall = UA = balanced accuracy: the mean of the classes' recalls
    WAR   weighted average recall = WA = accuracy: the share of clips that are right

A class without clips has no recall: it is NaN in `recalls`, and left out of the mean, never
counted as zero or as right. Who averages must say so; `Evaluation` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
Floats = NDArray[np.float64]
Metric = Callable[[NDArray[np.generic]], Floats]


class Interval(NamedTuple):
    """A score with its interval; `low` and `high` are None where none can be given."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Return `0.583 [0.521, 0.640]`."""
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def confusion_matrix(truth: NDArray[np.intp], prediction: NDArray[np.intp], k: int) -> Matrix:
    """Count clips by truth and prediction, both [N] label indices: [K, K]."""
    return np.bincount(truth * k + prediction, minlength=k * k).reshape(k, k)


def recalls(confusion: NDArray[np.generic]) -> Floats:
    """Return the recall of each class, [..., K]; NaN for a class without clips."""
    return _ratio(_diagonal(confusion), confusion.sum(-1))


def precisions(confusion: NDArray[np.generic]) -> Floats:
    """Return the precision of each class, [..., K]; NaN for a class that was never predicted."""
    return _ratio(_diagonal(confusion), confusion.sum(-2))


def f1_scores(confusion: NDArray[np.generic]) -> Floats:
    """Return the F1 of each class, [..., K]: 2 hits / (clips + predictions); NaN if neither is."""
    return _ratio(2 * _diagonal(confusion), confusion.sum(-1) + confusion.sum(-2))


def uar(confusion: NDArray[np.generic]) -> Floats:
    """Return the unweighted average recall over the classes that have clips."""
    return _mean(recalls(confusion))


def war(confusion: NDArray[np.generic]) -> Floats:
    """Return the share of clips that are right."""
    return _ratio(_diagonal(confusion).sum(-1), confusion.sum((-1, -2)))


def macro_f1(confusion: NDArray[np.generic]) -> Floats:
    """Return the mean F1 over the classes that have clips or predictions."""
    return _mean(f1_scores(confusion))


def expected_calibration_error(truth: NDArray[np.intp], scores: Floats, n_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, 0 to 1.

    `scores` is [N, K], rows summing to 1; the confidence is the largest. **Source:** Guo et al.
    (2017), "On Calibration of Modern Neural Networks", ICML, equation 3.
    """
    confidence = scores.max(1)
    right = scores.argmax(1) == truth
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(truth))


def negative_log_likelihood(truth: NDArray[np.intp], scores: Floats) -> float:
    """Return the mean of -log(score of the true class), in nats; scores below 1e-12 count so."""
    return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)).mean())


def speaker_interval(
    metric: Metric,
    confusions: NDArray[np.generic],
    *,
    n_draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a metric with its percentile-bootstrap interval over speakers.

    `confusions` is [S, K, K], one matrix a speaker. Clips of a speaker are alike, so speakers are
    drawn, not clips; an interval over clips would be far too narrow. With fewer than three
    speakers there is none.

    **Source:** Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 8
    (clusters) and 13 (percentiles).
    """
    value = float(metric(confusions.sum(0)))
    n_speakers = len(confusions)
    if n_speakers < 3:
        return Interval(value, None, None)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=n_draws)
    flat = confusions.reshape(n_speakers, -1).astype(np.float64)
    drawn = (weights @ flat).reshape(n_draws, *confusions.shape[1:])
    low, high = np.nanquantile(metric(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def confusions_by_group(
    truth: NDArray[np.intp], prediction: NDArray[np.intp], groups: Sequence[str], k: int
) -> tuple[tuple[str, ...], Matrix]:
    """Return the group names, sorted, and one confusion matrix for each: [G, K, K]."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    flat = (index * k + truth) * k + prediction
    counts = np.bincount(flat, minlength=len(names) * k * k)
    return tuple(str(name) for name in names), counts.reshape(len(names), k, k)


def _diagonal(confusion: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Floats:
    above = np.asarray(part, np.float64)
    below = np.asarray(whole, np.float64)
    return np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0)


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis, NaN left out; NaN where nothing is left."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0.0).sum(-1), there.sum(-1))
