"""The model's own ears and network: waveforms to scores, alone or in batches, adapted or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile, adapt, learn
from affectus.errors import ConfigError, ModelError
from affectus.features import hash_record, restore_extractor
from affectus.memory import keep_freed_memory
from affectus.model_folder import PRETRAINED, read_model, read_statistics
from affectus.onnx_session import open_session

Waveform = NDArray[np.float32]
Frames = NDArray[np.float32]


class VoiceNetwork:
    """A model folder, loaded and checked: `facts` is its model.json.

    Safe to use from several threads at once. `threads` is how many processors one call may use.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        keep_freed_memory()
        self.folder = folder
        self.facts, network = read_model(folder)
        try:
            self.extractor = restore_extractor(self.facts.extractor)
        except ConfigError as error:
            raise ModelError(f"{folder}/model.json: {error.message}") from None
        except TypeError as error:  # a parameter of another type
            raise ModelError(f"{folder}/model.json: {error}; export it again.") from None
        self.features = hash_record(self.facts.extractor)
        shipped = folder.parent == PRETRAINED
        self.card = f"affectus models {folder.name}" if shipped else "the model's MODEL_CARD.md"
        if "voice" not in self.facts.streams:
            raise ModelError(
                f"{folder}: a model of faces alone; expected one that hears a voice. Evaluate "
                f"it, or predict with another."
            )
        self._session = open_session(network, threads=threads)
        shapes = {stream.name: stream.shape for stream in self._session.get_inputs()}
        self._n_face = int(shapes["face"][2]) if "face" in shapes else 0

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
        self.check_profile(profile)
        self._check_adapts()
        return learn((self.hear(clip) for clip in clips), self.features, profile)

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
        if self.extractor.name == "waveform":
            raise ConfigError(
                f"speaker: model '{self.facts.name}' takes the sound itself, which has no features "
                f"to adapt; expected a model of features. Leave the speaker out."
            )

    def logits(
        self, clips: Sequence[Frames], profile: SpeakerProfile | None = None
    ) -> NDArray[np.float64]:
        """Return logits [B, K] over the temperature, of clips [T', D] of any lengths."""
        lengths = np.array([len(frames) for frames in clips])
        if profile is not None:
            mean, deviation = self._statistics
            clips = [adapt(frames, profile, mean, deviation) for frames in clips]
        voice = np.zeros((len(clips), lengths.max(), clips[0].shape[1]), np.float32)
        for row, frames in zip(voice, clips, strict=True):
            row[: len(frames)] = frames
        streams = {"voice": voice, "voice_lengths": lengths, **self._without_face(len(clips))}
        found = self._session.run(["logits"], streams)[0]
        logits: NDArray[np.float64] = found.astype(np.float64) / self.facts.temperature
        return logits

    def _without_face(self, n_clips: int) -> dict[str, NDArray[Any]]:
        """Return what says to a network of both that there is no face; nothing to one of voices."""
        if not self._n_face:
            return {}
        face = np.zeros((n_clips, 1, self._n_face), np.float32)
        return {"face": face, "face_lengths": np.zeros(n_clips, np.int64)}
