"""Speech encoders as extractors: what a network that others trained makes of a recording.

The weights are the user's (a folder, or a hub name whose files are in this machine's cache), their
hash is part of the record. See docs/speech-encoders.md for what to expect of which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from affectus.encoders import SAMPLE_RATE, EncoderFiles, find_encoder
from affectus.encoders.known import check_heard
from affectus.errors import ConfigError
from affectus.features.checks import check_parameters, check_rate

_POOLINGS = ("mean", "statistics", "none")
_PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class _SpeechEncoder:
    """Hidden states of a speech encoder.

    `model` is a folder or a hub name. `layer` is one layer's number (0 is what enters the first),
    or 'all', side by side. `pooling` over time is mean, statistics (mean, standard deviation), each
    one row a recording and respecting its true length, or none. Recordings beyond `window` seconds
    are heard in windows that share `overlap` seconds. `precision` bf16 is for where it was seen not
    to change the answer. `weights` and `settings` are hashes, filled in and checked.

    A number may differ by 1e-5 between machines, devices and batches.
    """

    model: str = ""
    layer: str | int = "all"
    pooling: str = "mean"
    window: float = 30.0
    overlap: float = 5.0
    precision: str = "float32"
    weights: str = ""
    settings: str = ""

    name: ClassVar[str]
    published: ClassVar[str]  # the model that is meant if none is named
    architectures: ClassVar[tuple[str, ...]]
    version: ClassVar[int] = 1
    sample_rate: ClassVar[int] = SAMPLE_RATE
    memory_bytes: ClassVar[int] = 2**40  # of address space, which torch and CUDA map unused

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", self.model or self.published)
        files = self._files
        if files.architecture not in self.architectures:
            raise ConfigError(
                f"{self.name}: {self.model} is a {files.architecture} encoder; expected "
                f"{' or '.join(self.architectures)}. Take --features {_name_of(files)}."
            )
        for what, given, found in (
            ("weights", self.weights, files.sha256),
            ("settings", self.settings, files.settings_hash),
        ):
            if given not in ("", found):
                raise ConfigError(
                    f"{self.name}: the {what} at {self.model} are {found[:12]}…; expected "
                    f"{given[:12]}…, which the features were made with. Give that model."
                )
            object.__setattr__(self, what, found)
        last = files.n_layers
        if self.layer != "all" and (isinstance(self.layer, str) or not 0 <= self.layer <= last):
            raise ConfigError(
                f"{self.name}: layer is {self.layer!r}; expected 0 to {last}, or 'all'. Change it."
            )
        longest = min(files.longest, 3600.0)
        checks = {
            "pooling": (self.pooling in _POOLINGS, f"one of {', '.join(_POOLINGS)}"),
            "precision": (self.precision in _PRECISIONS, f"one of {', '.join(_PRECISIONS)}"),
            "window": (1 <= self.window <= longest, f"1 to {longest:g} s"),
            "overlap": (0 <= self.overlap <= self.window / 2, f"0 to {self.window / 2:g} s"),
        }
        check_parameters(self.name, self, checks)

    @property
    def _files(self) -> EncoderFiles:
        return find_encoder(self.model)

    @property
    def frame_rate(self) -> float:
        """Frames per second; 0 where they are pooled to one row."""
        return SAMPLE_RATE / self._files.hop if self.pooling == "none" else 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Layer by layer, one name a dimension."""
        files = self._files
        layers = range(files.n_layers + 1) if self.layer == "all" else (int(self.layer),)
        parts = ("mean_", "deviation_") if self.pooling == "statistics" else ("",)
        return tuple(
            f"layer_{layer:02d}_{part}{n:04d}"
            for layer in layers
            for part in parts
            for n in range(files.n_features)
        )

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting; a folder as its whole path."""
        files = self._files
        local = str(files.folder) if files.is_folder else self.model
        return {**asdict(self), "model": local}

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return frames [T', D], or one row [1, D], float32.

        Raises ConfigError if `sample_rate` is not 16 kHz.
        """
        return self.many([waveform], sample_rate)[0]

    def many(
        self, waveforms: Sequence[NDArray[np.float32]], sample_rate: int
    ) -> list[NDArray[np.float32]]:
        """Return the frames of several waveforms, computed together; equal within 1e-5."""
        check_rate(self.name, sample_rate, SAMPLE_RATE)
        from affectus.encoders.computing import compute, open_encoder

        return compute(
            open_encoder(self.model),
            waveforms,
            layer=None if self.layer == "all" else int(self.layer),
            pooling=self.pooling,  # type: ignore[arg-type]  # checked above
            window=self.window,
            overlap=self.overlap,
            precision=self.precision,
        )

    def check_heard(self, corpora: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which of these corpora it has heard, and cautions; see `encoders.known`."""
        return check_heard(self._files.names, corpora)

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return which of waveforms with these numbers of samples `many` had best be given."""
        from affectus.encoders.computing import batches

        return batches(lengths)


class Wav2Vec2(_SpeechEncoder):
    """wav2vec 2.0 (Baevski et al. 2020)."""

    name, published = "wav2vec2", "facebook/wav2vec2-base"
    architectures = ("wav2vec2",)


class XlsR(_SpeechEncoder):
    """XLS-R (Babu et al. 2022): wav2vec 2.0 in 128 languages."""

    name, published = "xls-r", "facebook/wav2vec2-xls-r-300m"
    architectures = ("wav2vec2",)


class Hubert(_SpeechEncoder):
    """HuBERT (Hsu et al. 2021)."""

    name, published = "hubert", "facebook/hubert-large-ll60k"
    architectures = ("hubert",)


class WavLM(_SpeechEncoder):
    """WavLM (Chen et al. 2022)."""

    name, published = "wavlm", "microsoft/wavlm-large"
    architectures = ("wavlm",)


class Data2Vec(_SpeechEncoder):
    """data2vec for sound (Baevski et al. 2022)."""

    name, published = "data2vec", "facebook/data2vec-audio-large"
    architectures = ("data2vec-audio",)


class Whisper(_SpeechEncoder):
    """The encoder of Whisper (Radford et al. 2023)."""

    name, published = "whisper", "openai/whisper-large-v3"
    architectures = ("whisper",)


SPEECH = (Wav2Vec2, XlsR, Hubert, WavLM, Data2Vec, Whisper)


def _name_of(files: EncoderFiles) -> str:
    return next(kind.name for kind in SPEECH if files.architecture in kind.architectures)
