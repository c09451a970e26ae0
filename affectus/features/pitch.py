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
    n_fft = round(_LAG_RATE / bin_hz)
    longest = int(np.ceil(n_fft * bin_hz / f_min))
    weights, window = _tables(bin_hz, window_dur, n_fft, longest + 2)
    below = power[:, : len(weights)] * weights
    covariance = np.fft.irfft(below.astype(np.complex64), n_fft)
    energy = np.maximum(covariance[:, :1], np.finfo(np.float32).tiny)
    normal = covariance[:, : longest + 2] / energy * window
    normal[:, 0] = np.sqrt(energy[:, 0])
    return normal.astype(np.float32)


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
def _tables(bin_hz: float, window_dur: float, n_fft: int, n_lags: int) -> tuple[Floats, Floats]:
    """Return the weights of bins [n_bins], and 1 / the autocorrelation of the window [n_lags]."""
    hz = np.arange(int(_FADE[1] / bin_hz) + 1) * bin_hz
    place = np.clip((hz - _FADE[0]) / (_FADE[1] - _FADE[0]), 0, 1)
    weights = (0.5 + 0.5 * np.cos(np.pi * place)) * (hz >= _LOWEST)
    turn = np.arange(n_lags) / (n_fft * bin_hz) / window_dur  # equation 8
    hann = (1 - turn) * (2 / 3 + np.cos(2 * np.pi * turn) / 3)
    hann += np.sin(2 * np.pi * turn) / (2 * np.pi)
    return weights.astype(np.float32), (1 / np.maximum(hann, 0.05)).astype(np.float32)


def _find_candidates(
    normal: Floats, first: int, rate: float, f_min: float
) -> tuple[Floats, Floats, Floats]:
    """Return F0 (Hz), height and strength [T, 5] of the strongest peaks of `normal` [T, n].

    Column 0 is lag `first` − 1. Between lags a parabola is laid. A place without a peak has height
    0 and a strength that no path takes.
    """
    middle = normal[:, 1:-1]
    before, after = middle - normal[:, :-2], middle - normal[:, 2:]
    peak = (before >= 0) & (after > 0)
    bend = np.where(peak, before + after, 1)
    shift = 0.5 * (after - before) / -bend
    heights = np.where(peak, middle + 0.125 * np.square(after - before) / bend, 0)
    lags = np.arange(first, first + middle.shape[1], dtype=np.float32)
    bonus = -_OCTAVE_COST * np.log2(lags * np.float32(f_min / rate))
    strengths = np.where(peak & (heights > 0), heights + bonus, _IMPOSSIBLE)
    at = np.argpartition(strengths, -_N_CANDIDATES, axis=1)[:, -_N_CANDIDATES:]
    rows = np.arange(len(at))[:, None]
    found = heights[rows, at].clip(0)
    # A peak higher than 1 is an artefact of short windows; Boersma reflects it.
    found = np.where(found > 1, 1 / np.maximum(found, 1), found)
    f0 = rate / (lags[at] + np.where(peak, shift, 0)[rows, at])
    return f0.astype(np.float64), found, strengths[rows, at].astype(np.float64)


def _best_path(octaves: Floats, strengths: Floats, unvoiced: Floats, hop_dur: float) -> Any:
    """Return the candidate of each frame on the cheapest path; the last one is unvoiced: [T]."""
    scale = 0.01 / hop_dur
    n_frames, n = strengths.shape
    local = -np.concatenate([strengths, unvoiced[:, None]], axis=1)
    moves = np.full((n_frames, n + 1, n + 1), _VOICING_COST * scale)  # [t, to, from]
    moves[:, n, n] = 0
    jumps = np.abs(octaves[1:, :, None] - octaves[:-1, None, :])
    moves[1:, :n, :n] = _OCTAVE_JUMP_COST * scale * jumps
    moves += local[:, :, None]
    cost = local[0]
    back = np.empty((n_frames, n + 1), np.intp)
    every = np.arange(n + 1)
    for t in range(1, n_frames):
        total = moves[t] + cost
        came = total.argmin(axis=1)
        back[t] = came
        cost = total[every, came]
    path = np.empty(n_frames, np.intp)
    state = int(cost.argmin())
    for t in range(n_frames - 1, -1, -1):
        path[t] = state
        state = back[t, state]
    return path
