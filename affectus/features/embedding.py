"""Embeddings: what a trained network makes of a recording, step by step, as features for another.

An untrained network gives numbers, too, and they mean nothing: only a model folder of `affectus
export` is taken, whose weights come from a training, and their hash is part of the record.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError, ModelError
from affectus.model_folder import ModelFacts, read_model
from affectus.onnx_session import open_session

if TYPE_CHECKING:
    from affectus.features import Extractor


@dataclass(frozen=True)
class Embedding:
    """The frames [T', H] of a trained network, before it pools them over time.

    `model` is a model folder; `weights` the SHA-256 of its network, filled in by itself and checked
    when it is given. T' follows the length of the recording. Networks that make no single sequence
    of frames (`affectus export` writes no output `frames` for them) are refused.
    """

    model: str = ""
    weights: str = ""

    name: ClassVar[str] = "embedding"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "embedding: no model; expected a trained one. Give it: --model FOLDER, as "
                "'affectus export' writes it."
            )
        facts = _open(self.model).facts
        if not facts.provenance.get("weights_sha256"):
            raise ModelError(
                f"{self.model}: no record of a training; expected weights that were trained. "
                f"Export a run: affectus export"
            )
        found = facts.sha256["model.onnx"]
        if self.weights not in ("", found):
            raise ConfigError(
                f"embedding: the network at {self.model} is {found[:12]}…; expected "
                f"{self.weights[:12]}…, which the features were made with. Give that model."
            )
        object.__setattr__(self, "weights", found)

    @property
    def sample_rate(self) -> int:
        """The rate (Hz) that the model's own features take."""
        return _open(self.model).extractor.sample_rate

    @property
    def frame_rate(self) -> float:
        """Steps per second."""
        encoder = _open(self.model)
        return encoder.extractor.frame_rate / encoder.frames_per_step

    @property
    def columns(self) -> tuple[str, ...]:
        """One name a dimension."""
        return tuple(f"embedding_{n:04d}" for n in range(_open(self.model).n_columns))

    def parameters(self) -> dict[str, str | int | float | bool | None]:
        """Return every setting."""
        return {"model": str(Path(self.model).resolve()), "weights": self.weights}

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return frames [T', H] float32."""
        encoder = _open(self.model)
        return encoder.encode(encoder.extractor(waveform, sample_rate))


class _Encoder:
    """A model folder's network, for its frames, and the `extractor` of what it takes."""

    def __init__(self, folder: str) -> None:
        # Here, as it is of this package.
        from affectus.features import restore_extractor

        self.facts: ModelFacts
        self.facts, _ = read_model(folder)
        self.extractor: Extractor = restore_extractor(self.facts.extractor)
        self.session = open_session(Path(folder) / "model.onnx")  # just checked
        shapes = {output.name: output.shape for output in self.session.get_outputs()}
        if "frames" not in shapes:
            raise ModelError(
                f"{folder}: its network makes no frames; expected one that does, as crnn, cnn or "
                f"tcn. Train one of those, or export again."
            )
        self.n_columns = int(shapes["frames"][2])
        self.n_bands = int(self.session.get_inputs()[0].shape[2])
        # By what the network does: 1,024 frames of silence, and how many steps they become.
        self.frames_per_step = 1_024 / len(self.encode(np.zeros((1_024, self.n_bands), "f4")))

    def encode(self, voice: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = {"voice": voice[None], "voice_lengths": np.array([len(voice)])}
        frames, lengths = self.session.run(["frames", "frame_lengths"], inputs)
        return np.ascontiguousarray(frames[0, : int(lengths[0])], np.float32)


@cache
def _open_at(folder: str, process: int) -> _Encoder:
    return _Encoder(folder)


def _open(folder: str) -> _Encoder:
    """Return a model folder's network, opened once a process: a session does not survive a fork."""
    return _open_at(str(Path(folder).resolve()), os.getpid())
