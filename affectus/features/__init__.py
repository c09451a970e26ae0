"""Extractors: pure functions from a waveform, or from a film's frames, to an array of frames.

An extractor knows no file, manifest or store. The same object serves training (through
`extraction`) and prediction, so both see the same numbers. To add one: a frozen dataclass with
`name`, `version`, `parameters()` and `__call__`, and a line in `_EXTRACTORS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError, nearest
from affectus.features.descriptors import Descriptors
from affectus.features.embedding import Embedding
from affectus.features.face import FaceCrops, FaceEmbedding, Watch
from affectus.features.functionals import Functionals
from affectus.features.onnx import Onnx
from affectus.features.opensmile import Compare, CompareFrames, Egemaps, EgemapsFrames
from affectus.features.speech import SPEECH
from affectus.features.voice import LogMel
from affectus.features.waveform import Waveform
from affectus.media import Frame

Parameter = str | int | float | bool | None


class Extractor(Protocol):
    """What every extractor of the voice offers.

    Calling it takes a waveform [T] float32 (mono, −1 to 1) and its `sample_rate` in Hz, and gives
    frames [T', D] float32 at `frame_rate` Hz. One that computes several faster together has `many`
    (waveforms, sample_rate), and `batches` (their lengths in samples), which says which together;
    one that needs more address space than a worker has says how much in `memory_bytes`; one that
    has heard corpora before has `check_heard` (corpora).
    """

    @property
    def name(self) -> str:
        """The feature set's name, as `--features` takes it."""

    @property
    def version(self) -> int:
        """Raised whenever the same waveform would give other numbers."""

    @property
    def sample_rate(self) -> int:
        """The rate (Hz) of the waveform it takes."""

    @property
    def frame_rate(self) -> float:
        """Frames per second; 0 if there is one row for the whole clip."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the D columns."""

    def parameters(self) -> dict[str, Parameter]:
        """Return every setting, so that `create_extractor(name, **parameters)` is its equal."""

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Return frames [T', D] of a waveform [T]."""


class FaceExtractor(Protocol):
    """What every extractor of the face offers; for `name` to `parameters` see Extractor.

    Calling it takes a film's frames and gives rows, as `affectus.face_rows` says.
    """

    @property
    def name(self) -> str:
        """The feature set's name."""

    @property
    def version(self) -> int:
        """Raised whenever the same film would give other numbers."""

    @property
    def rate(self) -> float:
        """Frames per second that it looks at."""

    @property
    def min_found(self) -> float:
        """The share of frames that must show a face."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""

    def parameters(self) -> dict[str, Parameter]:
        """Return every setting."""

    def expect_faces(self, info: NDArray[np.float32], name: str) -> None:
        """Raise MediaError E1606 where a clip's rows [F, 10] by INFO show too few faces."""

    @property
    def few(self) -> str:
        """What becomes of a clip with fewer: fail or warn."""

    def watch(self) -> Watch:
        """Return what looks at one film, frame by frame."""

    def __call__(self, frames: Iterable[Frame]) -> NDArray[Any]:
        """Return rows [F, D] of frames."""


_EXTRACTORS: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (
        LogMel, Descriptors, Functionals, Embedding, Waveform, *SPEECH, Onnx,
        Egemaps, EgemapsFrames, Compare, CompareFrames,
        FaceCrops, FaceEmbedding,
    )
}  # fmt: skip


def list_extractors() -> tuple[str, ...]:
    """Return the names that `create_extractor` knows."""
    return tuple(_EXTRACTORS)


def create_extractor(name: str, **parameters: Any) -> Extractor:
    """Return the extractor `name` with its defaults, changed where `parameters` say so.

    Raises ConfigError for an unknown name or parameter, or a value out of range.
    """
    if name not in _EXTRACTORS:
        raise ConfigError(
            f"no features '{name}'; known: {', '.join(_EXTRACTORS)}.{nearest(name, _EXTRACTORS)}"
        )
    kind = _EXTRACTORS[name]
    known = {field.name: str(field.type) for field in fields(kind)}
    for parameter, value in parameters.items():
        if parameter not in known:
            raise ConfigError(
                f"features '{name}' have no parameter '{parameter}'; known: "
                f"{', '.join(sorted(known))}.{nearest(parameter, known)}"
            )
        types = known[parameter].split(" | ")
        if type(value) is int and "float" in types:  # 50 and 50.0 are one setting, and one hash
            parameters[parameter] = float(value)
        elif type(value).__name__.removesuffix("Type") not in types:
            raise ConfigError(
                f"features '{name}': {parameter} is {value!r}; expected {' or '.join(types)}. "
                f"Change it."
            )
    extractor: Extractor = kind(**parameters)
    return extractor


def sees(extractor: Extractor | FaceExtractor) -> TypeGuard[FaceExtractor]:
    """Tell whether an extractor takes a film's frames, and not a waveform."""
    return getattr(extractor, "modality", "voice") == "face"


def describe_extractor(extractor: Extractor) -> dict[str, Parameter]:
    """Return name, version and parameters in one flat record: what a store and a model keep."""
    return {"name": extractor.name, "version": extractor.version, **extractor.parameters()}


def restore_extractor(record: Mapping[str, Any]) -> Extractor:
    """Return the extractor that a record of `describe_extractor` names.

    Raises ConfigError if this version of the package computes other numbers than the record's.
    """
    parameters = {k: v for k, v in record.items() if k not in ("name", "version")}
    extractor = create_extractor(str(record.get("name")), **parameters)
    if extractor.version != record.get("version"):
        raise ConfigError(
            f"features '{extractor.name}' were made by version {record.get('version')}; expected "
            f"version {extractor.version}. Extract them again, or train the model again."
        )
    return extractor


def read_record(record: Mapping[str, Any]) -> tuple[tuple[str, ...], float | None]:
    """Return the columns and the frame rate (Hz) of a store's feature set, from its record.

    The rate is None where a clip is no sequence, or its times are not known. Raises ConfigError if
    the record is of an extractor that this version of the package does not have.
    """
    if record.get("kind") == "imported":
        rate = record["frame_rate"]
        return tuple(record["columns"]), None if rate is None else float(rate)
    extractor = restore_extractor({k: v for k, v in record.items() if k != "decoder"})
    return extractor.columns, extractor.frame_rate or None


def hash_record(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record of plain values, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(dict(record), sort_keys=True).encode()).hexdigest()
