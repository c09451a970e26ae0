"""A fused model: several networks answer the same recording, and their scores become one answer.

Each is asked with the streams that there are; who has none of its own is not asked. The scores are
pooled with the weights that were fitted for just those who answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile
from affectus.errors import ConfigError, ModelError
from affectus.features import FaceExtractor, hash_record
from affectus.model_folder import find_weights, read_model
from affectus.pooling import logarithms, pool
from affectus.predictor.network import Frames, Network, Seen, Waveform, name_card


class FusedNetwork:
    """The networks of a fused model's folder; what it offers is what Network does.

    What `hear` makes of a waveform is a list, an array for each network.

    Raises ModelError if the networks do not go together.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.folder = folder
        self.facts, _ = read_model(folder)
        self.members = [Network(folder / name, threads=threads) for name in self.facts.members]
        self.card = name_card(folder)
        self.streams = self.facts.streams
        self._hearing = [one for one in self.members if "voice" in one.streams]
        self.extractor = (self._hearing or self.members)[0].extractor
        for one in self.members:
            if one.facts.labels != self.facts.labels:
                raise ModelError(f"{one.folder}: other labels than {folder}. Export it again.")
        for one in self._hearing:
            if one.extractor.sample_rate != self.extractor.sample_rate:
                raise ModelError(
                    f"{one.folder}: hears {one.extractor.sample_rate:,} Hz; expected "
                    f"{self.extractor.sample_rate:,}, as the others. Fuse models of one rate."
                )

    @cached_property
    def eyes(self) -> tuple[FaceExtractor, ...]:
        """What looks at films, each once: of one rate, since they look at the same frames."""
        found = {hash_record(one.facts.face): one.eyes[0] for one in self.members if one.facts.face}
        rates = {eye.rate for eye in found.values()}
        if len(rates) > 1:
            raise ModelError(
                f"{self.folder}: faces at {', '.join(f'{rate:g}' for rate in sorted(rates))} "
                f"frames a second; expected one rate. Fuse models of one."
            )
        return tuple(found.values())

    @cached_property
    def _eye_of(self) -> list[int | None]:
        """For each network, which of `eyes` is its own."""
        records = list(
            dict.fromkeys(hash_record(one.facts.face) for one in self.members if one.facts.face)
        )
        return [
            records.index(hash_record(one.facts.face)) if one.facts.face else None
            for one in self.members
        ]

    def hear(self, waveform: Waveform) -> Frames:
        """Return the frames [T', D] that each network makes of a waveform; None for who is deaf."""
        made: dict[str, Frames] = {}
        for one in self._hearing:
            if one.features not in made:
                made[one.features] = one.hear(waveform)
        return [made.get(one.features) if one in self._hearing else None for one in self.members]

    def learn_speaker(
        self, clips: Iterable[Waveform], profile: SpeakerProfile | None
    ) -> SpeakerProfile:
        """Return a speaker's profile after some more clips."""
        return self._adapting().learn_speaker(clips, profile)

    def check_profile(self, profile: SpeakerProfile | None) -> None:
        """Refuse a profile of other features, or where there are several: ConfigError."""
        if profile is not None:
            self._adapting().check_profile(profile)

    def _adapting(self) -> Network:
        if len({one.features for one in self._hearing}) != 1:
            raise ConfigError(
                f"speaker: the fused model '{self.facts.name}' hears "
                f"{len({one.features for one in self._hearing})} kinds of features; expected one, "
                f"to adapt. Leave the speaker out."
            )
        return self._hearing[0]

    def logits(
        self,
        clips: Sequence[Frames | None],
        profile: SpeakerProfile | None = None,
        faces: Sequence[Seen | None] | None = None,
    ) -> NDArray[np.float64]:
        """Return logarithms of the fused scores [B, K]; see Network.logits."""
        seen = faces or [None] * len(clips)
        logs = np.zeros((len(self.members), len(clips), len(self.facts.labels)))
        answered = np.zeros(logs.shape[:2], np.bool_)
        for place, (one, eye) in enumerate(zip(self.members, self._eye_of, strict=True)):
            voice = [clip and clip[place] for clip in clips]
            own = [None if eye is None or one_seen is None else one_seen[eye] for one_seen in seen]
            answered[place] = [
                (v is not None and "voice" in one.streams) or f is not None
                for v, f in zip(voice, own, strict=True)
            ]
            rows = np.flatnonzero(answered[place])
            if len(rows):
                logs[place, rows] = _untempered(
                    one,
                    [voice[row] for row in rows],
                    profile if one in self._hearing else None,
                    [(own[row],) for row in rows],
                )
        fused = np.zeros(logs.shape[1:])
        for pattern in np.unique(answered, axis=1).T:
            inside = (answered == pattern[:, None]).all(0)
            who = tuple(np.flatnonzero(pattern).tolist())
            weights = np.array(find_weights(self.facts, who))
            fused[inside] = logarithms(pool(logs[list(who)][:, inside], weights))
        return fused


def _untempered(
    network: Network,
    voice: Sequence[Frames | None],
    profile: SpeakerProfile | None,
    faces: Sequence[Seen],
) -> NDArray[np.float64]:
    """Return the logarithms of a network's scores, as they were when the weights were fitted."""
    logits = network.logits(voice, profile, faces) * network.facts.temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return logarithms(powers / powers.sum(1, keepdims=True))
