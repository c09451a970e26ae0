"""openSMILE's feature sets, through its own library, where a licence for research is enough.

openSMILE may be used free of charge for research, education and personal use only; so it is not
installed with this package, and says so at its first use. `functionals` is ours, free, and faster.

**Source:** Eyben, Wöllmer and Schuller (2010), "openSMILE", ACM Multimedia; Eyben et al. (2016),
"The Geneva Minimalistic Acoustic Parameter Set (GeMAPS)", IEEE Transactions on Affective Computing
7(2); Schuller et al. (2016), "The INTERSPEECH 2016 Computational Paralinguistics Challenge".
"""

from __future__ import annotations

import multiprocessing
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from affectus.console import say
from affectus.errors import ConfigError, MediaError

_LICENCE = (
    "openSMILE (audEERING) is free for research, education and personal use only; commercial use "
    "needs a licence of its own. 'functionals' has no such limit."
)
_RATE = 16_000  # Hz


@dataclass(frozen=True)
class _OpenSmile:
    """One feature set at one level. `library` is the version of opensmile, filled in by itself."""

    library: str = ""

    name: ClassVar[str]
    feature_set: ClassVar[str]
    level: ClassVar[str]
    frame_rate: ClassVar[float]
    version: ClassVar[int] = 1
    sample_rate: ClassVar[int] = _RATE

    def __post_init__(self) -> None:
        installed = _installed()
        if self.library not in ("", installed):
            raise ConfigError(
                f"{self.name}: made with opensmile {self.library}; expected {installed}, which is "
                f"installed. Install opensmile=={self.library}, or extract into another store."
            )
        object.__setattr__(self, "library", installed)

    @property
    def columns(self) -> tuple[str, ...]:
        """openSMILE's names: 88 or 6,373 functionals, 25 or 65 descriptors; never a time."""
        return tuple(_smile(self.feature_set, self.level).feature_names)

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return {"library": self.library}

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return functionals [1, D] or descriptors [T', D] float32 at 100 Hz.

        Raises ConfigError if `sample_rate` is not 16 kHz, MediaError E1201 if the sound is too
        short for openSMILE, which then has no number for it.
        """
        if sample_rate != _RATE:
            raise ConfigError(
                f"{self.name}: waveform at {sample_rate} Hz; expected {_RATE} Hz. Resample it."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "Segment too short": said below
            found = _smile(self.feature_set, self.level)(np.asarray(waveform, np.float32), _RATE)
        frames: NDArray[np.float32] = np.ascontiguousarray(found[0].T, np.float32)
        if not np.isfinite(frames).all():
            raise MediaError(
                "E1201",
                "waveform",
                f"{len(waveform) / _RATE:.3f} s; openSMILE expected more. Leave it out.",
            )
        return frames


class Egemaps(_OpenSmile):
    """eGeMAPSv02 functionals, [1, 88]."""

    name, feature_set, level, frame_rate = "egemaps", "eGeMAPSv02", "Functionals", 0.0


class EgemapsFrames(_OpenSmile):
    """eGeMAPSv02 low-level descriptors, [T', 25] at 100 Hz."""

    name, feature_set, level = "egemaps-frames", "eGeMAPSv02", "LowLevelDescriptors"
    frame_rate = 100.0


class Compare(_OpenSmile):
    """ComParE 2016 functionals, [1, 6373]."""

    name, feature_set, level, frame_rate = "compare", "ComParE_2016", "Functionals", 0.0


class CompareFrames(_OpenSmile):
    """ComParE 2016 low-level descriptors, [T', 65] at 100 Hz."""

    name, feature_set, level = "compare-frames", "ComParE_2016", "LowLevelDescriptors"
    frame_rate = 100.0


def _installed() -> str:
    import opensmile

    return str(opensmile.__version__)


@cache
def _smile(feature_set: str, level: str) -> Any:
    """Return openSMILE's extractor, made once a process; the first tells of the licence."""
    import opensmile

    if multiprocessing.parent_process() is None:  # not once for each worker
        _say_licence()
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel[level]
    )


@cache
def _say_licence() -> None:
    say(f"note: {_LICENCE}")
