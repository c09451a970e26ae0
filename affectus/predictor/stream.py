"""One recording as it comes in: the only way there is, for files, arrays, microphones, cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile
from affectus.errors import ConfigError
from affectus.media import Frame, Limits, MediaWarning, take_samples
from affectus.predictor.answers import Modality, Prediction, Segment
from affectus.predictor.ear import Ear
from affectus.predictor.eye import Eye
from affectus.predictor.fused import FusedNetwork
from affectus.predictor.labelling import Labelling
from affectus.predictor.network import Frames, Network, Seen, Waveform
from affectus.predictor.windows import (
    CLIP_SECONDS,
    HOP,
    NOTHING,
    WINDOW,
    Answered,
    Grid,
    Scores,
    Timeline,
)

AnyNetwork = Network | FusedNetwork

# Windows that go through the network at once. More are no faster, and onnxruntime keeps the memory
# of the most that it was ever asked about: for sixteen of the crnn 62 MB, for four 20 MB.
BATCH = 4
_LEAST_SECONDS = 0.1  # of sound beside a picture


@dataclass(frozen=True)
class Settings:
    """How a recording is answered; the same for every window of it.

    `without` says of streams that are not there why not.
    """

    labelling: Labelling
    grid: Grid | None
    smooth: bool
    speaker: SpeakerProfile | None
    limits: Limits
    without: Mapping[Modality, str] = field(default_factory=dict)


class Moment(NamedTuple):
    """What was heard and seen in a stretch; None for no speech, or no face."""

    voice: Frames | None
    face: Seen | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be asked about."""
        return self.voice is None and self.face is None


