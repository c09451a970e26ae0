"""Functionals: one row a clip, of statistics over its low-level descriptors.

Every column is `descriptor` + `__` + `statistic`. What only a voice has is summarised over voiced
frames; a clip without any has 0 there, and everywhere a number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.features.checks import check_rate
from affectus.features.columns import DESCRIPTORS, N_VOICED, find_places
from affectus.features.correlations import CORRELATIONS, correlate_voiced
from affectus.features.descriptors import check_settings, describe_frames

Frames = NDArray[np.float32]

_PERCENTILES = (5, 25, 50, 75, 95)
_MODULATIONS = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0)  # Hz
_N_COSINES = 5
_LEVEL_DUR = 0.01  # s: a hop whose level is measured
_SMOOTH_DUR = 0.04  # s: loudness is smoothed over so much before its peaks are counted
_SOUNDING_DB = 40.0  # below the loudest hop
_SILENT_DB = -100.0

_NAMES = tuple(descriptor.name for descriptor in DESCRIPTORS)
_OVER_TIME = _NAMES[N_VOICED:]  # what every frame has
_DELTAS = tuple(f"delta_{name}" for name in _NAMES)

_MOMENTS = ("mean", "deviation")
_RANKS = (*(f"p{p:02d}" for p in _PERCENTILES), "range_25_75", "range_5_95")
_COURSE = (
    *(f"cosine_{n}" for n in range(1, _N_COSINES + 1)),
    "curve_error",
    "third_1",
    "third_2",
    "third_3",
    *(f"modulation_{hz:g}hz" for hz in _MODULATIONS),
    "above_mean",
    "rising",
    "peaks_per_s",
    "peak_mean",
)
_CHANGE = ("deviation", "absolute", "p05", "p25", "p75", "p95")
_VOICED = (
    "mean", "deviation", "p05", "p20", "p50", "p80", "p95", "range_20_80", "range_5_95",
    "slope", "edge",
)  # fmt: skip
_SEGMENTS = (
    "duration_s", "voiced_share", "voiced_per_s", "voiced_mean_s", "voiced_deviation_s",
    "voiced_longest_s", "unvoiced_mean_s", "unvoiced_deviation_s", "loudness_peaks_per_s",
)  # fmt: skip


@dataclass(frozen=True)
class Functionals:
    """Functionals [1, D] of a clip: its `Descriptors`, with the same settings, summarised.

    `speech_db`: the level (dB of full scale) that what sounds in a clip is brought to first, so
    that microphone and distance do not count in any column but one more, `speech_level_db`, the
    level that it had; None leaves it. With `correlations` there are columns of how descriptors move
    together (`CORRELATIONS`).

    >>> row = Functionals()(np.zeros(16_000, np.float32), 16_000)
    >>> row.shape == (1, len(Functionals().columns)), bool(np.isfinite(row).all())
    (True, True)
    """

    sample_rate: int = 16_000
    f0_min: float = 62.5
    f0_max: float = 750.0
    trim_db: float | None = 40.0
    trim_pad: float = 0.1
    f_max: float = 8_000.0
    cycles: bool = True
    speech_db: float | None = None
    hop_dur: float = 0.01
    correlations: bool = False

    name = "functionals"
    version = 1
    frame_rate = 0.0  # one row a clip, however long

    def __post_init__(self) -> None:
        check_settings(self)
        if self.speech_db is not None and not -100 <= self.speech_db <= 0:
            raise ConfigError(
                f"functionals: speech_db is {self.speech_db}; expected -100 to 0. Change it."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: `descriptor__statistic`, and a few of the clip as a whole."""
        names, _ = _columns(self.cycles)
        together = CORRELATIONS if self.correlations else ()
        level = () if self.speech_db is None else ("speech_level_db",)
        return (*names, *together, *level)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return asdict(self)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> Frames:
        """Return one row [1, D] float32.

        Raises ConfigError if `sample_rate` is not the extractor's.
        """
        check_rate(self.name, sample_rate, self.sample_rate)
        _, kept = _columns(self.cycles)
        waveform = np.asarray(waveform, np.float32)
        level_db = _SILENT_DB
        if self.speech_db is not None:
            level_db = measure_speech(waveform, round(sample_rate * _LEVEL_DUR))
            gain = 10 ** ((self.speech_db - level_db) / 20) if level_db > _SILENT_DB else 1.0
            waveform = waveform * np.float32(gain)
        rows = describe_frames(self, waveform)
        parts = [summarise(rows, 1 / self.hop_dur)[kept]]
        if self.correlations:
            parts.append(correlate_voiced(rows))
        if self.speech_db is not None:
            parts.append(np.array([level_db], np.float32))
        row = np.concatenate(parts)
        return (row if np.isfinite(row).all() else np.nan_to_num(row))[None]


