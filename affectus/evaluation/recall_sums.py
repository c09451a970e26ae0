"""Hits and clips by class: what a UAR needs of each speaker, where a hit may be a share of one.

A model's hit is 1 or 0; a clip's raters hit with the share of them who chose the label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sum_recalls(
    cell: NDArray[np.intp], n_cells: int, truth: NDArray[np.intp], hits: Floats, k: int
) -> Floats:
    """Return hits and clips by class of each cell, a speaker or a speaker in a group: [C, K, 2]."""
    index = cell * k + truth
    columns = [
        np.bincount(index, weights=weights, minlength=n_cells * k)
        for weights in (hits, np.ones(len(truth)))
    ]
    return np.stack(columns, axis=-1).astype(np.float64).reshape(n_cells, k, 2)


def mean_recall(sums: NDArray[np.generic]) -> Floats:
    """Return the UAR from hits and clips by class, [..., K, 2], over the classes with clips."""
    hits, n = np.asarray(sums[..., 0], np.float64), np.asarray(sums[..., 1], np.float64)
    there = n > 0
    recalls = np.divide(hits, n, out=np.zeros_like(hits), where=there)
    count = there.sum(-1)
    nothing = np.full(count.shape, np.nan)
    found: Floats = np.divide(recalls.sum(-1), count, out=nothing, where=count > 0)
    return found


def share_right(sums: NDArray[np.generic]) -> Floats:
    """Return the WAR from hits and clips by class, [..., K, 2]."""
    total = np.asarray(sums, np.float64).sum(-2)
    found: Floats = total[..., 0] / total[..., 1]
    return found
