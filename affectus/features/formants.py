"""Formants: the resonances of an all-pole filter fitted to each frame's spectrum.

**Source:** linear prediction from the power spectrum below a chosen frequency ("selective linear
prediction"), J. Makhoul, "Spectral linear prediction: properties and applications", IEEE
Transactions ASSP 23 (1975); the frequency of a pole at angle a is a · rate / 2π, its bandwidth
−ln(radius) · rate / π.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_CEILING = 5_500.0  # Hz
_ORDER = 10
_PRE_EMPHASIS_HZ = 50.0  # 6 dB an octave from here
_BLUR_HZ = 60.0  # each harmonic is widened by so much, that poles sit on formants, not harmonics
_LOW, _WIDE = 90.0, 600.0  # Hz: a pole below, or wider, is no formant
_APART = 1.0  # Hz
_RADIUS = 0.91  # of the circle that poles are looked for along: 330 Hz wide
_N_STARTS, _N_STEPS = 96, 6
_CLOSE = 1e-3  # the last step to a pole that was found
_THERE = 1e-5  # a step after which none is needed: the next would be as its square
_MOST_REFLECTION = 1 - 1e-9  # less than all of it, or the polynomial grows without end
N_FORMANTS = 3


def pre_emphasise(power: Floats, bin_hz: float) -> Floats:
    """Return lags 0 to 10 of the autocorrelation [T, 11] below 5.5 kHz of power [T, n_bins]."""
    n_bins = _count_bins(power.shape[1], bin_hz)
    covariance: Floats = power[:, :n_bins] @ _cosines(n_bins, bin_hz)
    return covariance


def find_formants(covariance: Floats, n_bins: int, bin_hz: float) -> tuple[Floats, Floats]:
    """Return frequency and bandwidth, both [T, 3] in Hz, from what `pre_emphasise` gave.

    `n_bins` and `bin_hz` are those of the spectra. 0 where there is no such resonance below
    5.5 kHz (or half the sampling rate).
    """
    found = np.zeros((len(covariance), N_FORMANTS))
    widths = np.zeros_like(found)
    if len(covariance) == 0:
        return found, widths
    ceiling = (_count_bins(n_bins, bin_hz) - 1) * bin_hz
    taps = _levinson(covariance.astype(np.float64))
    frame, poles = _find_poles(taps)
    hz = -np.angle(poles) * ceiling / np.pi
    wide = np.log(np.abs(poles)) * 2 * ceiling / np.pi
    kept = (hz > _LOW) & (hz < ceiling - _LOW) & (wide > 0) & (wide < _WIDE)
    frame, hz, wide = frame[kept], hz[kept], wide[kept]
    order = np.lexsort((hz, frame))
    frame, hz, wide = frame[order], hz[order], wide[order]
    new = np.ones(len(hz), bool)  # two starts may end at one pole
    new[1:] = (np.diff(frame) > 0) | (np.diff(hz) > _APART)
    frame, hz, wide = frame[new], hz[new], wide[new]
    place = np.arange(len(frame)) - np.searchsorted(frame, frame)
    first = place < N_FORMANTS
    found[frame[first], place[first]] = hz[first]
    widths[frame[first], place[first]] = wide[first]
    return found, widths


def _count_bins(n_bins: int, bin_hz: float) -> int:
    return min(n_bins, int(_CEILING / bin_hz) + 1)


@cache
def _cosines(n_bins: int, bin_hz: float) -> Floats:
    """Return what makes lags 0 to 10 of the pre-emphasised signal of a power spectrum."""
    ceiling = (n_bins - 1) * bin_hz
    hz = np.arange(n_bins) * bin_hz
    lags = np.arange(_ORDER + 1)
    emphasis = 1 + np.square(hz / _PRE_EMPHASIS_HZ)
    ends = np.where((hz == 0) | (hz == ceiling), 0.5, 1.0)
    waves = np.cos(np.pi * np.outer(hz, lags) / ceiling)
    blur = np.exp(-0.5 * np.square(np.pi * _BLUR_HZ / ceiling * lags))
    table = (emphasis * ends)[:, None] * waves * blur / n_bins
    return np.asarray(table, np.float32)


def _levinson(covariance: Floats) -> Floats:
    """Return the prediction polynomials [T, order], without the leading 1, by Levinson-Durbin."""
    lags = np.ascontiguousarray(covariance.T)
    order = len(lags) - 1
    # A little white noise keeps pure tones and digital silence solvable.
    error = lags[0] * (1 + 1e-6) + 1e-20
    taps = np.zeros_like(lags)
    taps[0] = 1
    for i in range(1, order + 1):
        reflection = np.einsum("kt,kt->t", taps[:i], lags[i:0:-1])
        reflection /= -error
        # Rounding can make a frame without power in most of its bands no autocorrelation at all.
        np.clip(reflection, -_MOST_REFLECTION, _MOST_REFLECTION, out=reflection)
        taps[1 : i + 1] += reflection * taps[i - 1 :: -1][:i]
        error *= 1 - np.square(reflection)
    return taps[1:].T


def _find_poles(taps: Floats) -> tuple[NDArray[np.intp], NDArray[np.complex128]]:
    """Return frame and place of poles of polynomials [T, order] in 1/z, upper half plane.

    Newton's method from every minimum along a circle inside the unit circle. It is a fifth of the
    cost of all eigenvalues; what it misses are poles too wide to be formants.
    """
    start, table = _circle(taps.shape[1])
    values = taps.astype(np.float32) @ table
    values[:, : len(start)] += 1
    np.square(values, out=values)
    size = values[:, : len(start)] + values[:, len(start) :]
    fall = size[:, 1:] <= size[:, :-1]
    low = np.flatnonzero(fall[:, :-1] & (size[:, 2:] > size[:, 1:-1]))
    frame, at = np.divmod(low, len(start) - 2)
    factors = taps.T[::-1, frame] + 0j
    poles = start[at + 1]
    sure = np.zeros(len(frame), bool)
    moving = np.arange(len(frame))
    for _ in range(_N_STEPS):
        w = poles[moving]
        slope = factors[0].copy()
        value = slope * w
        value += factors[1]
        for factor in factors[2:]:
            slope *= w
            slope += value
            value *= w
            value += factor
        slope *= w
        slope += value
        value *= w
        value += 1
        slope[slope == 0] = 1
        value /= slope
        w -= value
        poles[moving] = w
        length = np.abs(value)
        sure[moving] = length < _CLOSE
        still = length >= _THERE
        moving, factors = moving[still], factors[:, still]
        if len(moving) == 0:
            break
    return frame[sure], poles[sure]


@cache
def _circle(order: int) -> tuple[NDArray[np.complex128], Floats]:
    """Return points 1/z on a circle, and the real and imaginary parts of their powers."""
    w = np.exp(-1j * np.pi * (np.arange(_N_STARTS) + 0.5) / _N_STARTS) / _RADIUS
    powers = w[None] ** np.arange(1, order + 1)[:, None]
    return w, np.concatenate([powers.real, powers.imag], axis=1).astype(np.float32)
