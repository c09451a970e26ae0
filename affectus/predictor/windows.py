"""Windows over a recording, and how their scores become segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.media import Limits
from affectus.predictor.answers import Segment
from affectus.predictor.labelling import Labelling

Scores = NDArray[np.float64]

CLIP_SECONDS = 10.0  # up to here a recording is one clip, unless a window is asked for
WINDOW, HOP = 3.0, 1.5  # seconds


class Grid(NamedTuple):
    """Windows of `window` seconds, a new one each `hop` seconds."""

    window: float
    hop: float

    def in_samples(self, rate: int) -> tuple[int, int]:
        """Return both in samples."""
        return round(self.window * rate), round(self.hop * rate)


def make_grid(window: float | None, hop: float | None, limits: Limits) -> Grid | None:
    """Return the grid that was asked for, or None: then long recordings get the usual one.

    Raises ConfigError if it is out of range.
    """
    if window is not None and not 0.1 <= window <= limits.max_seconds:
        raise ConfigError(f"window is {window:g} s; expected 0.1 to {limits.max_seconds:g} s.")
    if hop is not None and (window is None or not 0.01 <= hop <= window):
        raise ConfigError(f"hop is {hop:g} s; expected 0.01 s to the window's length.")
    return None if window is None else Grid(window, hop or window)


class Answered(NamedTuple):
    """What a window was answered: `scores` [K] of all that was heard and seen, None for nothing.

    `streams` are the scores [K] of each stream alone, where the model has several.
    """

    scores: Scores | None
    streams: Mapping[str, Scores] = MappingProxyType({})


NOTHING = Answered(None)


def average(answers: Sequence[Answered]) -> Answered:
    """Return the mean over the answers, and for each stream over those that it has one in."""
    given = [answer for answer in answers if answer.scores is not None]
    every = [answer.scores for answer in answers if answer.scores is not None]
    if not every:
        return NOTHING
    streams = {
        name: np.asarray(np.mean([one.streams[name] for one in given if name in one.streams], 0))
        for name in dict.fromkeys(name for answer in given for name in answer.streams)
    }
    return Answered(np.asarray(np.mean(every, 0)), streams)


class Timeline:
    """Turns windows into segments as they come, in memory that grows with the segments alone.

    Time is cut into cells of one hop. A cell's scores are the mean of those of the windows over it;
    but it has no answer where half of them or more have none. Neighbouring cells with the same
    answer are one segment, whose scores are the mean of theirs.
    """

    def __init__(self, grid: Grid, labelling: Labelling) -> None:
        self._hop, self._labelling = grid.hop, labelling
        self._per_window = max(1, round(grid.window / grid.hop))
        self._first = 0  # the number of the first open cell
        self._open: list[list[Answered]] = []  # of each open cell, the windows over it
        self._end = 0.0
        self._segments: list[Segment] = []
        self._run: tuple[float, list[Answered]] | None = None  # start, the cells' answers
        self._sums: dict[str, Scores] = {}  # of all windows, by stream; "" for all streams
        self._counts: dict[str, int] = {}

    def add(self, number: int, end: float, answer: Answered) -> None:
        """Take window `number`, up to `end` seconds."""
        while self._first < number:
            self._close_cell()
        self._end = end
        self._open += [[] for _ in range(self._per_window - len(self._open))]
        for place, cell in enumerate(self._open):
            if (number + place) * self._hop < end:
                cell.append(answer)
        if answer.scores is not None:
            for name, scores in [("", answer.scores), *answer.streams.items()]:
                self._sums[name] = self._sums.get(name, 0.0) + scores
                self._counts[name] = self._counts.get(name, 0) + 1

    def finish(self) -> tuple[list[Segment], Answered]:
        """Return the segments, and the mean answer of all windows that have one."""
        while self._open:
            self._close_cell()
        self._close_run(self._end)
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        return self._segments, Answered(means.pop("", None), means)

    def _close_cell(self) -> None:
        windows = self._open.pop(0)
        start = self._first * self._hop
        self._first += 1
        if not windows:  # behind the end
            return
        n_answered = sum(window.scores is not None for window in windows)
        cell = average(windows) if 2 * n_answered > len(windows) else NOTHING
        if self._run is not None:
            before = self._labelling.decide(self._run[1][-1].scores)
            if self._labelling.decide(cell.scores) != before:
                self._close_run(start)
        if self._run is None:
            self._run = start, []
        self._run[1].append(cell)

    def _close_run(self, end: float) -> None:
        if self._run is None:
            return
        start, cells = self._run
        self._segments.append(self._labelling.segment(start, end, *average(cells)))
        self._run = None
