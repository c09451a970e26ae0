"""Low-level descriptors: 77 measures of voice and spectrum, every 10 ms or as told.

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
from affectus.features.columns import (
    DESCRIPTORS,
    N_MELS,
    N_MFCC,
    N_VOICED,
    find_places,
    place,
)
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
_TRIM_DUR = 0.01  # s: by which silence is cut off
_FFT_DUR = 0.064  # s: bins of 15.6 Hz, and room for a period of 16 ms after the window
_REFERENCE_RATE = 16_000  # Hz: at other rates power is scaled to what it would be at this one
_LOWEST_NOTE = 27.5  # Hz, which semitones are counted from
_BLOCK = 512  # frames measured at once, which bounds the memory
_AT_ONCE = 32  # frames transformed at once: what then is at hand fits a processor's cache
_REACH = 2  # frames on either side of which a delta is made


@dataclass(frozen=True)
class Descriptors:
    """Low-level descriptors [T', 154], one row each `hop_dur` s: `DESCRIPTORS`, then their deltas.

    `sample_rate` is 8,000 Hz or more. What lies above `f_max` Hz (8,000 at most) does not count:
    with 3,600 a telephone changes hardly a number. Pitch is looked for from `f0_min` to `f0_max`
    Hz. Sound before the first and after the last frame within `trim_db` of the loudest is cut, but
    for `trim_pad` seconds; None keeps all. A delta is the slope per frame of a line through five.
    Without `cycles` there is no jitter and no shimmer, which are a fifth of the work. With a
    `hop_dur` of 0.02 the work is two thirds: half the frames, each window of 48 ms as before.

    >>> frames = Descriptors()(np.zeros(16_000, np.float32), 16_000)
    >>> frames.shape == (96, len(Descriptors().columns))
    True
    """

    sample_rate: int = 16_000
    f0_min: float = 62.5
    f0_max: float = 750.0
    trim_db: float | None = 40.0
    trim_pad: float = 0.1
    f_max: float = 8_000.0
    cycles: bool = True
    hop_dur: float = 0.01

    name = "descriptors"
    version = 1

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return 1 / self.hop_dur

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of `DESCRIPTORS`, then the same with `delta_` before."""
        names = tuple(DESCRIPTORS[number].name for number in find_places(self.cycles))
        return names + tuple(f"delta_{name}" for name in names)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return asdict(self)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> Frames:
        """Return frames [T', 2 · D] float32; at least one, however short the waveform.

        Raises ConfigError if `sample_rate` is not the extractor's.
        """
        check_rate(self.name, sample_rate, self.sample_rate)
        rows = describe_frames(self, waveform)
        if not self.cycles:
            kept = find_places(self.cycles)
            rows = rows[[*kept, *(len(DESCRIPTORS) + number for number in kept)]]
        return rows.T.copy()


def check_settings(settings: Any) -> None:
    """Raise ConfigError for a value of Descriptors or Functionals that is out of range."""
    checks = {
        "sample_rate": 8_000 <= settings.sample_rate <= 192_000,
        "f0_min": 62.5 <= settings.f0_min < settings.f0_max,
        "f0_max": settings.f0_max <= 1_000,
        "trim_db": settings.trim_db is None or 0 < settings.trim_db <= 200,
        "trim_pad": 0 <= settings.trim_pad <= 10,
        "f_max": 3_000 <= settings.f_max <= 8_000,
        "hop_dur": 0.005 <= settings.hop_dur <= 0.03,
    }
    for parameter, fine in checks.items():
        if not fine:
            raise ConfigError(
                f"{settings.name}: {parameter} is {getattr(settings, parameter)}; expected a "
                f"sample_rate of 8000 Hz or more, f0_min 62.5 or more and below f0_max, f0_max at "
                f"most 1000, trim_db at most 200, trim_pad at most 10, f_max 3000 to 8000, hop_dur "
                f"0.005 to 0.03. Change it."
            )


def describe_frames(settings: Any, waveform: NDArray[np.float32]) -> Frames:
    """Return descriptors and their deltas [2 · D, T'], one row each, for Descriptors' settings.

    Without `cycles` the rows of jitter and shimmer are 0.
    """
    rate = settings.sample_rate
    length, hop, n_fft = (round(dur * rate) for dur in (_WINDOW_DUR, settings.hop_dur, _FFT_DUR))
    bin_hz = rate / n_fft
    waveform = _trim(np.asarray(waveform, np.float32), round(_TRIM_DUR * rate), settings)
    if len(waveform) < length:
        waveform = np.pad(waveform, (0, length - len(waveform)))
    windows = np.lib.stride_tricks.sliding_window_view(waveform, length)[::hop]
    rows = np.empty((2, len(DESCRIPTORS), len(windows)), np.float32)
    now = rows[0]
    level, normal, covariance = _measure_spectra(windows, n_fft, settings, now)
    pitch = track_pitch(normal, bin_hz, settings.hop_dur, settings.f0_min, settings.f0_max)
    f0 = pitch.f0
    voiced = np.flatnonzero(f0 > 0)
    formants, widths = find_formants(covariance[voiced], level.shape[1], bin_hz)
    now[:N_VOICED] = 0
    now[place("f0_hz")] = f0
    now[place("f0_semitones"), voiced] = 12 * np.log2(f0[voiced] / _LOWEST_NOTE)
    times = (np.arange(len(windows)) * hop + length / 2) / rate
    if settings.cycles:
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
    windows: Frames, n_fft: int, settings: Any, out: Frames
) -> tuple[Frames, Frames, Frames]:
    """Fill the rows of `out` [D, T'] that need no voice; return what a voice is measured by.

    From `windows` [T', length]: levels in dB [T', n_bins] up to `f_max`, autocorrelations for
    pitch and for formants.
    """
    n_frames, rate = len(windows), settings.sample_rate
    bin_hz = rate / n_fft
    n_bins = min(n_fft // 2, round(settings.f_max * _FFT_DUR)) + 1
    top = min(settings.f_max, rate / 2)
    filters, weights, cosines = _bands(rate, n_fft, n_bins, top)
    full = np.float32(2 / (n_fft * np.square(_window(rate)).sum()))
    levels, normals, covariances = [], [], []
    bands, shape = place("alpha_ratio_db", "slope_500_1500"), place("centroid_hz", "entropy")
    mels = place("mel_00_db", "mel_25_db")
    power = np.zeros((1, n_bins), np.float32)
    for start in range(0, n_frames, _BLOCK):
        here = slice(start, min(start + _BLOCK, n_frames))
        power = _transform(windows[here], rate, n_fft, power[-1])
        now = power[1:]
        level = decibels(now)
        mel = now @ filters
        out[place("level_db"), here] = decibels(now @ np.full(n_bins, full))
        out[place("loudness"), here] = measure_loudness(mel, weights)
        out[bands, here] = measure_bands(now, level, bin_hz).T
        out[shape, here] = measure_shape(now, level, bin_hz).T
        out[place("flux"), here] = measure_flux(power)
        out[mels, here] = decibels(mel).T
        normals.append(correlate(now, bin_hz, _WINDOW_DUR, settings.f0_min))
        covariances.append(pre_emphasise(now, bin_hz))
        levels.append(level)
    out[place("mfcc_00", "mfcc_20")] = cosines @ out[mels]
    return _join(levels), _join(normals), _join(covariances)


def _transform(windows: Frames, rate: int, n_fft: int, before: Frames) -> Frames:
    """Return the power spectra [1 + T', n_bins] of windows [T', length], that before them first.

    In double precision: numpy's transform of single precision is slower, in some processes four
    times, by where in memory it falls.
    """
    n_frames, length = windows.shape
    n_bins = len(before)
    power = np.empty((1 + n_frames, n_bins), np.float32)
    power[0] = before
    window = _window(rate)
    block = np.zeros((_AT_ONCE, n_fft))
    spectrum = np.empty((_AT_ONCE, n_fft // 2 + 1), np.complex128)
    squares = np.empty((2, _AT_ONCE, n_bins))
    for start in range(0, n_frames, _AT_ONCE):
        n = min(_AT_ONCE, n_frames - start)
        np.multiply(windows[start : start + n], window, out=block[:n, :length])
        np.fft.rfft(block[:n], out=spectrum[:n])
        np.square(spectrum[:n, :n_bins].real, out=squares[0, :n])
        np.square(spectrum[:n, :n_bins].imag, out=squares[1, :n])
        squares[0, :n] += squares[1, :n]
        power[1 + start : 1 + start + n] = squares[0, :n]
    return power


def _join(parts: list[Frames]) -> Frames:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _trim(waveform: Frames, hop: int, settings: Any) -> Frames:
    """Return the waveform from the first to the last hop that is not silent, padded."""
    if settings.trim_db is None:
        return waveform
    pad = round(settings.trim_pad / _TRIM_DUR)
    found = find_sounding(waveform, hop, settings.trim_db, pad)
    return waveform if found is None else waveform[found[0] * hop : found[1] * hop]


@cache
def _window(rate: int) -> Floats:
    """Return a periodic Hann window, scaled so that power is what it would be at 16 kHz."""
    length = round(_WINDOW_DUR * rate)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return hann * (_REFERENCE_RATE / rate)


@cache
def _bands(sample_rate: int, n_fft: int, n_bins: int, top: float) -> tuple[Frames, Frames, Frames]:
    """Return mel filters [n_bins, 26], their loudness weights [26] and the DCT [21, 26]."""
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
    n_bins = level.shape[1]
    middles = np.stack([f0, 2 * f0, third]) / bin_hz
    wide = f0 / bin_hz * np.linspace(-0.5, 0.5, 11)[:, None]
    near = np.arange(-1.0, 2.0)[:, None]
    start = frames * n_bins

    def height(middle: Floats, reach: Floats) -> Any:
        around = np.rint(middle + reach).astype(np.intp)
        np.clip(around, 0, n_bins - 1, out=around)
        around += start
        return level.take(around).max(axis=0)

    first = height(middles[0], near)
    spectral = np.where(third > 0, first - height(middles[2], wide), 0)
    return np.stack([first - height(middles[1], near), spectral])


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
    last = n_frames - 1
    at = np.clip(np.arange(-_REACH, n_frames + _REACH), 0, last)
    padded = bridged.take(at, axis=1)
    np.subtract(padded[:, 2 * _REACH :], padded[:, :n_frames], out=delta)
    delta *= _REACH
    for step in range(1, _REACH):
        ahead = padded[:, _REACH + step :][:, :n_frames]
        delta += step * (ahead - padded[:, _REACH - step :][:, :n_frames])
    delta /= 2 * sum(step * step for step in range(1, _REACH + 1))
    silent = np.ones(n_frames, bool)
    silent[voiced] = False
    delta[:N_VOICED, silent] = 0
