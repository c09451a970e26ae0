"""Intervals by bootstrap over speakers.

Clips of a speaker are alike, so speakers are drawn, not clips; an interval over clips would be far
too narrow. Whatever is to have an interval is first summed up for each speaker (a confusion matrix,
a sum of losses and a count); a draw is then a sum over speakers, and the metric a function of it.

**Source:** Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 8 (clusters)
and 13 (percentiles).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.metrics.confusion import Floats

Metric = Callable[[NDArray[Any]], Floats]

_FEWEST = 3  # speakers that an interval is given for
_AT_ONCE = 4_000_000  # numbers of the draws that are summed in one go


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


def speaker_interval(
    metric: Metric,
    sums: NDArray[np.generic],
    *,
    n_draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    strata: NDArray[np.intp] | None = None,
) -> Interval:
    """Return a metric with its percentile-bootstrap interval over speakers.

    `sums` is [S, ...]: what the metric needs of each speaker, such as one confusion matrix [K, K].
    With fewer than three speakers there is no interval. `strata` [S] draws within each group of
    speakers, for a difference of groups: each then has as many speakers as it has.
    """
    (found,) = speaker_intervals(
        lambda drawn: np.asarray(metric(drawn), np.float64)[..., None],
        sums,
        n_draws=n_draws,
        level=level,
        seed=seed,
        strata=strata,
    )
    return found


def speaker_intervals(
    metric: Metric,
    sums: NDArray[np.generic],
    *,
    n_draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    strata: NDArray[np.intp] | None = None,
) -> list[Interval]:
    """Return the intervals of a metric that has several values, [..., M], as recalls are."""
    values = np.asarray(metric(sums.sum(0)), np.float64)
    n_speakers = len(sums)
    if n_speakers < _FEWEST:
        return [Interval(float(value), None, None) for value in values]
    flat = sums.reshape(n_speakers, -1).astype(np.float64)
    weights = _draw(n_speakers, n_draws, seed) if strata is None else _draw_within(
        strata, n_draws, seed
    )  # fmt: skip
    step = max(1, _AT_ONCE // max(n_speakers, flat.shape[1]))
    drawn = np.concatenate(
        [
            metric((weights[i : i + step].astype(np.float64) @ flat).reshape(-1, *sums.shape[1:]))
            for i in range(0, n_draws, step)
        ]
    )
    there = ~np.isnan(drawn).all(0)
    ends = np.full((2, len(values)), np.nan)
    ends[:, there] = np.nanquantile(drawn[:, there], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [
        Interval(float(value), float(low), float(high))
        if low == low
        else Interval(float(value), None, None)
        for value, low, high in zip(values, *ends, strict=True)
    ]


def mean_interval(
    values: NDArray[Any], speakers: NDArray[np.str_], *, n_draws: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean of a value of each clip, [N], with its interval over `speakers` [N].

    A clip without a speaker ('') is nobody's: there is then no interval.
    """
    names, index = np.unique(speakers, return_inverse=True)
    if "" in names:
        index = np.zeros(len(values), np.intp)
    sums = np.stack([np.bincount(index, weights=values), np.bincount(index)], axis=-1)
    return speaker_interval(_mean, sums, n_draws=n_draws, seed=seed)


def _mean(sums: NDArray[Any]) -> Floats:
    found: Floats = sums[..., 0] / sums[..., 1]
    return found


@lru_cache(maxsize=4)  # the groups of one evaluation mostly have the same number of speakers
def _draw(n_speakers: int, n_draws: int, seed: int) -> NDArray[np.float32]:
    """Return how often each speaker is in each draw: [draws, S], rows summing to S."""
    rng = np.random.default_rng(seed)
    weights = np.empty((n_draws, n_speakers), np.float32)
    step = max(1, _AT_ONCE // n_speakers)
    for start in range(0, n_draws, step):
        rows = min(step, n_draws - start)
        drawn = rng.integers(0, n_speakers, (rows, n_speakers))
        drawn += np.arange(rows)[:, None] * n_speakers
        counts = np.bincount(drawn.ravel(), minlength=rows * n_speakers)
        weights[start : start + rows] = counts.reshape(rows, n_speakers)
    weights.flags.writeable = False
    return weights


def _draw_within(strata: NDArray[np.intp], n_draws: int, seed: int) -> NDArray[np.float32]:
    weights = np.empty((n_draws, len(strata)), np.float32)
    for number, stratum in enumerate(np.unique(strata)):
        inside = strata == stratum
        weights[:, inside] = _draw(int(inside.sum()), n_draws, seed + number)
    return weights
