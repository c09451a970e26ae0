"""The model's own ears, eyes and network: what is heard and seen to scores, alone or in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile, adapt, learn
from affectus.errors import ConfigError, ModelError
from affectus.features import (
    Extractor,
    FaceExtractor,
    hash_record,
    restore_extractor,
    sees,
)
from affectus.memory import keep_freed_memory
from affectus.model_folder import PRETRAINED, read_model, read_statistics
from affectus.onnx_session import open_session

Waveform = NDArray[np.float32]
Frames = Any  # what `hear` makes of a waveform; of one network an array [T', D]
Faces = NDArray[np.float32]  # the frames [F, D'] that show a face
Seen = tuple[Faces | None, ...]  # the same clip's faces, by each of the model's `eyes`


class Network:
    """One network of a model folder, loaded and checked: `facts` is its model.json.

    Safe to use from several threads at once. `threads` is how many processors one call may use.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        keep_freed_memory()
        self.folder = folder
        self.facts, _ = read_model(folder)
        if self.facts.members:
            raise ModelError(f"{folder}: a fused model; expected one network. Export it again.")
        self.extractor = restore(folder, self.facts.extractor)
        self.features = hash_record(self.facts.extractor)
        self.card = name_card(folder)
        self.streams = self.facts.streams
        try:
            self._session = open_session(folder / "model.onnx", threads=threads)  # just checked
        except ValueError as error:
            raise ModelError(
                f"{folder}/model.onnx: {error}; expected a network. Export it again."
            ) from None
        self._check_shapes()
        shapes = {stream.name: stream.shape for stream in self._session.get_inputs()}
        self._n_voice = int(shapes["voice"][2]) if "voice" in shapes else 0
        self._n_face = int(shapes["face"][2]) if "face" in shapes else 0

    def _check_shapes(self) -> None:
        """Refuse a network that takes other streams or features, or has scores of other labels."""
        session = self._session
        shapes = {one.name: one.shape for one in (*session.get_inputs(), *session.get_outputs())}
        expected = dict.fromkeys(self.streams, 0) | {"logits": len(self.facts.labels)}
        if "voice" in expected:
            expected["voice"] = len(self.extractor.columns)
        for name, n_columns in expected.items():
            if name not in shapes or (n_columns and shapes[name][-1] != n_columns):
                found = f"has {name} of {shapes[name][-1]}" if name in shapes else f"has no {name}"
                raise ModelError(
                    f"{self.folder}/model.onnx: {found}; expected {n_columns or 'it'}, as "
                    f"model.json says. Export it again."
                )

    @cached_property
    def eyes(self) -> tuple[FaceExtractor, ...]:
        """What looks at films: one extractor, or none."""
        return tuple(restore_eye(self.folder, record) for record in [self.facts.face] if record)

    @cached_property
    def _statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return read_statistics(self.folder)

    def hear(self, waveform: Waveform) -> Frames:
        """Return the frames [T', D] of a waveform at the extractor's rate."""
        return self.extractor(waveform, self.extractor.sample_rate)

    def learn_speaker(
        self, clips: Iterable[Waveform], profile: SpeakerProfile | None
    ) -> SpeakerProfile:
        """Return a speaker's profile after some more clips."""
        return self.learn_frames((self.hear(clip) for clip in clips), profile)

    def learn_frames(
        self, clips: Iterable[Frames], profile: SpeakerProfile | None
    ) -> SpeakerProfile:
        """Return a speaker's profile after some more clips that were heard, [T', D] each."""
        self.check_profile(profile)
        self._check_adapts()
        return learn(clips, self.features, profile)

    def check_profile(self, profile: SpeakerProfile | None) -> None:
        """Refuse a profile of other features, or any where the model takes sound: ConfigError."""
        if profile is not None:
            self._check_adapts()
        if profile is not None and (
            profile.features != self.features or len(profile.mean) != len(self.extractor.columns)
        ):
            raise ConfigError(
                f"speaker: the profile was made of other features than those of model "
                f"'{self.facts.name}'; expected the same. Make it again from clips."
            )

    def _check_adapts(self) -> None:
        if "voice" not in self.streams or self.extractor.name == "waveform":
            what = "a face alone" if "voice" not in self.streams else "the sound itself"
            raise ConfigError(
                f"speaker: model '{self.facts.name}' takes {what}, which has no features "
                f"to adapt; expected a model of a voice's features. Leave the speaker out."
            )

    def logits(
        self,
        clips: Sequence[Frames | None],
        profile: SpeakerProfile | None = None,
        faces: Sequence[Seen | None] | None = None,
    ) -> NDArray[np.float64]:
        """Return logits [B, K] over the temperature, of clips [T', D] of any lengths.

        `faces` are the same clips'. None stands for a stream that is missing: its length is 0. Each
        clip needs one of the model's streams.
        """
        if profile is not None:
            mean, deviation = self._statistics
            clips = [
                None if frames is None else adapt(frames, profile, mean, deviation)
                for frames in clips
            ]
        streams: dict[str, NDArray[Any]] = {}
        if self._n_voice:
            streams["voice"], streams["voice_lengths"] = _pad(clips, self._n_voice)
        if self._n_face:
            own = [None if seen is None else seen[0] for seen in faces or [None] * len(clips)]
            streams["face"], streams["face_lengths"] = _pad(own, self._n_face)
        found = self._session.run(["logits"], streams)[0]
        logits: NDArray[np.float64] = found.astype(np.float64) / self.facts.temperature
        return logits


def _pad(
    clips: Sequence[NDArray[np.float32] | None], n_columns: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return clips [T, D] as one array [B, T, D], and their lengths; 0 for None."""
    lengths = np.array([0 if rows is None else len(rows) for rows in clips])
    padded = np.zeros((len(clips), max(1, lengths.max()), n_columns), np.float32)
    for row, rows in zip(padded, clips, strict=True):
        if rows is not None:
            row[: len(rows)] = rows
    return padded, lengths


def name_card(folder: Path) -> str:
    """Return how to read what a model can do."""
    shipped = folder.parent == PRETRAINED
    return f"affectus models {folder.name}" if shipped else "the model's MODEL_CARD.md"


def restore(folder: Path, record: dict[str, Any]) -> Extractor:
    """Return the extractor that a model folder records, or raise ModelError."""
    try:
        return restore_extractor(record)
    except ConfigError as error:
        raise ModelError(f"{folder}/model.json: {error.message}") from None
    except TypeError as error:  # a parameter of another type
        raise ModelError(f"{folder}/model.json: {error}; export it again.") from None


def restore_eye(folder: Path, record: dict[str, Any]) -> FaceExtractor:
    """Return the extractor of faces that a model folder records, or raise ModelError."""
    extractor = restore(folder, record)
    if not sees(extractor):
        raise ModelError(
            f"{folder}/model.json: its face's features are '{extractor.name}'; expected features "
            f"of a film. Export it again."
        )
    return extractor
