"""Fundamental frequency, voicing, harmonics-to-noise ratio; jitter and shimmer of the cycles.

**Source:** P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17 (1993): the autocorrelation of a
windowed frame over that of its window, candidates, and the path of least cost through them. Here
the autocorrelation comes from the power spectrum below 2.5 kHz, faded out from 1 kHz.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_LOWEST = 40.0  # Hz: hum and rumble below do not count
_FADE = (1_000.0, 2_500.0)  # Hz
_LAG_RATE = 8_000.0  # Hz: smooth enough between lags for a parabola
_N_CANDIDATES = 5
_VOICING_THRESHOLD = 0.45
_SILENCE_THRESHOLD = 0.03  # of the loudest frame's amplitude
_OCTAVE_COST = 0.02  # per octave: prefers the higher of two equal candidates
_OCTAVE_JUMP_COST = 0.35  # per octave between frames 10 ms apart
_VOICING_COST = 0.14  # of a change between voiced and unvoiced, 10 ms apart
_IMPOSSIBLE = -10.0  # a strength
_CLOSEST = 1e-4  # to 0 and 1 that a correlation is told apart: ±40 dB


class Pitch(NamedTuple):
    """What a frame's periodicity says, each [T].

    `f0` in Hz, 0 where unvoiced. `correlation` is the normalised autocorrelation at the period of
    the path, or where unvoiced at its highest peak, 0 to 1.
    """

    f0: Floats
    correlation: Floats

    @property
    def hnr(self) -> Floats:
        """Harmonics-to-noise ratio in dB, −40 to 40 (Boersma 1993, equation 4)."""
        share = np.clip(self.correlation, _CLOSEST, 1 - _CLOSEST)
        ratio: Floats = 10 * np.log10(share / (1 - share))
        return ratio


def correlate(power: Floats, bin_hz: float, window_dur: float, f_min: float) -> Floats:
    """Return the normalised autocorrelation of frames, [T, n_lags]; column 0 is their amplitude.

    `power` [T, n_bins] are spectra of Hann windows of `window_dur` seconds, of frames padded with
    zeros to at least that and 1 / `f_min`; `bin_hz` is the width of a bin.
    """
    table = _table(bin_hz, window_dur, f_min)
    covariance: Floats = power[:, : len(table)] @ table
    energy = np.maximum(covariance[:, 0], np.finfo(np.float32).tiny)
    covariance *= (1 / energy)[:, None]
    covariance[:, 0] = np.sqrt(energy)
    return covariance


def track_pitch(normal: Floats, bin_hz: float, hop_dur: float, f_min: float, f_max: float) -> Pitch:
    """Return the pitch of frames `hop_dur` seconds apart from what `correlate` gave.

    `bin_hz` is that of the spectra; F0 is looked for from `f_min` to `f_max` Hz.
    """
    rate = round(_LAG_RATE / bin_hz) * bin_hz
    shortest = int(rate / f_max)
    f0, heights, strengths = _find_candidates(normal[:, shortest - 1 :], shortest, rate, f_min)
    strengths[(f0 < f_min) | (f0 > f_max)] = _IMPOSSIBLE
    amplitude = normal[:, 0]
    loud = amplitude / max(float(amplitude.max()), 1e-12)
    quiet = 2 - loud * (1 + _VOICING_THRESHOLD) / _SILENCE_THRESHOLD
    unvoiced = _VOICING_THRESHOLD + np.maximum(0, quiet)
    path = _best_path(np.log2(f0), strengths, unvoiced, hop_dur)
    rows = np.arange(len(path))
    voiced = path < strengths.shape[1]
    chosen = np.where(voiced, path, 0)
    correlation = np.where(voiced, heights[rows, chosen], heights.max(axis=1)).clip(0, 1)
    return Pitch(np.where(voiced, f0[rows, chosen], 0.0), correlation)


@cache
def _table(bin_hz: float, window_dur: float, f_min: float) -> Floats:
    """Return what makes lags of power spectra [n_bins, n_lags], over the window's own.

    A product with the cosines of so few bins and lags costs less than a Fourier transform.
    """
    n_fft = round(_LAG_RATE / bin_hz)
    n_lags = int(np.ceil(n_fft * bin_hz / f_min)) + 2
    bins = np.arange(int(_FADE[1] / bin_hz) + 1)
    hz = bins * bin_hz
    place = np.clip((hz - _FADE[0]) / (_FADE[1] - _FADE[0]), 0, 1)
    weights = (0.5 + 0.5 * np.cos(np.pi * place)) * (hz >= _LOWEST)
    weights *= np.where(bins == 0, 1, 2) / n_fft
    lags = np.arange(n_lags)
    turn = lags / (n_fft * bin_hz) / window_dur  # equation 8
    hann = (1 - turn) * (2 / 3 + np.cos(2 * np.pi * turn) / 3)
    hann += np.sin(2 * np.pi * turn) / (2 * np.pi)
    waves = np.cos(2 * np.pi / n_fft * (np.outer(bins, lags) % n_fft))
    table: Floats = weights[:, None] * waves / np.maximum(hann, 0.05)
    return table.astype(np.float32)


def _find_candidates(
    normal: Floats, first: int, rate: float, f_min: float
) -> tuple[Floats, Floats, Floats]:
    """Return F0 (Hz), height and strength [T, 5] of the strongest peaks of `normal` [T, n].

    Column 0 is lag `first` − 1. Between lags a parabola is laid. A place without a peak has height
    0 and a strength that no path takes.
    """
    n_frames, n_lags = normal.shape
    rising = normal[:, 1:] >= normal[:, :-1]
    peaks = np.flatnonzero(rising[:, :-1] & (normal[:, 2:] < normal[:, 1:-1]))
    frame, at = np.divmod(peaks, n_lags - 2)
    values = normal.ravel()
    here = frame * n_lags + at
    before, height, after = values[here], values[here + 1], values[here + 2]
    sides = before - after
    bend = 2 * height - before - after
    shift = -0.5 * sides / bend
    height += 0.125 * np.square(sides) / bend
    lags = np.arange(first, first + n_lags, dtype=np.float32)
    bonus = -_OCTAVE_COST * np.log2(lags * np.float32(f_min / rate))
    strength = np.where(height > 0, height + bonus[at], _IMPOSSIBLE)
    # The peaks of a frame stand in a row, so many places as the richest has, at least five.
    place = np.arange(len(frame)) - np.searchsorted(frame, np.arange(n_frames))[frame]
    n_places = max(_N_CANDIDATES, int(place.max(initial=0)) + 1)
    strengths = np.full((n_frames, n_places), _IMPOSSIBLE)
    strengths[frame, place] = strength
    best = np.argpartition(strengths, -_N_CANDIDATES, axis=1)[:, -_N_CANDIDATES:]
    heights = np.zeros((n_frames, n_places), np.float32)
    heights[frame, place] = height.clip(0)
    f0 = np.full((n_frames, n_places), f_min)
    f0[frame, place] = rate / (lags[at] + shift)
    rows = np.arange(n_frames)[:, None]
    found = heights[rows, best]
    # A peak higher than 1 is an artefact of short windows; Boersma reflects it.
    found = np.where(found > 1, 1 / np.maximum(found, 1), found)
    return f0[rows, best], found, strengths[rows, best]


def _best_path(
    octaves: Floats, strengths: Floats, unvoiced: Floats, hop_dur: float
) -> NDArray[np.intp]:
    """Return the candidate of each frame on the cheapest path; the last one is unvoiced: [T].

    Stretches of frames are walked side by side, from every candidate that one may be entered at,
    then joined: the same path as frame by frame, in a fifth of the time.
    """
    n_frames, n = strengths.shape
    moves = _price_moves(octaves, strengths, unvoiced, hop_dur)
    n_stretches = round(np.sqrt(n_frames))
    length = -(-n_frames // n_stretches)
    free = np.full((n + 1, n + 1, n_stretches * length - n_frames), np.inf)  # behind the end: stay
    free[np.arange(n + 1), np.arange(n + 1)] = 0
    moves = np.concatenate([moves, free], axis=2).reshape(n + 1, n + 1, n_stretches, length)
    moves = np.ascontiguousarray(moves.transpose(3, 0, 1, 2))  # [step, from, to, stretch]
    through = moves[0]  # the cost of crossing a stretch, [entered from, to, stretch]
    for step in moves[1:]:
        through = (through[:, :, None] + step[None]).min(axis=1)
    costs = np.empty((length, n + 1, n_stretches))
    cost = np.zeros(n + 1)
    enter = np.empty((n + 1, n_stretches))
    for stretch in range(n_stretches):
        enter[:, stretch] = cost
        cost = (through[:, :, stretch] + cost[:, None]).min(axis=0)
    came = np.empty((length, n + 1, n_stretches), np.intp)
    for step in range(length):
        total = moves[step] + (enter if step == 0 else costs[step - 1])[:, None]
        came[step] = total.argmin(axis=0)
        costs[step] = total.min(axis=0)
    state = int(cost.argmin())
    path = []
    for back in reversed(came.transpose(2, 0, 1).reshape(-1, n + 1).tolist()):
        path.append(state)
        state = back[state]
    return np.array(path[::-1][:n_frames])


def _price_moves(octaves: Floats, strengths: Floats, unvoiced: Floats, hop_dur: float) -> Floats:
    """Return the cost of each move into each frame, [from, to, T]; unvoiced is the last."""
    scale = 0.01 / hop_dur
    n_frames, n = strengths.shape
    moves = np.full((n + 1, n + 1, n_frames), _VOICING_COST * scale)
    moves[n, n] = 0
    octaves = octaves.T
    moves[:n, :n, 1:] = np.abs(octaves[None, :, 1:] - octaves[:, None, :-1])
    moves[:n, :n] *= _OCTAVE_JUMP_COST * scale
    moves[:, :, 0] = 0
    moves[:, :n] -= strengths.T
    moves[:, n] -= unvoiced
    return moves
