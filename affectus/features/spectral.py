"""Measures of the shape of a spectrum: level, tilt, centre of gravity, spread, flux.

Each takes power spectra [T, n_bins], the bins 0, 1, 2 ... times `bin_hz`, and knows no frames or
waveforms.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.features.sums import add_up

Floats = NDArray[np.floating[Any]]

FLOOR = 1e-10  # power that counts as silence
ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
_POOL = 4  # bins summed before roll-offs are looked for, between which is interpolated


def decibels(power: Floats) -> Floats:
    """Return powers in dB, not below −100."""
    level: Floats = np.maximum(power, np.float32(FLOOR))
    np.log10(level, out=level)
    level *= 10
    return level


def measure_bands(power: Floats, level: Floats, bin_hz: float) -> Floats:
    """Return alpha ratio and Hammarberg index (dB), two slopes (dB per kHz): [T, 4].

    `level` is `power` in dB. A band beyond half the sampling rate counts as far as it goes.

    **Source:** F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS)", IEEE
    Transactions on Affective Computing 7 (2016), section 3.1: energy from 1 to 5 kHz over that
    from 50 Hz to 1 kHz (the ratio is given there the other way round, in openSMILE as here);
    strongest peak below 2 kHz over that from 2 to 5 kHz; straight lines through the logarithmic
    spectrum from 0 to 500 Hz and from 500 to 1,500 Hz.
    """
    sums, lines = _bands(power.shape[1], bin_hz)
    out = np.empty((len(power), 4), np.float32)
    low, high = decibels(power[:, : len(sums)] @ sums).T
    out[:, 0] = high - low
    out[:, 1] = level[:, _band(0, 2_000, bin_hz)].max(axis=1)
    out[:, 1] -= level[:, _band(2_000.1, 5_000, bin_hz)].max(axis=1)
    out[:, 2:] = level[:, : len(lines)] @ lines
    return out


def _band(low: float, high: float, bin_hz: float) -> slice:
    return slice(int(np.ceil(low / bin_hz)), int(high / bin_hz) + 1)


@cache
def _bands(n_bins: int, bin_hz: float) -> tuple[Floats, Floats]:
    """Return what sums powers below and above 1 kHz, and what makes two slopes, each [n, 2]."""
    sums, lines = np.zeros((2, n_bins, 2), np.float32)
    sums[_band(50, 1_000, bin_hz), 0] = 1
    sums[_band(1_000.1, 5_000, bin_hz), 1] = 1
    for column, (start, end) in enumerate([(0, 500), (500, 1_500)]):
        part = lines[_band(start, end, bin_hz), column]
        khz = np.arange(len(part)) * bin_hz / 1_000
        khz -= khz.mean()
        part[:] = khz / (khz @ khz)
    return sums[: _band(0, 5_000, bin_hz).stop], lines[: _band(0, 1_500, bin_hz).stop]


def measure_shape(power: Floats, level: Floats, bin_hz: float) -> Floats:
    """Return centroid and spread (Hz), skewness, roll-offs (Hz), flatness (dB), entropy: [T, 9].

    The spectrum as a distribution over frequency: its mean, deviation and skewness; the frequency
    below which a quarter, half, three quarters and nine tenths of the power are; the geometric
    over the arithmetic mean; the entropy over that of a flat one, 0 to 1. DC is left out.

    **Source:** G. Peeters, "A large set of audio features for sound description", IRCAM (2004).
    """
    power, level = power[:, 1:], level[:, 1:]
    n_bins = power.shape[1]
    total, first, second, third = (power @ _moments(n_bins)).T
    silent = total <= n_bins * np.float32(FLOOR)
    whole = np.where(silent, 1, total)
    first, second, third = first / whole, second / whole, third / whole
    variance = np.maximum(second - first**2, 1e-8)
    spread = np.sqrt(variance)
    scale = n_bins * bin_hz
    out = np.empty((len(power), 9), np.float32)
    out[:, 0] = (first + 0.25) * scale
    out[:, 1] = spread * scale
    out[:, 2] = (third - 3 * first * variance - first**3) / (variance * spread)
    out[:, 3:7] = _roll_off(power) * (_POOL * bin_hz) + 0.5 * bin_hz
    out[:, 7] = level @ _mean(n_bins) - decibels(total / n_bins)
    nats = np.float32(np.log(10) / 10)
    entropy = np.log(whole) - nats * np.vecdot(power, level) / whole
    out[:, 8] = entropy / np.float32(np.log(n_bins))
    out[silent] = _flat(n_bins, bin_hz)
    return out


def _roll_off(power: Floats) -> Floats:
    """Return how many pools of bins hold each of `ROLL_OFFS` of the power, [T, 4]."""
    n_frames, n_pools = len(power), power.shape[1] // _POOL
    pooled = power[:, : n_pools * _POOL : _POOL].copy()
    for start in range(1, _POOL):
        pooled += power[:, start : n_pools * _POOL : _POOL]
    # One running sum over all frames, so that one search finds every place.
    reached = add_up(pooled.ravel())
    before, after = reached[:-1:n_pools], reached[n_pools::n_pools]
    goals = before[:, None] + (after - before)[:, None] * np.array(ROLL_OFFS)
    first = n_pools * np.arange(n_frames)[:, None]
    at = np.clip(np.searchsorted(reached, goals) - 1, first, first + n_pools - 1)
    own = pooled.ravel()[at]
    share = (goals - reached[at]) / np.where(own > 0, own, 1)
    places: Floats = at - first + share
    return places


def _flat(n_bins: int, bin_hz: float) -> tuple[float, ...]:
    """Return the shape of a flat spectrum, which silence gets."""
    top = n_bins * bin_hz
    return (top / 2, top / 12**0.5, 0.0, *(part * top for part in ROLL_OFFS), 0.0, 1.0)


@cache
def _mean(n_bins: int) -> Floats:
    return np.full(n_bins, 1 / n_bins, np.float32)


@cache
def _moments(n_bins: int) -> Floats:
    """Return 1, frequency, its square and cube, as parts of the whole range less a quarter."""
    place = np.arange(1, n_bins + 1) / n_bins - 0.25
    return np.stack([place**0, place, place**2, place**3], axis=1).astype(np.float32)


def measure_flux(power: Floats) -> Floats:
    """Return the distance of each magnitude spectrum, scaled to length 1, from the last: [T − 1].

    From 0 (the same) to √2; 0 beside silence.
    """
    energy = power.sum(axis=1)
    magnitude = np.sqrt(power)
    along = np.vecdot(magnitude[1:], magnitude[:-1])
    normal = np.sqrt(energy[1:] * energy[:-1])
    silent = normal <= FLOOR
    cosine = along / np.where(silent, 1, normal)
    flux: Floats = np.where(silent, 0, np.sqrt(np.maximum(2 - 2 * cosine, 0)))
    return flux


def measure_loudness(mel: Floats, weights: Floats) -> Floats:
    """Return the loudness [T] of mel band powers [T, n]: weighted, compressed, summed.

    Twenty decibels more are 4 times as loud (power to 0.3). The unit is arbitrary.

    **Source:** H. Hermansky, "Perceptual linear predictive analysis of speech", JASA 87 (1990),
    for the weights (equation 3) and the compression, as GeMAPS (2016) uses them.
    """
    loudness: Floats = np.power(mel * weights, np.float32(0.3)).sum(axis=1)
    return loudness


def equal_loudness(hz: Floats) -> Floats:
    """Return Hermansky's equal-loudness weight of frequencies (1990, equation 3)."""
    square = np.square(2 * np.pi * hz)
    weight: Floats = (square + 56.8e6) * square**2 / ((square + 6.3e6) ** 2 * (square + 0.38e9))
    return weight
