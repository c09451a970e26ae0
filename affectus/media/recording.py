"""What the gate lets in, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz; what every voice extractor takes unless told otherwise


@dataclass(frozen=True)
class Limits:
    """What a recording may be. Seconds, Hz, bytes; pixels a picture, pictures a second.

    `up_to` is for longer ones than usual.
    """

    min_seconds: float = 0.1
    max_seconds: float = 600.0
    max_channels: int = 8
    min_rate: int = 4_000
    max_rate: int = 192_000
    max_bytes: int = 512 * 2**20
    max_decoded_bytes: int = 512 * 2**20
    max_pixels: int = 4096 * 2304
    max_frame_rate: float = 240.0

    @classmethod
    def up_to(cls, seconds: float) -> Limits:
        """Return the limits for recordings of `seconds` at most, bytes in proportion."""
        usual = cls()
        factor = max(1.0, seconds / usual.max_seconds)
        return cls(
            max_seconds=seconds,
            max_bytes=round(usual.max_bytes * factor),
            max_decoded_bytes=round(usual.max_decoded_bytes * factor),
        )


class MediaWarning(NamedTuple):
    """Something about a recording that its answer should be read with."""

    code: str
    text: str


@dataclass(frozen=True)
class Recording:
    """A decoded recording: `waveform` [T] float32, mono, at `sample_rate` Hz, about −1 to 1.

    `source_rate` (Hz), `n_channels`, `container` and `codec` ('pcm_16', 'vorbis', 'aac') describe
    the file it came from, `begins` when the file's sound does, in seconds of the clock that its
    pictures are on.
    """

    waveform: Waveform
    sample_rate: int
    source_rate: int
    n_channels: int
    container: str
    codec: str = ""
    warnings: tuple[MediaWarning, ...] = ()
    begins: float = 0.0

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate
