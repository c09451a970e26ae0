"""The waveform itself as features, for networks that begin at the sound: every sample a frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError, LimitError
from affectus.features.checks import check_parameters

_SHORTEST = 400  # samples: 25 ms at 16 kHz, of which a speech encoder makes one frame


@dataclass(frozen=True)
class Waveform:
    """Samples [T, 1], for a network that hears `longest` seconds at once (0: any length).

    A store of them takes 64 kB a second. Less than 25 ms of sound is filled up with silence.
    """

    sample_rate: int = 16_000
    longest: float = 0.0

    name: ClassVar[str] = "waveform"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checks = {
            "sample_rate": (1_000 <= self.sample_rate <= 192_000, "1,000 to 192,000 Hz"),
            "longest": (0 <= self.longest <= 3_600, "0 to 3,600 s"),
        }
        check_parameters("waveform", self, checks)

    @property
    def frame_rate(self) -> float:
        """Samples per second."""
        return float(self.sample_rate)

    @property
    def columns(self) -> tuple[str, ...]:
        """One: the sample."""
        return ("sample",)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return asdict(self)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return samples [T, 1] float32.

        Raises ConfigError if `sample_rate` is another, LimitError E1501 beyond `longest` seconds.
        """
        if sample_rate != self.sample_rate:
            raise ConfigError(
                f"waveform: sound at {sample_rate} Hz; expected {self.sample_rate} Hz. Resample "
                f"it: read_audio(..., sample_rate={self.sample_rate})."
            )
        samples = np.asarray(waveform, np.float32)
        if self.longest and len(samples) > round(self.longest * sample_rate):
            raise LimitError(
                "E1501",
                "waveform",
                f"{len(samples) / sample_rate:.1f} s at once; the network hears {self.longest:g} "
                f"s. Cut it, or predict with a --window of at most that.",
            )
        missing = max(0, _SHORTEST - len(samples))
        return np.ascontiguousarray(np.pad(samples, (0, missing))[:, None])
