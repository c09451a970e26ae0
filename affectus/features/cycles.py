"""Jitter and shimmer: how much neighbouring cycles of the voice differ in length and height.

Cycles are counted by integrating F0; the length of each is then measured on the waveform, by the
lag at which it correlates best with the next one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.features.sums import add_up

Floats = NDArray[np.floating[Any]]

_GRID = 48  # points a cycle
_COARSE = 16  # parts of a cycle among which the loudest is found
_NEIGHBOURS = 4  # cycles on either side that are centred alike
_REACH = 7  # points, up and down: 0.15 of a cycle
_BLOCK = 512  # cycles compared at once, which bounds the memory
_AROUND = 0.025  # s, before and after a frame's centre: cycles that count for it


def measure_cycles(
    waveform: Floats, sample_rate: int, f0: Floats, times: Floats
) -> tuple[Floats, Floats]:
    """Return jitter (relative) and shimmer (dB) at each frame, both [T], 0 where unvoiced.

    `waveform` [N], `f0` in Hz (0 where unvoiced) at the frames' centres `times` (s). Jitter is the
    mean absolute difference of neighbouring periods over their mean, shimmer that of the levels of
    neighbouring cycles, over the cycles within 25 ms.

    **Source:** local jitter and shimmer as of Praat's manual, the level of a cycle being its root
    mean square rather than its highest point.
    """
    none = np.zeros_like(f0)
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) < 2:
        return none, none
    marks, hz, run = _count_cycles(f0[voiced], times[voiced], voiced)
    if len(marks) < 2:
        return none, none
    marks = _centre_cycles(waveform, sample_rate, marks, hz)
    total = add_up(waveform)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(marks), _BLOCK)]
    measured = [_compare_cycles(total, waveform, sample_rate, marks[b], hz[b]) for b in blocks]
    period, height = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    same = run[1:] == run[:-1]
    lengths = np.abs(np.diff(period)) / np.maximum(0.5 * (period[1:] + period[:-1]), 1e-9)
    heights = np.abs(np.diff(20 * np.log10(np.maximum(height, 1e-9))))
    same &= lengths < 0.3  # beyond: not the next cycle
    at = marks[1:]
    low = np.searchsorted(at, times - _AROUND)
    high = np.searchsorted(at, times + _AROUND)
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum([same, lengths * same, heights * same], 1)],
                          axis=1)  # fmt: skip
    count, jitter, shimmer = sums[:, high] - sums[:, low]
    count = np.where((f0 > 0) & (count > 0), count, np.inf)
    return jitter / count, shimmer / count


def _count_cycles(f0: Floats, times: Floats, frames: Any) -> tuple[Floats, Floats, Any]:
    """Return the time (s), F0 (Hz) and run of voiced frames of each cycle."""
    apart = np.diff(frames) > 1
    run = np.concatenate([[0], np.cumsum(apart)])
    steps = np.where(apart, 1.0, 0.5 * (f0[1:] + f0[:-1]) * np.diff(times))
    phase = np.concatenate([[0], np.cumsum(steps)])
    whole = np.arange(0, np.floor(phase[-1]) + 1)
    after = np.clip(np.searchsorted(phase, whole, side="right"), 1, len(phase) - 1)
    inside = (run[after] == run[after - 1]) | (phase[after - 1] == whole)
    marks, hz = np.interp(whole, phase, times), np.interp(whole, phase, f0)
    return marks[inside], hz[inside], run[after - 1][inside]


def _centre_cycles(waveform: Floats, sample_rate: int, marks: Floats, hz: Floats) -> Floats:
    """Return marks moved to where in a cycle the energy is, so that no pulse is cut in two."""
    energy = add_up(np.square(waveform))
    steps = np.arange(_COARSE + 1) / _COARSE - 0.5
    at = np.rint((marks[:, None] + steps / hz[:, None]) * sample_rate).astype(np.intp)
    parts = np.diff(energy.take(at, mode="clip"), axis=1)
    turns = np.exp(2j * np.pi * (parts.argmax(axis=1) + 0.5) / _COARSE)
    around = np.convolve(turns, np.ones(2 * _NEIGHBOURS + 1))[_NEIGHBOURS:][: len(marks)]
    moved: Floats = marks + np.angle(-around) / (2 * np.pi) / hz
    return moved


def _compare_cycles(
    total: Floats, waveform: Floats, sample_rate: int, marks: Floats, hz: Floats
) -> tuple[Floats, Floats]:
    """Return the period (s) and height (root mean square) of the cycle around each mark.

    `total` [N + 1] is the running sum of the waveform: its differences are the waveform as seen
    through a box two grid points wide, whatever the period, which keeps the grid from aliasing.
    """
    steps, spans = _grid()
    at = steps * (sample_rate / hz)[:, None]
    at += (marks * sample_rate)[:, None]
    np.clip(at, 0, len(total) - 1.001, out=at)
    left = at.astype(np.intp)
    at -= left
    at *= waveform.take(left)
    at += total.take(left)
    points = (at[:, 2:] - at[:, :-2]).astype(np.float32)
    ahead = np.lib.stride_tricks.sliding_window_view(points[:, _GRID - _REACH :], _GRID, axis=1)
    match = np.vecdot(points[:, None, :_GRID], ahead)
    energy = np.square(points) @ spans
    height = np.sqrt(energy[:, 0]) * hz
    match /= np.sqrt(np.maximum(energy[:, 1:], 1e-12))
    best = np.clip(match.argmax(axis=1), 1, 2 * _REACH - 1)
    rows = np.arange(len(best))
    before, here, after = (match[rows, best + step] for step in (-1, 0, 1))
    bend = np.minimum(before - 2 * here + after, -1e-12)
    shift = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    return (1 + (best + shift - _REACH) / _GRID) / hz, height


@cache
def _grid() -> tuple[Floats, Floats]:
    """Return where a cycle and the next are looked at, in cycles, and what sums such points.

    The sums are over the cycle, then over as many points from each lag at which it is compared.
    """
    steps = np.arange(2 * _GRID + _REACH + 2) / _GRID - 0.5
    points = np.arange(len(steps) - 2)[:, None]
    starts = np.array([0, *range(_GRID - _REACH, _GRID + _REACH + 1)])
    return steps, ((points >= starts) & (points < starts + _GRID)).astype(np.float32)
