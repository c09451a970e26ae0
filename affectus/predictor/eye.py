"""The face in one film as it comes in: followed, held while a window needs it, judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectus.face_rows import FOUND, INFO, FaceRows, split_rows
from affectus.features import FaceExtractor
from affectus.features.face import find_faults
from affectus.media import Frame, MediaWarning
from affectus.predictor.network import Faces

Info = NDArray[np.float32]

_AHEAD = 8  # frames that are looked at before their rows are taken over


class Eye:
    """Takes frames in; gives the faces in stretches of the film's clock out.

    `extractors` all look at the same frames, at one rate; `rate` (Hz) is that of the clock in which
    stretches are told, as of Ear. A stretch with faces in fewer frames than an extractor asks for
    has none, unless that is to be a warning.
    """

    def __init__(self, extractors: Sequence[FaceExtractor], rate: int) -> None:
        self._extractors, self._rate = extractors, rate
        self._watches = [extractor.watch() for extractor in extractors]
        self._held: list[list[FaceRows]] = [[] for _ in extractors]
        self._waiting = 0
        self._info: list[Info] = []  # of all frames: two megabytes an hour
        self._said: list[MediaWarning] = []
        self._seconds = 0.0
        self.n_frames = 0
        self.ended = False

    @property
    def reached(self) -> int:
        """The sample of the clock up to which the last frame is shown."""
        return round(self._seconds * self._rate)

    def see(self, frame: Frame) -> None:
        """Take in the next frame."""
        for watch in self._watches:
            watch.look(frame)
        self.n_frames += 1
        self._seconds = frame.time + 1 / self._extractors[0].rate
        self._waiting += 1
        if self._waiting == _AHEAD:
            self._take()

    def end(self, warnings: Sequence[MediaWarning] = ()) -> None:
        """Know that no more comes; `warnings` are the decoder's."""
        self._said += warnings
        self.ended = True

    def _take(self) -> None:
        for watch, held in zip(self._watches, self._held, strict=True):
            held.append(split_rows(watch.take()))
        self._waiting = 0
        self._info.append(self._held[0][-1].info)

    def cut(self, start: int, end: int) -> tuple[Faces | None, ...] | None:
        """Return the frames [F, D] with a face in a stretch, for each extractor; None for none."""
        if self._waiting:
            self._take()
        pairs = zip(self._extractors, self._held, strict=True)
        faces = tuple(self._cut(extractor, held, start, end) for extractor, held in pairs)
        return None if all(face is None for face in faces) else faces

    def _cut(
        self, extractor: FaceExtractor, held: list[FaceRows], start: int, end: int
    ) -> Faces | None:
        found, n_frames = [], 0
        for rows in held:
            places = np.round(rows.times.astype(np.float64) * self._rate)
            inside = (places >= start) & (places < end)
            n_frames += int(inside.sum())
            found.append(rows.values[inside & rows.found])
        n_found = sum(map(len, found))
        least = extractor.min_found * n_frames if extractor.few == "fail" else 0
        if n_found == 0 or n_found < least:
            return None
        return np.concatenate(found).astype(np.float32)

    def drop(self, before: int) -> None:
        """Forget what lies before a place of the clock."""
        for number, held in enumerate(self._held):
            self._held[number] = [
                rows for rows in held if round(float(rows.times[-1]) * self._rate) >= before
            ]

    def judge(self) -> list[MediaWarning]:
        """Return what an answer should be read with."""
        return [*self._said, *find_faults(self._all_info(), self._extractors[0].min_found)]

    def tell(self) -> str:
        """Say in how many frames there was no face."""
        info = self._all_info()
        missing = 1 - float(info[:, FOUND].mean()) if len(info) else 1.0
        return f"no face found in {missing:.0%} of {len(info):,} frames"

    def _all_info(self) -> Info:
        if self._waiting:
            self._take()
        return np.concatenate(self._info) if self._info else np.zeros((0, len(INFO)), np.float32)
