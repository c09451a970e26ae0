"""Any network that takes a waveform, as an ONNX file: emotion2vec, audEERING's, one's own.

onnxruntime alone runs it. What the file gives is taken as it is: frames [1, T', D], or one row
[1, D] where it pools by itself.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from affectus.encoders.known import check_heard
from affectus.errors import ConfigError, MediaError
from affectus.features.checks import check_parameters, check_rate
from affectus.onnx_session import network_errors, open_session

_POOLINGS = ("mean", "statistics", "none")


@dataclass(frozen=True)
class Onnx:
    """Frames of an ONNX file `model` that takes a waveform [1, T] or [T], float32.

    `normalise` gives it sound of mean 0 and variance 1, as emotion2vec and most wav2vec2 want it;
    there is no way to tell from the file. `output` names what is taken, the first by default.
    Recordings beyond `window` seconds are heard in windows that share `overlap` seconds. `heard`
    are the corpora that the network was trained on, with commas, where its name does not tell.
    `weights` is the file's hash, filled in and checked.
    """

    model: str = ""
    normalise: bool = True
    output: str = ""
    pooling: str = "mean"
    sample_rate: int = 16_000
    window: float = 30.0
    overlap: float = 5.0
    heard: str = ""
    weights: str = ""

    name: ClassVar[str] = "onnx"
    version: ClassVar[int] = 1
    memory_bytes: ClassVar[int] = 2**40  # of address space; large files are mapped

    def __post_init__(self) -> None:
        path = Path(self.model)
        if not self.model or not path.is_file():
            raise ConfigError(
                f"onnx: no file '{self.model}'; expected a network. Give it: --model FILE.onnx"
            )
        checks = {
            "pooling": (self.pooling in _POOLINGS, f"one of {', '.join(_POOLINGS)}"),
            "sample_rate": (1_000 <= self.sample_rate <= 192_000, "1,000 to 192,000 Hz"),
            "window": (1 <= self.window <= 3_600, "1 to 3,600 s"),
            "overlap": (0 <= self.overlap <= self.window / 2, f"0 to {self.window / 2:g} s"),
        }
        check_parameters("onnx", self, checks)
        found = _hash(self.model, path.stat().st_size, path.stat().st_mtime_ns)
        if self.weights not in ("", found):
            raise ConfigError(
                f"onnx: {self.model} is {found[:12]}…; expected {self.weights[:12]}…, which the "
                f"features were made with. Give that file."
            )
        object.__setattr__(self, "weights", found)
        object.__setattr__(self, "output", self.output or self._network.outputs[0])
        if self.output not in self._network.outputs:
            raise ConfigError(
                f"onnx: {self.model} has no output '{self.output}'; expected one of "
                f"{', '.join(self._network.outputs)}. Change output."
            )

    @property
    def frame_rate(self) -> float:
        """Frames per second; 0 where there is one row a recording."""
        rate = self._network.frame_rate(self.output, self.sample_rate)
        return rate if self.pooling == "none" else 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        """One name a dimension; of statistics the means, then the deviations."""
        n_columns = self._network.n_columns(self.output, self.sample_rate)
        parts = ("mean_", "deviation_") if self.pooling == "statistics" else ("",)
        return tuple(f"{self.output}_{part}{n:04d}" for part in parts for n in range(n_columns))

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting; the file by its whole path."""
        return {**asdict(self), "model": str(Path(self.model).resolve())}

    def check_heard(self, corpora: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return which of these corpora it has heard, and cautions; see `encoders.known`."""
        declared = [name.strip() for name in self.heard.split(",") if name.strip()]
        path = Path(self.model).resolve()
        found, cautions = check_heard((path.stem, path.parent.name), corpora, declared)
        return found, [] if declared else cautions

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return frames [T', D], or one row, float32.

        Raises ConfigError if `sample_rate` is another, MediaError E1201 if the network gives
        nothing finite, as for a recording that is too short for it.
        """
        check_rate("onnx", sample_rate, self.sample_rate)
        sound = np.asarray(waveform, np.float32)
        if self.normalise:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        frames = np.concatenate([self._hear(part, *kept) for part, *kept in self._cut(sound)])
        if not len(frames) or not np.isfinite(frames).all():
            raise MediaError(
                "E1201",
                "waveform",
                f"{len(waveform) / sample_rate:.3f} s; the network at {self.model} gives no finite "
                f"frames for it; expected some. Leave it out.",
            )
        if self.pooling != "none":
            rows = [frames.mean(0), frames.std(0)][: 1 + (self.pooling == "statistics")]
            frames = np.concatenate(rows)[None]
        return np.ascontiguousarray(frames, np.float32)

    def _cut(self, sound: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], float, float]]:
        """Return windows of sound, and from which to which share of it frames are kept."""
        size, shared = round(self.window * self.sample_rate), round(self.overlap * self.sample_rate)
        if len(sound) <= size:
            return [(sound, 0.0, 1.0)]
        parts = []
        for start in range(0, len(sound) - shared, size - shared):
            part = sound[start : start + size]
            first = shared / 2 / len(part) if start else 0.0
            last = 1.0 if start + size >= len(sound) else 1 - shared / 2 / len(part)
            parts.append((part, first, last))
        return parts

    def _hear(self, sound: NDArray[np.float32], first: float, last: float) -> NDArray[np.float32]:
        frames = self._network.run(sound, self.output)
        if len(frames) == 1:
            return frames
        return frames[math.floor(first * len(frames)) : math.ceil(last * len(frames))]

    @property
    def _network(self) -> _Network:
        return _open(self.model, self.weights, os.getpid())


