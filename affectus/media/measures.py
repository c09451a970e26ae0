"""What is measured of a waveform while it is heard: how loud it is, and where its band ends."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

SILENT_DB = -120.0  # the level of nothing

_N_FFT = 512
_BLOCK = 64  # frames transformed at a time
_EDGE_DB = 25.0  # a band's edge: real voices, also quiet ones, hardly ever fall so far at once
_LOWEST, _HIGHEST = 2_000.0, 7_000.0  # Hz; where an edge is looked for
_BELOW, _GAP = 500.0, 250.0  # Hz; the band that an edge falls from; half of a resampler's slope


def measure_level(waveform: Waveform, sample_rate: int) -> float:
    """Return the mean level of what sounds, in dB of full scale; -120 for silence.

    Pauses do not count: the mean is over pieces of 20 ms within 40 dB of the loudest. A sine of
    amplitude 1 has -3 dB.
    """
    size = max(1, sample_rate // 50)
    n_pieces = max(1, len(waveform) // size)
    pieces = waveform[: n_pieces * size].reshape(n_pieces, -1)
    power = np.einsum("ps,ps->p", pieces, pieces, dtype=np.float64) / pieces.shape[1]
    mean = float(power[power >= power.max() * 1e-4].mean())
    return max(SILENT_DB, 10 * math.log10(mean)) if mean > 0 else SILENT_DB


def find_cutoff(waveform: Waveform, sample_rate: int) -> int | None:
    """Return the frequency (Hz) above which a recording has lost everything; None if nowhere.

    A sound that was once stored at a low rate, or went through a telephone or a coarse codec, has
    an edge in its mean spectrum: it falls by 25 dB or more within 500 Hz, from everything in the
    500 Hz below to everything above. The slope of a soft or dark voice has no such edge. It is
    looked for from 2 to 7 kHz.
    """
    if len(waveform) < _N_FFT:
        return None
    decibels = _mean_spectrum(waveform)
    smooth = np.convolve(decibels, np.ones(5) / 5, "valid")  # bin 0 of it is bin 2
    hz = (np.arange(len(smooth)) + 2) * sample_rate / _N_FFT
    step = sample_rate / _N_FFT
    below, gap = round(_BELOW / step), round(_GAP / step)
    edges = np.flatnonzero((hz >= _LOWEST) & (hz <= min(_HIGHEST, hz[-1] - 2 * _GAP)))
    if len(edges) == 0:
        return None
    highest_above = np.maximum.accumulate(smooth[::-1])[::-1]
    lowest_of = np.lib.stride_tricks.sliding_window_view(smooth, below).min(1)
    lowest = lowest_of[edges - gap - below]
    steep = edges[lowest - highest_above[edges + gap] >= _EDGE_DB]
    return round(float(hz[steep[0] + gap])) if len(steep) else None


def _mean_spectrum(waveform: Waveform) -> NDArray[np.float64]:
    """Return the mean power of each frequency over frames of 512 samples, in dB."""
    frames = waveform[: len(waveform) // _N_FFT * _N_FFT].reshape(-1, _N_FFT)
    window = _window()
    squares = np.zeros(_N_FFT + 2)
    for first in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[first : first + _BLOCK] * window).view(np.float64)
        squares += np.einsum("fk,fk->k", spectrum, spectrum)
    power = squares.reshape(-1, 2).sum(axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(power / len(frames) + 1e-12)
    return decibels


@cache
def _window() -> NDArray[np.float64]:
    return np.hanning(_N_FFT + 1)[:-1]
