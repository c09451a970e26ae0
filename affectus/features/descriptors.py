"""Low-level descriptors: 77 measures of voice and spectrum, a hundred times a second.

One Fourier transform a frame serves them all. Frame k covers the samples from k · hop; nothing is
padded at the edges. What only a voice has (pitch, jitter, formants, ...) is 0 in frames without.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.features.checks import check_rate
from affectus.features.columns import DESCRIPTORS, N_MELS, N_MFCC, N_VOICED, place
from affectus.features.cycles import measure_cycles
from affectus.features.formants import find_formants, pre_emphasise
from affectus.features.pitch import correlate, track_pitch
from affectus.features.spectral import (
    decibels,
    equal_loudness,
    measure_bands,
    measure_flux,
    measure_loudness,
    measure_shape,
)
from affectus.features.voice import find_sounding, mel_filters

Frames = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

_WINDOW_DUR = 0.048  # s: three periods at 62.5 Hz
_HOP_DUR = 0.01  # s
_FFT_DUR = 0.064  # s: bins of 15.6 Hz, and room for a period of 16 ms after the window
_F_TOP = 8_000.0  # Hz: nothing above counts, so that 16 and 48 kHz give the same
_REFERENCE_RATE = 16_000  # Hz: at other rates power is scaled to what it would be at this one
_LOWEST_NOTE = 27.5  # Hz, which semitones are counted from
_BLOCK = 64  # frames transformed at once: what then is at hand fits a processor's cache
_REACH = 2  # frames on either side of which a delta is made


@dataclass(frozen=True)
class Descriptors:
    """Low-level descriptors [T', 154] at 100 Hz: `DESCRIPTORS`, then the delta of each.

    `sample_rate` is 8,000 Hz or more; what lies above 8 kHz does not count. Pitch is looked for
    from `f0_min` to `f0_max` Hz. Sound before the first and after the last frame within `trim_db`
    of the loudest is cut, but for `trim_pad` seconds; None keeps all. A delta is the slope per
    frame of a line through five.

    >>> frames = Descriptors()(np.zeros(16_000, np.float32), 16_000)
    >>> frames.shape == (96, len(Descriptors().columns))
    True
    """

    sample_rate: int = 16_000
    f0_min: float = 62.5
    f0_max: float = 750.0
    trim_db: float | None = 40.0
    trim_pad: float = 0.1

    name = "descriptors"
    version = 1
    frame_rate = 1 / _HOP_DUR

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of `DESCRIPTORS`, then the same with `delta_` before."""
        names = tuple(descriptor.name for descriptor in DESCRIPTORS)
        return names + tuple(f"delta_{name}" for name in names)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return asdict(self)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> Frames:
        """Return frames [T', 2 · D] float32; at least one, however short the waveform.

        Raises ConfigError if `sample_rate` is not the extractor's.
        """
        check_rate(self.name, sample_rate, self.sample_rate)
        return describe_frames(self, waveform).T.copy()


def check_settings(settings: Any) -> None:
    """Raise ConfigError for a value of Descriptors or Functionals that is out of range."""
    checks = {
        "sample_rate": 8_000 <= settings.sample_rate <= 192_000,
        "f0_min": 62.5 <= settings.f0_min < settings.f0_max,
        "f0_max": settings.f0_max <= 1_000,
        "trim_db": settings.trim_db is None or 0 < settings.trim_db <= 200,
        "trim_pad": 0 <= settings.trim_pad <= 10,
    }
    for parameter, fine in checks.items():
        if not fine:
            raise ConfigError(
                f"{settings.name}: {parameter} is {getattr(settings, parameter)}; expected a "
                f"sample_rate of 8000 Hz or more, f0_min 62.5 or more and below f0_max, f0_max at "
                f"most 1000, trim_db at most 200 and trim_pad at most 10. Change it."
            )


def describe_frames(settings: Any, waveform: NDArray[np.float32]) -> Frames:
    """Return descriptors and their deltas [2 · D, T'], one row each, for Descriptors' settings."""
    rate = settings.sample_rate
    length, hop, n_fft = (round(dur * rate) for dur in (_WINDOW_DUR, _HOP_DUR, _FFT_DUR))
    bin_hz = rate / n_fft
    waveform = _trim(np.asarray(waveform, np.float32), hop, settings)
    if len(waveform) < length:
        waveform = np.pad(waveform, (0, length - len(waveform)))
    windows = np.lib.stride_tricks.sliding_window_view(waveform, length)[::hop]
    rows = np.empty((2, len(DESCRIPTORS), len(windows)), np.float32)
    now = rows[0]
    level, normal, covariance = _measure_spectra(windows, rate, n_fft, settings.f0_min, now)
    pitch = track_pitch(normal, bin_hz, _HOP_DUR, settings.f0_min, settings.f0_max)
    f0 = pitch.f0
    voiced = np.flatnonzero(f0 > 0)
    formants, widths = find_formants(covariance[voiced], level.shape[1], bin_hz)
    now[:N_VOICED] = 0
    now[place("f0_hz")] = f0
    now[place("f0_semitones"), voiced] = 12 * np.log2(f0[voiced] / _LOWEST_NOTE)
    times = (np.arange(len(windows)) * hop + length / 2) / rate
    now[place("jitter", "shimmer_db")] = measure_cycles(waveform, rate, f0, times)
    third = formants[:, 2]
    harmonics = _compare_harmonics(level, voiced, f0[voiced], third, bin_hz)
    now[place("h1_h2_db", "h1_a3_db"), voiced] = harmonics
    now[place("f1_hz", "f3_hz"), voiced] = formants.T
    now[place("b1_hz", "b3_hz"), voiced] = widths.T
    now[place("voicing", "hnr_db")] = pitch.correlation, pitch.hnr
    _add_deltas(rows, voiced)
    return rows.reshape(-1, len(windows))


def _measure_spectra(
    windows: Frames, rate: int, n_fft: int, f0_min: float, out: Frames
) -> tuple[Frames, Frames, Frames]:
    """Fill the rows of `out` [D, T'] that need no voice; return what a voice is measured by.

    From `windows` [T', length]: levels in dB [T', n_bins] up to 8 kHz, autocorrelations for pitch
    and for formants.
    """
    n_frames, length = windows.shape
    bin_hz = rate / n_fft
    n_bins = min(n_fft // 2, round(_F_TOP * _FFT_DUR)) + 1
    filters, weights, cosines = _bands(rate, n_fft, n_bins)
    window = _window(length) * np.float32(_REFERENCE_RATE / rate)
    full = 2 / (n_fft * np.square(window).sum())
    level = np.empty((n_frames, n_bins), np.float32)
    block = np.zeros((_BLOCK, n_fft), np.float32)
    spectrum = np.empty((_BLOCK, n_fft // 2 + 1), np.complex64)
    power = np.zeros((_BLOCK + 1, n_bins), np.float32)  # row 0: the frame before
    normals, covariances = [], []
    bands, shape = place("alpha_ratio_db", "slope_500_1500"), place("centroid_hz", "entropy")
    mels = place("mel_00_db", "mel_25_db")
    for start in range(0, n_frames, _BLOCK):
        n = min(_BLOCK, n_frames - start)
        here = slice(start, start + n)
        np.multiply(windows[here], window, out=block[:n, :length])
        np.fft.rfft(block[:n], out=spectrum[:n])  # type: ignore[arg-type]  # the stub knows no complex64
        found = spectrum[:n, :n_bins]
        now = power[1 : n + 1]
        np.add(np.square(found.real), np.square(found.imag), out=now)
        level[here] = decibels(now)
        mel = now @ filters
        out[place("level_db"), here] = decibels(now.sum(axis=1) * full)
        out[place("loudness"), here] = measure_loudness(mel, weights)
        out[bands, here] = measure_bands(now, level[here], bin_hz).T
        out[shape, here] = measure_shape(now, level[here], bin_hz).T
        out[place("flux"), here] = measure_flux(power[: n + 1])
        out[mels, here] = decibels(mel).T
        normals.append(correlate(now, bin_hz, _WINDOW_DUR, f0_min))
        covariances.append(pre_emphasise(now, bin_hz))
        power[0] = power[n]
    out[place("mfcc_00", "mfcc_20")] = cosines @ out[mels]
    return level, np.concatenate(normals), np.concatenate(covariances)


def _trim(waveform: Frames, hop: int, settings: Any) -> Frames:
    """Return the waveform from the first to the last hop that is not silent, padded."""
    if settings.trim_db is None:
        return waveform
    pad = round(settings.trim_pad / _HOP_DUR)
    found = find_sounding(waveform, hop, settings.trim_db, pad)
    return waveform if found is None else waveform[found[0] * hop : found[1] * hop]


@cache
def _window(length: int) -> Frames:
    """Return a periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


@cache
def _bands(sample_rate: int, n_fft: int, n_bins: int) -> tuple[Frames, Frames, Frames]:
    """Return mel filters [n_bins, 26], their loudness weights [26] and the DCT [21, 26]."""
    top = min(_F_TOP, sample_rate / 2)
    filters = mel_filters(sample_rate, n_fft, N_MELS, 20.0, top)[:n_bins]
    hz = np.arange(n_bins) * sample_rate / n_fft
    centres = (hz @ filters) / filters.sum(axis=0)
    place = np.pi * (np.arange(N_MELS) + 0.5) / N_MELS
    cosines = np.cos(np.outer(np.arange(N_MFCC), place)) * np.sqrt(2 / N_MELS)
    cosines[0] /= np.sqrt(2)
    return filters, equal_loudness(centres).astype(np.float32), cosines.astype(np.float32)


def _compare_harmonics(
    level: Floats, frames: NDArray[np.intp], f0: Floats, third: Floats, bin_hz: float
) -> Floats:
    """Return H1−H2 and H1−A3 [2, n] in dB: harmonics 1 and 2, and the strongest near formant 3.

    `level` [T, n_bins] is in dB; `f0` and `third`, the third formant, are those of `frames` [n].
    """
    rows = frames[:, None]

    def height(hz: Floats, reach: Any) -> Floats:
        around = np.round((hz[:, None] + reach) / bin_hz).astype(np.intp)
        strongest: Floats = level[rows, np.clip(around, 0, level.shape[1] - 1)].max(axis=1)
        return strongest

    near = np.arange(-1, 2) * bin_hz
    first = height(f0, near)
    wide = f0[:, None] * np.linspace(-0.5, 0.5, 11)
    spectral = np.where(third > 0, first - height(third, wide), 0)
    return np.stack([first - height(2 * f0, near), spectral])


def _add_deltas(rows: Frames, voiced: NDArray[np.intp]) -> None:
    """Fill rows[1] with the slope of rows[0] over five frames, edges repeated.

    What only voiced frames have is bridged over the others, so that onsets are no jumps.

    **Source:** the regression formula of the HTK Book, section 5.9.
    """
    now, delta = rows
    n_frames = now.shape[1]
    bridged = now
    if 0 < len(voiced) < n_frames:
        bridged = now.copy()
        at = np.interp(np.arange(n_frames), voiced, np.arange(len(voiced)))
        left = at.astype(np.intp)
        part = (at - left).astype(np.float32)
        known = now[:N_VOICED, voiced]
        right = np.minimum(left + 1, len(voiced) - 1)
        bridged[:N_VOICED] = known[:, left] * (1 - part) + known[:, right] * part
    padded = np.pad(bridged, ((0, 0), (_REACH, _REACH)), mode="edge")
    delta[:] = 0
    for step in range(1, _REACH + 1):
        ahead = padded[:, _REACH + step : _REACH + step + n_frames]
        delta += step * (ahead - padded[:, _REACH - step : _REACH - step + n_frames])
    delta /= 2 * sum(step * step for step in range(1, _REACH + 1))
    silent = np.ones(n_frames, bool)
    silent[voiced] = False
    delta[:N_VOICED, silent] = 0
