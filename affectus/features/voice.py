"""Voice features from a waveform, in numpy.

Only the log-mel spectrogram so far. Frame k covers the samples from k * hop_length; nothing is
padded at the edges, so frame times are exact.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.features.checks import check_rate

Frames = NDArray[np.float32]

_FLOOR = 1e-10  # power below which a band counts as silent: -100 dB


@dataclass(frozen=True)
class LogMel:
    """Log-mel spectrogram in dB, its leading and trailing silence cut off.

    `sample_rate`, `f_min` and `f_max` are in Hz, `n_fft`, `win_length` and `hop_length` in
    samples. `trim_db`: sound before the first and after the last frame within that many dB of the
    loudest frame is cut, but for `trim_pad` seconds; None keeps all.

    **Source:** mel bands of equal area on Slaney's scale (Auditory Toolbox, 1998), which is
    librosa's default; without trimming, equal to `power_to_db(melspectrogram(center=False),
    top_db=None)` of librosa within 0.01 dB.

    >>> frames = LogMel()(np.zeros(16_000, np.float32), 16_000)
    >>> frames.shape, round(float(frames.max()))
    ((61, 64), -100)
    """

    sample_rate: int = 16_000
    n_fft: int = 512
    win_length: int = 512
    hop_length: int = 256
    n_mels: int = 64
    f_min: float = 50.0
    f_max: float = 8_000.0
    trim_db: float | None = 40.0
    trim_pad: float = 0.1

    name = "logmel"
    version = 1

    def __post_init__(self) -> None:
        checks = {
            "sample_rate": 1_000 <= self.sample_rate <= 192_000,
            "n_fft": 2 <= self.n_fft <= 1 << 16,
            "win_length": 2 <= self.win_length <= self.n_fft,
            "hop_length": 1 <= self.hop_length <= self.win_length,
            "n_mels": 1 <= self.n_mels <= 512,
            "f_min": 0 <= self.f_min < self.f_max,
            "f_max": self.f_max <= self.sample_rate / 2,
            "trim_db": self.trim_db is None or 0 < self.trim_db <= 200,
            "trim_pad": 0 <= self.trim_pad <= 10,
        }
        for parameter, fine in checks.items():
            if not fine:
                raise ConfigError(
                    f"logmel: {parameter} is {getattr(self, parameter)}; expected a value that "
                    f"fits sample_rate {self.sample_rate} and n_fft {self.n_fft}. Change it."
                )
        if not (mel_filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max) > 0
                ).any(axis=0).all():  # fmt: skip
            raise ConfigError(
                f"logmel: {self.n_mels} mel bands leave some without a frequency at n_fft "
                f"{self.n_fft}; expected at least one each. Lower n_mels or raise n_fft."
            )

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def columns(self) -> tuple[str, ...]:
        """One name a band, with its centre in Hz."""
        return tuple(f"mel_{band:02d}_{hz:.0f}hz" for band, hz in enumerate(self.centres))

    @property
    def centres(self) -> NDArray[np.float64]:
        """The centre of each band in Hz, [n_mels]."""
        mel = np.linspace(_hz_to_mel(self.f_min), _hz_to_mel(self.f_max), self.n_mels + 2)
        return _mel_to_hz(mel)[1:-1]

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return asdict(self)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> Frames:
        """Return frames [T', n_mels] float32 in dB; at least one, however short the waveform.

        Raises ConfigError if `sample_rate` is not the extractor's.
        """
        check_rate("logmel", sample_rate, self.sample_rate)
        waveform = np.asarray(waveform, np.float32)
        if len(waveform) < self.n_fft:
            waveform = np.pad(waveform, (0, self.n_fft - len(waveform)))
        windows = np.lib.stride_tricks.sliding_window_view(waveform, self.n_fft)
        windows = windows[:: self.hop_length]
        if self.trim_db is not None:
            windows = windows[self._sounding(waveform, len(windows))]
        spectrum = np.fft.rfft(windows * _window(self.win_length, self.n_fft))
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = power @ mel_filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max)
        decibels: Frames = 10 * np.log10(np.maximum(mel, _FLOOR))
        return decibels

    def _sounding(self, waveform: NDArray[np.float32], n_frames: int) -> slice:
        """Return the frames from the first to the last that is not silent, padded."""
        assert self.trim_db is not None
        pad = round(self.trim_pad * self.frame_rate)
        found = find_sounding(waveform, self.hop_length, self.trim_db, pad)
        if found is None:
            return slice(0, n_frames)
        first = min(found[0], n_frames - 1)
        return slice(first, max(min(n_frames, found[1]), first + 1))


def find_sounding(
    waveform: NDArray[np.float32], hop: int, trim_db: float, pad: int
) -> tuple[int, int] | None:
    """Return the first and one past the last hop that is not silent, with `pad` hops on both sides.

    Silent is a hop of `hop` samples more than `trim_db` below the loudest. The end may lie beyond
    the waveform's; None if all of it is silent.
    """
    hops = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    energy = np.einsum("th,th->t", hops, hops)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * 10 ** (-trim_db / 10))
    if len(loud) == 0:
        return None
    return max(0, int(loud[0]) - pad), int(loud[-1]) + 1 + pad


@cache
def _window(win_length: int, n_fft: int) -> NDArray[np.float32]:
    """Return a periodic Hann window, centred in n_fft samples."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    left = (n_fft - win_length) // 2
    return np.pad(window, (left, n_fft - win_length - left)).astype(np.float32)


@cache
def mel_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float
) -> NDArray[np.float32]:
    """Return triangular mel filters of equal area, [n_fft // 2 + 1, n_mels] float32.

    **Source:** Slaney, Auditory Toolbox (1998); equal to the transpose of librosa.filters.mel.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(f_min), _hz_to_mel(f_max), n_mels + 2))
    bins = np.arange(n_fft // 2 + 1)[:, None] * sample_rate / n_fft
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


# Slaney's scale: linear below 1 kHz (200/3 Hz a mel), logarithmic above (27 mels to 6.4 kHz).
_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1_000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    hz = mel * _HZ_PER_MEL
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, hz, above)
