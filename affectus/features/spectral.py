"""Measures of the shape of a spectrum: level, tilt, centre of gravity, spread, flux.

Each takes power spectra [T, n_bins], the bins 0, 1, 2 ... times `bin_hz`, and knows no frames or
waveforms.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

FLOOR = 1e-10  # power that counts as silence
ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
_POOL = 4  # bins summed before roll-offs are looked for, between which is interpolated


def decibels(power: Floats) -> Floats:
    """Return powers in dB, not below −100."""
    level: Floats = 10 * np.log10(np.maximum(power, np.float32(FLOOR)))
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

    def band(low: float, high: float) -> slice:
        return slice(int(np.ceil(low / bin_hz)), int(high / bin_hz) + 1)

    out = np.empty((len(power), 4), np.float32)
    high = power[:, band(1_000.1, 5_000)].sum(axis=1)
    low = power[:, band(50, 1_000)].sum(axis=1)
    out[:, 0] = decibels(high) - decibels(low)
    out[:, 1] = level[:, band(0, 2_000)].max(axis=1) - level[:, band(2_000.1, 5_000)].max(axis=1)
    for column, (start, end) in enumerate([(0, 500), (500, 1_500)], 2):
        part = level[:, band(start, end)]
        khz = np.arange(part.shape[1]) * bin_hz / 1_000
        khz -= khz.mean()
        out[:, column] = part @ (khz / (khz @ khz)).astype(np.float32)
    return out


def measure_shape(power: Floats, level: Floats, bin_hz: float) -> Floats:
    """Return centroid and spread (Hz), skewness, roll-offs (Hz), flatness (dB), entropy: [T, 9].

    The spectrum as a distribution over frequency: its mean, deviation and skewness; the frequency
    below which a quarter, half, three quarters and nine tenths of the power are; the geometric
    over the arithmetic mean; the entropy over that of a flat one, 0 to 1. DC is left out.

    **Source:** G. Peeters, "A large set of audio features for sound description", IRCAM (2004).
    """
    power, level = power[:, 1:], level[:, 1:]
    n_bins = power.shape[1]
    total = power.sum(axis=1)
    silent = total <= n_bins * np.float32(FLOOR)
    whole = np.where(silent, 1, total)
    first, second, third = (power @ _moments(n_bins)).T / whole
    variance = np.maximum(second - first**2, 1e-8)
    spread = np.sqrt(variance)
    scale = n_bins * bin_hz
    end = n_bins // _POOL * _POOL
    pooled = power[:, :end:_POOL].copy()
    for start in range(1, _POOL):
        pooled += power[:, start:end:_POOL]
    reached = np.cumsum(pooled, axis=1)
    out = np.empty((len(power), 9), np.float32)
    out[:, 0] = (first + 0.25) * scale
    out[:, 1] = spread * scale
    out[:, 2] = (third - 3 * first * variance - first**3) / (variance * spread)
    goals = reached[:, -1:] * np.array(ROLL_OFFS, np.float32)
    at = (reached[:, None, :] < goals[:, :, None]).sum(axis=2)
    at = np.minimum(at, reached.shape[1] - 1)
    own = np.take_along_axis(pooled, at, axis=1)
    share = 1 - (np.take_along_axis(reached, at, axis=1) - goals) / np.where(own > 0, own, 1)
    out[:, 3:7] = (at + share) * (_POOL * bin_hz) + 0.5 * bin_hz
    out[:, 7] = level.mean(axis=1) - decibels(total / n_bins)
    nats = np.float32(np.log(10) / 10)
    entropy = np.log(whole) - nats * np.einsum("tk,tk->t", power, level) / whole
    out[:, 8] = entropy / np.float32(np.log(n_bins))
    out[silent] = _flat(n_bins, bin_hz)
    return out


def _flat(n_bins: int, bin_hz: float) -> tuple[float, ...]:
    """Return the shape of a flat spectrum, which silence gets."""
    top = n_bins * bin_hz
    return (top / 2, top / 12**0.5, 0.0, *(part * top for part in ROLL_OFFS), 0.0, 1.0)


@cache
def _moments(n_bins: int) -> Floats:
    """Return frequency, its square and cube, as parts of the whole range less a quarter."""
    place = np.arange(1, n_bins + 1) / n_bins - 0.25
    return np.stack([place, place**2, place**3], axis=1).astype(np.float32)


def measure_flux(power: Floats) -> Floats:
    """Return the distance of each magnitude spectrum, scaled to length 1, from the last: [T − 1].

    From 0 (the same) to √2; 0 beside silence.
    """
    energy = power.sum(axis=1)
    magnitude = np.sqrt(power)
    along = np.einsum("tk,tk->t", magnitude[1:], magnitude[:-1])
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
