"""Counting that does not grow: what is known of a group of clips after any number of them.

Least, greatest, mean and standard deviation are exact (float64), so are lengths. Percentiles come
from a histogram of all values in 262,144 buckets, each 0.2 % of its value wide: they are within
that of values that are there, and the same in every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BITS = 18  # sign, exponent and nine bits of a float32's fraction: 2 ** -9 is 0.2 %
_N_BUCKETS = 1 << _BITS
_SHIFT = 32 - _BITS
_CHUNK = 1 << 19  # values that are counted at once


class Tally:
    """What was seen so far of D columns; `add` clips, then `settle`, then read."""

    def __init__(self, n_columns: int) -> None:
        self.n_clips = 0
        self.n_repeated = 0  # clips of more than one frame that are all the same
        self.n_empty = 0  # frames of nothing but zeros
        self.n_not_finite = 0
        self.lengths: Counter[int] = Counter()  # frames of a clip
        self.n = np.zeros(n_columns, np.int64)  # finite values
        self.zeros = np.zeros(n_columns, np.int64)
        self.mean = np.zeros(n_columns)
        self.squares = np.zeros(n_columns)  # sum of squared differences from the mean
        self.low = np.full(n_columns, np.inf)
        self.high = np.full(n_columns, -np.inf)
        self.buckets = np.zeros(_N_BUCKETS, np.int64)
        self._waiting: list[NDArray[np.float32]] = []
        self._n_waiting = 0

    def add(self, frames: NDArray[np.float32]) -> None:
        """Take in a clip's frames [T, D]."""
        self.n_clips += 1
        self.lengths[len(frames)] += 1
        self.n_repeated += len(frames) > 1 and bool((frames == frames[0]).all())
        self._waiting.append(frames)
        self._n_waiting += frames.size
        if self._n_waiting >= _CHUNK:
            self.settle()

    def settle(self) -> None:
        """Count what waits to be counted."""
        if not self._waiting:
            return
        frames = np.concatenate(self._waiting)
        self._waiting, self._n_waiting = [], 0
        self.n_empty += int((~frames.any(axis=1)).sum())
        finite = np.isfinite(frames)
        if finite.all():
            n = np.full(frames.shape[1], len(frames), np.int64)
            values, low, high = frames.astype(np.float64), frames.min(axis=0), frames.max(axis=0)
            mean = values.mean(axis=0)
            values -= mean
            kept = frames.ravel()
        else:
            self.n_not_finite += int((~finite).sum())
            n = finite.sum(axis=0)
            mean = np.where(finite, frames, 0).sum(axis=0, dtype=np.float64) / np.maximum(n, 1)
            values = np.where(finite, frames - mean, 0.0)
            low = np.where(finite, frames, np.inf).min(axis=0)
            high = np.where(finite, frames, -np.inf).max(axis=0)
            kept = frames[finite]
        self.zeros += (frames == 0).sum(axis=0)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self._merge(n, mean, np.einsum("td,td->d", values, values))
        self.buckets += np.bincount(_bucket(kept), minlength=_N_BUCKETS)

    def join(self, other: Tally) -> None:
        """Take in what another tally of the same columns has counted."""
        self.n_clips += other.n_clips
        self.n_repeated += other.n_repeated
        self.n_empty += other.n_empty
        self.n_not_finite += other.n_not_finite
        self.lengths.update(other.lengths)
        self.zeros += other.zeros
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self._merge(other.n, other.mean, other.squares)
        self.buckets += other.buckets

    def _merge(self, n: NDArray[np.int64], mean: Floats, squares: Floats) -> None:
        """Join counts, means and squares of columns.

        **Source:** Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for
        Computing Sample Variances", equation 2.1.
        """
        total = np.maximum(self.n + n, 1)
        step = mean - self.mean
        self.squares += squares + step**2 * self.n * n / total
        self.mean += step * n / total
        self.n += n

    def overall(self) -> tuple[float, float]:
        """Return mean and standard deviation of all values together; NaN if there are none."""
        total = int(self.n.sum())
        if not total:
            return np.nan, np.nan
        mean = float((self.n * self.mean).sum() / total)
        squares = (self.squares + self.n * (self.mean - mean) ** 2).sum()
        return mean, float(np.sqrt(squares / total))

    def percentiles(self, points: Sequence[float]) -> list[float]:
        """Return percentiles of all values, within 0.2 % of each; NaN if there are none."""
        ends = np.cumsum(self.buckets)
        if not ends[-1]:
            return [np.nan] * len(points)
        ranks = np.asarray(points) / 100 * (ends[-1] - 1)
        places = np.searchsorted(ends, ranks, side="right")
        counts, edges = self.buckets[places], _edges()
        inside = (ranks - (ends[places] - counts) + 0.5) / counts
        low = np.maximum(edges[places], self.low.min())
        high = np.minimum(edges[places + 1], self.high.max())
        found = low + inside * (high - low)
        return [float(value) for value in np.where(np.abs(found) < 1e-37, 0.0, found)]

    def shares(self, points: Floats, *, zeros: bool) -> Floats:
        """Return the share of values between each two of `points`, with or without zeros."""
        counts = self.buckets.astype(np.float64)
        if not zeros:
            counts[_ZERO] -= self.zeros.sum()
        ends = np.concatenate([[0.0], np.cumsum(counts)])
        below = np.interp(points, _edges(), ends)
        shares: Floats = np.diff(below) / max(float(counts.sum()), 1.0)
        return shares


def percentiles_of(counts: Mapping[int, int], points: Sequence[float]) -> list[float]:
    """Return exact percentiles of whole numbers, given how often each stands.

    **Source:** numpy.percentile's default, linear between neighbours.
    """
    values = np.array(sorted(counts))
    ends = np.cumsum([counts[int(value)] for value in values])
    ranks = np.asarray(points) / 100 * (ends[-1] - 1)
    low = values[np.searchsorted(ends, np.floor(ranks), side="right")]
    high = values[np.searchsorted(ends, np.ceil(ranks), side="right")]
    return [float(value) for value in low + (ranks - np.floor(ranks)) * (high - low)]


def _bucket(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of each value's bucket; greater values have greater numbers.

    A float32's bits order like the number itself once negative ones are turned over.
    """
    bits = np.ascontiguousarray(values).view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> np.uint32(_SHIFT)).astype(np.int64)


@cache
def _edges() -> Floats:
    """Return the bounds of all buckets, [2 ** 18 + 1]; those beyond the finite are the largest."""
    places = np.arange(_N_BUCKETS + 1, dtype=np.uint64) << np.uint64(_SHIFT)
    ordered = np.minimum(places, (1 << 32) - 1).astype(np.uint32)
    bits = np.where(ordered >> 31, ordered ^ np.uint32(1 << 31), ~ordered)
    with np.errstate(invalid="ignore"):
        edges = bits.view(np.float32).astype(np.float64)
    largest = float(np.finfo(np.float32).max)
    negative = np.arange(len(edges)) < _N_BUCKETS // 2
    return np.where(np.isfinite(edges), edges, np.where(negative, -largest, largest))


_ZERO = _N_BUCKETS // 2  # the bucket that begins at 0