class Stream:
    """A recording in the making: `feed` it samples, and `see` frames, then `finish` it.

    What it says in the end is what `Predictor.predict` says of all samples at once. Memory does
    not grow with its length, but for the segments.
    """

    def __init__(
        self,
        network: AnyNetwork,
        settings: Settings,
        name: str = "stream",
        *,
        ear: Ear | None = None,
        eye: Eye | None = None,
    ) -> None:
        self._network, self._settings, self._name = network, settings, name
        self._ear, self._eye = ear, eye
        self._rate = network.extractor.sample_rate
        self._number = 0  # of the next window
        self._end = 0.0  # second at which the last window ended
        self._windows: list[Segment] = []
        self._n_used = {"voice": 0, "face": 0}  # windows
        self._finished = False
        self._grid: Grid | None = None
        self._timeline: Timeline | None = None
        if settings.grid is not None:
            self._lay(settings.grid)

    @property
    def seconds(self) -> float:
        """Seconds fed so far."""
        return self._ear.seconds if self._ear else self._reached() / self._rate

    def feed(self, samples: NDArray[np.generic]) -> list[Segment]:
        """Take the next samples [t] or [t, C], −1 to 1; return the windows that are now complete.

        These overlap where windows do, and are not smoothed. Without a window asked for, there are
        none in the first 10 s, since up to there the recording is one clip.

        Raises MediaError for samples that cannot be used, LimitError beyond the limits.
        """
        assert self._ear is not None
        limits, rate = self._settings.limits, self._ear.source_rate
        return self.take(take_samples(samples, rate, name=self._name, limits=limits))

    def take(self, block: Waveform) -> list[Segment]:
        """Do what `feed` does, with a mono waveform that was looked at before."""
        self._check_open()
        assert self._ear is not None
        self._ear.take(block)
        return self._advance()

    def see(self, frame: Frame) -> list[Segment]:
        """Take the next frame of the film; return the windows that are now complete."""
        self._check_open()
        assert self._eye is not None
        self._eye.see(frame)
        return self._advance()

    def finish(self) -> Prediction:
        """Return the answer for everything that was fed; nothing can be fed any more.

        Raises MediaError if that was too little.
        """
        moment = self.close()
        return self.conclude(NOTHING if moment is None else self.ask(moment))

    def close(self, warnings: Sequence[MediaWarning] = ()) -> Moment | None:
        """Take the rest in; return the clip that the network must be asked about, if it must.

        `conclude` then takes what it said. `warnings` are those of the decoder of the sound.
        """
        self._check_open()
        self._finished = True
        if self._ear is not None and not self._ear.ended:
            self._ear.end(warnings)
        if self._eye is not None and not self._eye.ended:
            self._eye.end()
        self._advance()
        if self._grid is not None:
            self._answer_rest()
            return None
        moment = self._perceive(0, self._reached())
        return None if moment.is_empty else moment

    def conclude(self, answer: Answered) -> Prediction:
        """Return the answer, given that about the clip if `close` gave it."""
        labelling = self._settings.labelling
        if self._timeline is not None:
            segments, answer = self._timeline.finish()
            segments = segments if self._settings.smooth else self._windows
        else:
            segments = [labelling.segment(0.0, self.seconds, *answer)]
            self._number = 1
        emotion, reason = labelling.decide(answer.scores)
        facts = self._network.facts
        warnings = [
            *(self._ear.judge() if self._ear else ()),
            *(self._eye.judge() if self._eye else ()),
            *self._judge_dropout(),
        ]
        return Prediction(
            file=self._name,
            emotion=emotion,
            reason=reason,
            scores=labelling.name(answer.scores),
            segments=segments,
            used=self._name_used(),
            why=self._explain(),
            streams=labelling.name_streams(answer.streams),
            warnings=[f"{code} {text}" for code, text in dict.fromkeys(warnings)],
            model=facts.name,
            model_id=facts.network_id,
            card=self._network.card,
        )

    def ask(self, moment: Moment) -> Answered:
        """Return what the network says of the clip that `close` gave."""
        return self._ask([moment])[0]

    def read(self, logits: NDArray[np.float64]) -> Answered:
        """Return what logits [K] mean that the network gave for the voice of such a clip."""
        return self._tell_voice(self._settings.labelling.scores(logits[None])[0])

    def _tell_voice(self, scores: Scores) -> Answered:
        return Answered(scores, {"voice": scores} if "face" in self._network.streams else {})

    def _check_open(self) -> None:
        if self._finished:
            raise ConfigError(f"{self._name}: finished already; expected an open stream.")

    # --- windows -------------------------------------------------------------------------------

    def _lay(self, grid: Grid) -> None:
        self._grid, self._timeline = grid, Timeline(grid, self._settings.labelling)

    def _senses(self) -> list[Ear | Eye]:
        return [sense for sense in (self._ear, self._eye) if sense is not None]

    def _reached(self) -> int:
        """Return the sample of the clock that the farther stream has come to."""
        return max(sense.reached for sense in self._senses())

    def _complete(self) -> int:
        """Return the sample of the clock before which nothing more comes."""
        open_ones = [sense.reached for sense in self._senses() if not sense.ended]
        return min(open_ones) if open_ones else self._reached()

    def _advance(self) -> list[Segment]:
        """Answer the windows that are complete."""
        if self._grid is None and self._reached() > CLIP_SECONDS * self._rate:
            self._lay(Grid(WINDOW, HOP))
        if self._grid is None:
            return []
        length, hop = self._grid.in_samples(self._rate)
        found: list[Segment] = []
        while (left := self._complete() - self._number * hop - length) >= 0:
            first, n_whole = self._number, min(BATCH, left // hop + 1)
            starts = [number * hop for number in range(first, first + n_whole)]
            found += self._answer([(start, start + length) for start in starts])
            for sense in self._senses():
                sense.drop(self._number * hop)
        return found

    def _answer_rest(self) -> None:
        """Answer what is left behind the last whole window, if it says enough: half a window."""
        assert self._grid is not None
        length, hop = self._grid.in_samples(self._rate)
        start, end = self._number * hop, self._reached()
        enough = end / self._rate > self._end and end - start >= length // 2
        if self._number == 0 or enough:
            self._answer([(start, end)])

    def _answer(self, stretches: Sequence[tuple[int, int]]) -> list[Segment]:
        """Ask about stretches, each a hop after the one before; return their answers."""
        assert self._timeline is not None
        moments = [self._perceive(start, end) for start, end in stretches]
        asked = [one for one in moments if not one.is_empty]
        given = iter(self._ask(asked) if asked else ())
        found = []
        for (start, end), moment in zip(stretches, moments, strict=True):
            answer = NOTHING if moment.is_empty else next(given)
            self._end = end / self._rate
            self._timeline.add(self._number, self._end, answer)
            segment = self._settings.labelling.segment(start / self._rate, self._end, *answer)
            found.append(segment)
            self._number += 1
        if not self._settings.smooth:
            self._windows += found
        return found

    # --- what is asked -------------------------------------------------------------------------

    def _perceive(self, start: int, end: int) -> Moment:
        """Return what there is to be asked about a stretch, and count it."""
        voice = face = None
        if self._ear is not None:
            least = 1
            if self._eye is not None:  # elsewhere a window is full of sound
                least = round(_LEAST_SECONDS * self._rate)
                least = max(least, (end - start) // 2) if self._number else least
            window = self._ear.cut(start, end, least)
            voice = None if window is None else self._network.hear(window)
            self._n_used["voice"] += voice is not None
        if self._eye is not None:
            face = self._eye.cut(start, end)
            self._n_used["face"] += face is not None
        return Moment(voice, face)

    def _ask(self, moments: Sequence[Moment]) -> list[Answered]:
        """Ask the network about moments; of those with voice and face, about each alone, too."""
        labelling, speaker = self._settings.labelling, self._settings.speaker
        if self._eye is None:
            logits = self._network.logits([one.voice for one in moments], speaker)
            every = labelling.scores(logits)
            return [self._tell_voice(scores) for scores in every]
        rows: list[Moment] = []
        for one in moments:
            rows.append(one)
            if one.voice is not None and one.face is not None:
                rows += [Moment(one.voice), Moment(None, one.face)]
        voices, faces = [row.voice for row in rows], [row.face for row in rows]
        scores = iter(labelling.scores(self._network.logits(voices, speaker, faces)))
        answers = []
        for one in moments:
            whole = next(scores)
            if one.voice is not None and one.face is not None:
                alone = {"voice": next(scores), "face": next(scores)}
            else:
                alone = {"face" if one.voice is None else "voice": whole}
            answers.append(Answered(whole, alone))
        return answers

    # --- what is said --------------------------------------------------------------------------

    def _name_used(self) -> list[str]:
        if self._network.streams == ("voice",):
            return ["voice"]
        return [name for name, n_windows in self._n_used.items() if n_windows]

    def _explain(self) -> str:
        """Say which streams were used, and why not the other."""
        used = self._name_used()
        said = dict(self._settings.without) | self._miss()
        missing = [text for name, text in sorted(said.items(), reverse=True) if name not in used]
        if len(used) == 2:
            counts = list(self._n_used.values())
            if counts == [self._number] * 2:
                return "voice and face"
            return f"voice in {counts[0]:,} and face in {counts[1]:,} of {self._number:,} windows"
        alone = f"{used[0]} alone" if used else "neither voice nor face"
        return f"{alone}: {', '.join(missing)}" if missing else alone

    def _miss(self) -> dict[Modality, str]:
        """Say why a stream that is there was not used."""
        said: dict[Modality, str] = {}
        if self._ear is not None and not self._n_used["voice"]:
            said["voice"] = "no speech"
        if self._eye is not None and not self._n_used["face"]:
            said["face"] = self._eye.tell()
        return said

    def _judge_dropout(self) -> list[MediaWarning]:
        """Say where a network of both, never shown one alone in training, was asked about one."""
        facts, used = self._network.facts, self._name_used()
        if len(facts.streams) < 2 or facts.members or len(used) != 1:
            return []
        if facts.provenance.get("modality_dropout", 0):
            return []
        text = f"the model was trained without modality dropout: of {used[0]} alone it knows little"
        return [MediaWarning("W1704", text)]
