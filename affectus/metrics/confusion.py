"""Scores from confusion matrices.

A confusion matrix [K, K] counts clips by truth (rows) and prediction (columns). Every function
takes any leading axes, so that ten thousand bootstrap draws are one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
Floats = NDArray[np.float64]


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
