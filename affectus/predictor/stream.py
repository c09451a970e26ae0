"""One recording as it comes in: the only way there is, for files, arrays and microphones alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile
from affectus.errors import ConfigError
from affectus.media import Intake, Limits, MediaWarning, take_samples
from affectus.media.measures import find_cutoff, measure_level
from affectus.predictor.answers import Prediction, Segment
from affectus.predictor.labelling import Labelling
from affectus.predictor.network import Frames, VoiceNetwork, Waveform
from affectus.predictor.speech import Detector
from affectus.predictor.windows import CLIP_SECONDS, HOP, WINDOW, Grid, Timeline

_SILENT = 10 ** (-70 / 20)  # peak amplitude
_QUIET_DB = -55.0  # level of the speech
_SHORT_SECONDS = 0.8
_BAND_SECONDS = 10.0  # of speech, whose level and spectrum are looked at
_BATCH = 16  # windows


@dataclass(frozen=True)
class Settings:
    """How a recording is answered; the same for every window of it."""

    labelling: Labelling
    grid: Grid | None
    smooth: bool
    speaker: SpeakerProfile | None
    limits: Limits


class Stream:
    """A recording in the making: `feed` it samples, then `finish` it.

    What it says in the end is what `Predictor.predict` says of all samples at once. Memory does
    not grow with its length, but for the segments.
    """

    def __init__(
        self,
        network: VoiceNetwork,
        detector: Detector,
        settings: Settings,
        sample_rate: int,
        name: str = "stream",
    ) -> None:
        self._network, self._detector, self._settings = network, detector, settings
        self._source_rate, self._name = sample_rate, name
        self._rate = network.extractor.sample_rate
        self._intake = Intake(sample_rate, self._rate, name, settings.limits)
        self._held = np.zeros(0, np.float32)  # from the next window's first sample on
        self._number = 0  # of the next window
        self._end = 0.0  # second at which the last window ended
        self._sounding: list[Waveform] = []  # some speech
        self._said: list[MediaWarning] = []
        self._windows: list[Segment] = []
        self._finished = False
        self._grid: Grid | None = None
        self._timeline: Timeline | None = None
        if settings.grid is not None:
            self._lay(settings.grid)

    @property
    def seconds(self) -> float:
        """Seconds fed so far."""
        return self._intake.seconds

    def feed(self, samples: NDArray[np.generic]) -> list[Segment]:
        """Take the next samples [t] or [t, C], −1 to 1; return the windows that are now complete.

        These overlap where windows do, and are not smoothed. Without a window asked for, there are
        none in the first 10 s, since up to there the recording is one clip.

        Raises MediaError for samples that cannot be used, LimitError beyond the limits.
        """
        limits = self._settings.limits
        return self.take(take_samples(samples, self._source_rate, name=self._name, limits=limits))

    def _lay(self, grid: Grid) -> None:
        self._grid, self._timeline = grid, Timeline(grid, self._settings.labelling)

    def take(self, block: Waveform) -> list[Segment]:
        """Do what `feed` does, with a mono waveform that was looked at before."""
        self._check_open()
        self._held = np.concatenate([self._held, self._intake.take(block)])
        if self._grid is None and len(self._held) > CLIP_SECONDS * self._rate:
            self._lay(Grid(WINDOW, HOP))
        if self._grid is None:
            return []
        length, hop = self._grid.in_samples(self._rate)
        found: list[Segment] = []
        while len(self._held) >= length:
            n_whole = min(_BATCH, (len(self._held) - length) // hop + 1)
            starts = [number * hop for number in range(n_whole)]
            found += self._answer([self._held[start : start + length] for start in starts])
            self._held = self._held[n_whole * hop :]
        return found

    def finish(self) -> Prediction:
        """Return the answer for everything that was fed; nothing can be fed any more.

        Raises MediaError if that was too little.
        """
        frames = self.close()
        if frames is None:
            return self.conclude(None)
        return self.conclude(self._network.logits([frames], self._settings.speaker)[0])

    def close(self, warnings: Sequence[MediaWarning] = ()) -> Frames | None:
        """Take the rest in; return the frames of a clip that the network must hear, if it must.

        `conclude` then takes what it said. `warnings` are those of the decoder.
        """
        self._check_open()
        self._finished = True
        rest, found = self._intake.finish()
        self._held = np.concatenate([self._held, rest])
        self._said += [*warnings, *found]
        if self._grid is not None:
            self._answer_rest()
        elif self._has_speech(self._held):
            self._sounding.append(self._held)
            return self._network.hear(self._held)
        return None

    def conclude(self, logits: NDArray[np.float64] | None) -> Prediction:
        """Return the answer, given the clip's logits [K] if `close` gave its frames."""
        labelling = self._settings.labelling
        if self._timeline is not None:
            segments, scores = self._timeline.finish()
            segments = segments if self._settings.smooth else self._windows
        else:
            scores = None if logits is None else labelling.scores(logits[None])[0]
            segments = [labelling.segment(0.0, self.seconds, scores)]
        emotion, reason = labelling.decide(scores)
        facts = self._network.facts
        return Prediction(
            file=self._name,
            emotion=emotion,
            reason=reason,
            scores=labelling.name(scores),
            segments=segments,
            used=["voice"],
            warnings=[f"{code} {text}" for code, text in [*self._said, *self._judge_sound()]],
            model=facts.name,
            model_id=facts.sha256["model.onnx"][:16],
            card=self._network.card,
        )

    def _check_open(self) -> None:
        if self._finished:
            raise ConfigError(f"{self._name}: finished already; expected an open stream.")

    def _answer(self, windows: list[Waveform]) -> list[Segment]:
        """Give windows, each a hop after the one before, to the network; return their answers."""
        assert self._timeline is not None and self._grid is not None
        network, labelling = self._network, self._settings.labelling
        spoken = [window for window in windows if self._has_speech(window)]
        for window in spoken:
            if sum(map(len, self._sounding)) < _BAND_SECONDS * self._rate:
                self._sounding.append(window.copy())  # not a view of all that was fed
        frames = [network.hear(window) for window in spoken]
        logits = network.logits(frames, self._settings.speaker) if frames else np.zeros((0, 1))
        rows = iter(labelling.scores(logits) if frames else ())
        found = []
        hop = self._grid.in_samples(self._rate)[1]
        heard = {id(window) for window in spoken}
        for window in windows:
            scores = next(rows) if id(window) in heard else None
            start = self._number * hop / self._rate
            end = start + len(window) / self._rate
            self._timeline.add(self._number, end, scores)
            found.append(labelling.segment(start, end, scores))
            self._number += 1
            self._end = end
        if not self._settings.smooth:
            self._windows += found
        return found

    def _answer_rest(self) -> None:
        """Answer what is left behind the last whole window, if it says enough: half a window."""
        assert self._grid is not None
        length, hop = self._grid.in_samples(self._rate)
        end = (self._number * hop + len(self._held)) / self._rate
        if self._number == 0 or (end > self._end and len(self._held) >= length // 2):
            self._answer([self._held])

    def _has_speech(self, window: Waveform) -> bool:
        return bool(np.abs(window).max() > _SILENT) and self._detector(window)

    def _judge_sound(self) -> list[MediaWarning]:
        """Return what the answer should be read with, beside what the gate found."""
        if not self._sounding:
            text = "no speech: only silence, steady sound, noise or music"
            silent = any(code == "W1304" for code, _ in self._said)
            return [] if silent else [MediaWarning("W1307", text)]
        found = []
        if self.seconds < _SHORT_SECONDS:
            text = f"short: {self.seconds:.2f} s; below {_SHORT_SECONDS:g} s answers are poor"
            found.append(MediaWarning("W1202", text))
        sound = np.concatenate(self._sounding)
        level = measure_level(sound, self._rate)
        if level < _QUIET_DB:
            text = f"very quiet: speech at {level:.0f} dB of full scale"
            found.append(MediaWarning("W1308", text))
        cutoff = find_cutoff(sound, self._rate)
        if cutoff is not None and self._source_rate >= self._rate:
            text = f"narrow band: nothing above {cutoff:,} Hz, as after a telephone or coarse codec"
            found.append(MediaWarning("W1106", text))
        return found
