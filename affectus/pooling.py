"""The arithmetic of late fusion: the pool of scores, and weights of highest likelihood."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FLOOR = 1e-7  # a score of 0 would be a veto
_PRIOR = 1.0  # how much weights are drawn to the plain mean: as much as a dev clip or two


def pool(logs: Floats, weights: Floats) -> Floats:
    """Return the fused scores [N, K] of logarithms of scores [M, N, K] by weights [M]."""
    logits = np.tensordot(weights, logs, 1)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    scores: Floats = powers / powers.sum(1, keepdims=True)
    return scores


def fit_weights(logs: Floats, truth: NDArray[np.intp]) -> Floats:
    """Return the weights [M], none below 0, that make the labels `truth` [N] likeliest.

    `logs` are logarithms of scores [M, N, K]. A small prior draws the weights to the plain mean,
    1 / M each, so that they stay finite where every clip is answered rightly. The problem is
    convex: the best of all sets of runs whose weights come out above 0 is the answer.
    """
    best, least = np.zeros(len(logs)), np.inf
    for chosen in sets_of(len(logs)):
        weights = np.zeros(len(logs))
        weights[list(chosen)] = _newton(logs[list(chosen)], truth, 1 / len(logs))
        loss = _loss(logs, truth, weights, 1 / len(logs))
        if (weights >= 0).all() and loss < least:
            best, least = weights, loss
    return best


def _loss(logs: Floats, truth: NDArray[np.intp], weights: Floats, centre: float) -> float:
    right = pool(logs, weights)[np.arange(len(truth)), truth]
    return float(-np.log(right).sum() + _PRIOR / 2 * ((weights - centre) ** 2).sum())


def _newton(logs: Floats, truth: NDArray[np.intp], centre: float) -> Floats:
    """Return the weights of the least loss, of any sign: Newton's steps, halved while too long."""
    weights = np.full(len(logs), centre)
    for _ in range(100):
        scores = pool(logs, weights)
        mean = np.einsum("nk,mnk->mn", scores, logs)
        right = logs[:, np.arange(len(truth)), truth]
        slope = (mean - right).sum(1) + _PRIOR * (weights - centre)
        spread = np.einsum("nk,ink,jnk->ij", scores, logs, logs) - mean @ mean.T
        step = np.linalg.solve(spread + _PRIOR * np.eye(len(weights)), slope)
        loss, size = _loss(logs, truth, weights, centre), 1.0
        while _loss(logs, truth, weights - size * step, centre) > loss and size > 1e-6:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return weights


def logarithms(scores: Floats) -> Floats:
    """Return the logarithms of scores, kept finite."""
    logs: Floats = np.log(np.maximum(scores, _FLOOR))
    return logs


def sets_of(n: int) -> list[tuple[int, ...]]:
    """Return every set of some of n runs, the larger ones first."""
    return list(chain.from_iterable(combinations(range(n), size) for size in range(n, 0, -1)))
