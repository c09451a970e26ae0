"""The sound of one recording as it comes in: resampled, held while a window needs it, judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectus.media import Intake, Limits, MediaWarning
from affectus.media.measures import find_cutoff, measure_level
from affectus.predictor.network import Waveform
from affectus.predictor.speech import Detector

_SILENT = 10 ** (-70 / 20)  # peak amplitude
_QUIET_DB = -55.0  # level of the speech
_SHORT_SECONDS = 0.8
_BAND_SECONDS = 10.0  # of speech, whose level and spectrum are looked at


class Ear:
    """Takes blocks in; gives stretches of the recording's clock out, in samples at `rate` Hz.

    `begins` is when the first sample is heard, in seconds of that clock. `reached` is how far it
    has come, `ended` whether no more will come.
    """

    def __init__(
        self,
        detector: Detector,
        source_rate: int,
        rate: int,
        name: str,
        limits: Limits,
        begins: float = 0.0,
    ) -> None:
        self.source_rate, self.rate = source_rate, rate
        self._detector = detector
        self._intake = Intake(source_rate, rate, name, limits)
        self._held = np.zeros(0, np.float32)  # from sample `_first` on
        self._first = round(begins * rate)
        self._sounding: list[Waveform] = []  # some speech
        self._said: list[MediaWarning] = []
        self.ended = False

    @property
    def seconds(self) -> float:
        """Seconds taken in."""
        return self._intake.seconds

    @property
    def reached(self) -> int:
        """The sample of the clock behind the last one that is held."""
        return self._first + len(self._held)

    def take(self, block: Waveform) -> None:
        """Take in the next samples. Raises MediaError for what cannot be used."""
        self._held = np.concatenate([self._held, self._intake.take(block)])

    def end(self, warnings: Sequence[MediaWarning] = ()) -> None:
        """Take the rest in; `warnings` are the decoder's. Raises MediaError if it is too little."""
        rest, found = self._intake.finish()
        self._held = np.concatenate([self._held, rest])
        self._said += [*warnings, *found]
        self.ended = True

    def cut(self, start: int, end: int, least: int = 1) -> Waveform | None:
        """Return what is held of a stretch, or None without speech or `least` samples."""
        window = self._held[max(0, start - self._first) : max(0, end - self._first)]
        if len(window) < least or not self._has_speech(window):
            return None
        if sum(map(len, self._sounding)) < _BAND_SECONDS * self.rate:
            self._sounding.append(window.copy())  # not a view of all that was fed
        return window

    def drop(self, before: int) -> None:
        """Forget what lies before a sample of the clock."""
        gone = min(max(0, before - self._first), len(self._held))
        self._held = self._held[gone:]
        self._first += gone

    def _has_speech(self, window: Waveform) -> bool:
        return bool(np.abs(window).max() > _SILENT) and self._detector(window)

    def judge(self) -> list[MediaWarning]:
        """Return what an answer should be read with: what the gate found, then the speech."""
        return [*self._said, *self._judge_speech()]

    def _judge_speech(self) -> list[MediaWarning]:
        if not self._sounding:
            text = "no speech: only silence, steady sound, noise or music"
            silent = any(code == "W1304" for code, _ in self._said)
            return [] if silent else [MediaWarning("W1307", text)]
        found = []
        if self.seconds < _SHORT_SECONDS:
            text = f"short: {self.seconds:.2f} s; below {_SHORT_SECONDS:g} s answers are poor"
            found.append(MediaWarning("W1202", text))
        sound = np.concatenate(self._sounding)
        level = measure_level(sound, self.rate)
        if level < _QUIET_DB:
            text = f"very quiet: speech at {level:.0f} dB of full scale"
            found.append(MediaWarning("W1308", text))
        cutoff = find_cutoff(sound, self.rate)
        if cutoff is not None and self.source_rate >= self.rate:
            text = f"narrow band: nothing above {cutoff:,} Hz, as after a telephone or coarse codec"
            found.append(MediaWarning("W1106", text))
        return found
