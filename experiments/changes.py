"""What should not change an answer: level, a telephone's band, MP3, a little silence before."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.media import read_audio

Waveform = NDArray[np.float32]
Change = Callable[[Waveform, int], Waveform]  # of a waveform at a rate (Hz)

_SECONDS = 0.2


def change_level(decibels: float) -> Change:
    """Return a change of level; what leaves full scale is cut off, as a recorder would."""
    factor = np.float32(10 ** (decibels / 20))
    return lambda waveform, rate: np.clip(factor * waveform, -1, 1)


def resample(waveform: Waveform, source: float, target: float) -> Waveform:
    """Return a waveform at another rate."""
    found: Waveform = soxr.resample(waveform, source, target, quality="MQ")
    return found.astype(np.float32)


def pass_telephone(waveform: Waveform, rate: int) -> Waveform:
    """Return what is left of a waveform after 8 kHz."""
    return resample(resample(waveform, rate, 8_000), 8_000, rate)[: len(waveform)]


def compress_mp3(waveform: Waveform, rate: int) -> Waveform:
    """Return a waveform after libsndfile's MP3: 29 kbit/s at 16 kHz, 48 at 48 kHz, about."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -1, 1), rate, format="MP3", subtype="MPEG_LAYER_III")
    return read_audio(file.getvalue(), sample_rate=rate).waveform


def begin_later(waveform: Waveform, rate: int) -> Waveform:
    """Return a waveform with 0.2 s of silence before it."""
    return np.concatenate([np.zeros(round(_SECONDS * rate), np.float32), waveform])


def cut_beginning(waveform: Waveform, rate: int) -> Waveform:
    """Return a waveform without its first 0.2 s."""
    return waveform[round(_SECONDS * rate) :]


CHANGES: dict[str, Change] = {
    "louder": change_level(12),
    "quieter": change_level(-12),
    "telephone": pass_telephone,
    "mp3": compress_mp3,
    "later": begin_later,
    "cut": cut_beginning,
}
WORDS = {
    "louder": "12 dB louder, clipped at full scale",
    "quieter": "12 dB quieter",
    "telephone": "through 8 kHz",
    "mp3": "MP3 at {rate:,} Hz",
    "later": "0.2 s of silence before",
    "cut": "the first 0.2 s cut",
}