class _Network:
    """The file in onnxruntime."""

    def __init__(self, model: str) -> None:
        self.model = model
        try:
            self.session = open_session(model)
        except ValueError as error:
            raise ConfigError(f"onnx: {model}: {error}; expected an ONNX file.") from None
        self.outputs = tuple(output.name for output in self.session.get_outputs())
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) not in (1, 2):
            found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise ConfigError(
                f"onnx: {model} takes {found}; expected a waveform alone, [1, T] or [T]. Export it "
                f"so."
            )
        self.input = inputs[0]

    def run(self, sound: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """Return frames [T', D]."""
        ready = sound if len(self.input.shape) == 1 else sound[None]
        try:
            found: Any = self.session.run([output], {self.input.name: ready})[0]
        except network_errors() as error:
            reason = " ".join(str(error).split())[:200]
            raise MediaError(
                "E1201",
                "waveform",
                f"{len(sound)} samples: {reason}; expected frames. Leave it out.",
            ) from None
        frames = np.asarray(found, np.float32)
        frames = frames[0] if frames.ndim == 3 else frames
        if frames.ndim != 2:
            raise ConfigError(
                f"onnx: output '{output}' of {self.model} is {list(found.shape)}; expected "
                f"[1, T', D] or [1, D]. Change output."
            )
        return frames

    @cache  # noqa: B019 - networks are kept as long as the process
    def _probe(self, output: str, seconds: int, sample_rate: int) -> tuple[int, int]:
        noise = np.random.default_rng(0).standard_normal(seconds * sample_rate).astype(np.float32)
        frames = self.run(noise, output)
        return frames.shape[0], frames.shape[1]

    def frame_rate(self, output: str, sample_rate: int) -> float:
        """Frames per second, by what the network makes of one second more."""
        few, _ = self._probe(output, 1, sample_rate)
        more, _ = self._probe(output, 3, sample_rate)
        return (more - few) / 2

    def n_columns(self, output: str, sample_rate: int) -> int:
        """D."""
        return self._probe(output, 1, sample_rate)[1]


@cache
def _open(model: str, sha256: str, process: int) -> _Network:
    return _Network(model)


@cache
def _hash(model: str, size: int, changed: int) -> str:
    with Path(model).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