def measure_speech(waveform: Frames, hop: int) -> float:
    """Return the level (dB of full scale, root mean square) of the hops that sound.

    A hop sounds within 40 dB of the loudest. −100 for silence.
    """
    waveform = np.asarray(waveform, np.float32)
    hops = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    power = np.einsum("th,th->t", hops, hops) / np.float32(hop)
    sounding = power[power > power.max(initial=0.0) * 10 ** (-_SOUNDING_DB / 10)]
    if len(sounding) == 0:
        return _SILENT_DB
    return max(_SILENT_DB, 10 * float(np.log10(sounding.mean(dtype=np.float64))))


@cache
def _columns(cycles: bool) -> tuple[tuple[str, ...], NDArray[np.intp] | slice]:
    """Return the names of the columns, and where `summarise` gives them."""
    groups = (
        (_OVER_TIME, _MOMENTS + _RANKS + _COURSE),
        (_DELTAS, tuple(f"{name}" for name in _CHANGE)),
        (_NAMES + _DELTAS[:N_VOICED], tuple(f"voiced_{name}" for name in _VOICED)),
        (_OVER_TIME, ("unvoiced_mean", "unvoiced_deviation")),
    )
    names = [
        (name, f"{name}__{statistic}")
        for rows, statistics in groups
        for statistic in statistics
        for name in rows
    ]
    names += [(_NAMES[0], name) for name in _SEGMENTS]
    if cycles:
        return tuple(column for _, column in names), slice(None)
    measured = {_NAMES[number] for number in find_places(cycles)}
    kept = [n for n, (name, _) in enumerate(names) if name.removeprefix("delta_") in measured]
    return tuple(names[n][1] for n in kept), np.array(kept)


def summarise(rows: Frames, frame_rate: float) -> Frames:
    """Return the functionals [D] of descriptors and their deltas [2 · n, T], as rows.

    `frame_rate` (Hz) is that of the T frames.
    """
    n = len(DESCRIPTORS)
    now, delta = rows[:n], rows[n:]
    voiced = now[0] > 0
    over_time = now[N_VOICED:]
    parts = [
        *_spread(over_time),
        *_ranks(over_time),
        *_course(over_time, frame_rate),
        *_change(delta),
        *_over_voiced(rows[: n + N_VOICED], voiced),
        *_spread(over_time[:, ~voiced]),
        _segments(voiced, now[_NAMES.index("loudness")], frame_rate),
    ]
    return np.concatenate(parts, dtype=np.float32)


def _spread(rows: Frames) -> tuple[Frames, Frames]:
    """Return mean and deviation of each row, 0 if it is empty."""
    if rows.shape[1] == 0:
        return np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
    mean = rows.mean(axis=1)
    return mean, _deviation(rows - mean[:, None])


def _deviation(centred: Frames) -> Frames:
    """Return the root mean square of each row."""
    deviation: Frames = np.sqrt(np.vecdot(centred, centred) / np.float32(centred.shape[1]))
    return deviation


def _percentiles(rows: Frames, percents: Any) -> list[Frames]:
    """Return percentiles of each row, between samples by a line: numpy's default."""
    ordered = np.sort(rows, axis=1)
    place = np.asarray(percents) / 100 * (rows.shape[1] - 1)
    left = np.floor(place).astype(np.intp)
    part = (place - left).astype(np.float32)
    right = np.minimum(left + 1, rows.shape[1] - 1)
    return list((ordered[:, left] * (1 - part) + ordered[:, right] * part).T)


