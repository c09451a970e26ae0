"""Windows over a recording, and how their scores become segments."""

from __future__ import annotations

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


class Timeline:
    """Turns windows into segments as they come, in memory that grows with the segments alone.

    Time is cut into cells of one hop. A cell's scores are the mean of those of the windows over it;
    but it has no speech where half of them or more have none. Neighbouring cells with the same
    answer are one segment, whose scores are the mean of theirs.
    """

    def __init__(self, grid: Grid, labelling: Labelling) -> None:
        self._hop, self._labelling = grid.hop, labelling
        self._per_window = max(1, round(grid.window / grid.hop))
        self._first = 0  # the number of the first open cell
        self._open: list[list[Scores | None]] = []  # of each open cell, the windows over it
        self._end = 0.0
        self._segments: list[Segment] = []
        self._run: tuple[float, list[Scores | None]] | None = None  # start, the cells' scores
        self._sum: Scores | float = 0.0
        self._n_spoken = 0

    def add(self, number: int, end: float, scores: Scores | None) -> None:
        """Take window `number`, up to `end` seconds; scores [K] None where it has no speech."""
        while self._first < number:
            self._close_cell()
        self._end = end
        self._open += [[] for _ in range(self._per_window - len(self._open))]
        for place, cell in enumerate(self._open):
            if (number + place) * self._hop < end:
                cell.append(scores)
        if scores is not None:
            self._sum = self._sum + scores
            self._n_spoken += 1

    def finish(self) -> tuple[list[Segment], Scores | None]:
        """Return the segments, and the mean scores of all windows with speech, or None."""
        while self._open:
            self._close_cell()
        self._close_run(self._end)
        return self._segments, np.asarray(self._sum / self._n_spoken) if self._n_spoken else None

    def _close_cell(self) -> None:
        windows = self._open.pop(0)
        start = self._first * self._hop
        self._first += 1
        if not windows:  # behind the end
            return
        spoken = [scores for scores in windows if scores is not None]
        scores = np.mean(spoken, axis=0) if 2 * len(spoken) > len(windows) else None
        if self._run is not None:
            before = self._labelling.decide(self._run[1][-1])
            if self._labelling.decide(scores) != before:
                self._close_run(start)
        if self._run is None:
            self._run = start, []
        self._run[1].append(scores)

    def _close_run(self, end: float) -> None:
        if self._run is None:
            return
        start, cells = self._run
        spoken = [scores for scores in cells if scores is not None]
        mean = np.mean(spoken, axis=0) if spoken else None
        self._segments.append(self._labelling.segment(start, end, mean))
        self._run = None