def _ranks(rows: Frames) -> list[Frames]:
    p = _percentiles(rows, _PERCENTILES)
    return [*p, p[3] - p[1], p[4] - p[0]]


def _course(rows: Frames, frame_rate: float) -> list[Frames]:
    """Return how rows develop: cosines, thirds, modulation, crossings, peaks."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    cosines, waves = _waves(n, frame_rate)
    weights = centred @ cosines * np.float32(2 / n)
    error = centred - weights @ cosines.T
    thirds = [(part.mean(axis=1) if part.size else 0 * weights[:, 0])
              for part in np.array_split(centred, 3, axis=1)]  # fmt: skip
    projected = centred @ waves
    half = len(_MODULATIONS)
    modulation = np.sqrt(projected[:, :half] ** 2 + projected[:, half:] ** 2)
    above = (centred > 0).mean(axis=1)
    step = centred[:, 1:] > centred[:, :-1]
    peak = step[:, :-1] & ~step[:, 1:] & (centred[:, 1:-1] > 0)
    count = peak.sum(axis=1)
    heights = np.einsum("dt,dt->d", peak, centred[:, 1:-1]) / np.maximum(count, 1)
    return [
        *weights.T,
        _deviation(error),
        *thirds,
        *modulation.T,
        above,
        step.sum(axis=1) / max(1, n - 1),
        count * (frame_rate / n),
        heights,
    ]


@lru_cache(maxsize=16)  # windows of a long recording have one length
def _waves(n: int, frame_rate: float) -> tuple[Frames, Frames]:
    """Return what n frames are projected on: cosines [n, 5], windowed waves [n, 14]."""
    place = (np.arange(n) + 0.5) / n
    cosines = np.cos(np.pi * np.outer(place, np.arange(1, _N_COSINES + 1)))
    turns = 2 * np.pi * np.outer(np.arange(n) / frame_rate, _MODULATIONS)
    waves = np.concatenate([np.cos(turns), np.sin(turns)], axis=1)
    waves *= (np.sin(np.pi * place) ** 2)[:, None] / n
    return cosines.astype(np.float32), waves.astype(np.float32)


def _change(rows: Frames) -> list[Frames]:
    return [_spread(rows)[1], np.abs(rows).mean(axis=1), *_percentiles(rows, (5, 25, 75, 95))]


def _over_voiced(rows: Frames, voiced: NDArray[np.bool_]) -> list[Frames]:
    part = rows[:, voiced]
    n = part.shape[1]
    if n == 0:
        return [np.zeros(len(rows), np.float32)] * len(_VOICED)
    p = _percentiles(part, (5, 20, 50, 80, 95))
    mean = part.mean(axis=1)
    centred = part - mean[:, None]
    place = np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32)
    slope = centred @ place / max(float(place @ place), 1)
    edge = part[:, -max(1, n // 4) :].mean(axis=1) - part[:, : max(1, n // 4)].mean(axis=1)
    return [mean, _deviation(centred), *p, p[3] - p[1], p[4] - p[0], slope, edge]


def _segments(voiced: NDArray[np.bool_], loudness: Frames, frame_rate: float) -> Frames:
    """Return the statistics of voiced and unvoiced stretches, in `_SEGMENTS`' order."""
    n = len(voiced)
    seconds = n / frame_rate
    turns = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    starts, ends = turns[::2], turns[1::2]
    spoken = (ends - starts) / frame_rate
    pauses = (starts[1:] - ends[:-1]) / frame_rate
    width = 1 + 2 * round(0.5 * _SMOOTH_DUR * frame_rate)
    smooth = np.convolve(loudness, np.full(width, 1 / width), mode="same")
    step = np.diff(smooth) > 0
    peaks = int((step[:-1] & ~step[1:] & (smooth[1:-1] > smooth.mean())).sum()) if n > 2 else 0
    return np.array([
        seconds,
        voiced.mean(),
        len(spoken) / seconds,
        spoken.mean() if len(spoken) else 0,
        spoken.std() if len(spoken) else 0,
        spoken.max(initial=0),
        pauses.mean() if len(pauses) else 0,
        pauses.std() if len(pauses) else 0,
        peaks / seconds,
    ], np.float32)  # fmt: skip
