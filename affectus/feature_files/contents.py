"""What a feature file says of one clip, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectus.errors import FeatureFileError

SHOWN = 3  # names in a message
_MOST_MISSING = 0.5  # share of rows without content beyond which a clip is refused


@dataclass(frozen=True)
class Contents:
    """One clip's features as they stand in a file: `frames` [T, D] float32.

    `times` [T] are seconds, `valid` [T] tells the rows that were found (a face, say); None where a
    file has none. `label` is a number of a scheme in labels.py, `emotion` a word. `passed_over`
    names the arrays that would have to be unpickled.
    """

    frames: NDArray[np.float32]
    times: NDArray[np.float64] | None = None
    valid: NDArray[np.bool_] | None = None
    label: int | None = None
    emotion: str = ""
    columns: tuple[str, ...] = ()
    frame_rate: float | None = None
    passed_over: tuple[str, ...] = ()

    def empty_rows(self) -> NDArray[np.bool_]:
        """Return [T]: true where a row is marked as not valid or, without marks, is all zeros."""
        return np.logical_not(self.frames.any(axis=1) if self.valid is None else self.valid)


@dataclass(frozen=True)
class Facts:
    """What is kept of a clip's contents once they were looked at; small, for there are many.

    `repeated`: more than one row, and all the same. `time_fault` says how the times do not fit.
    """

    n_rows: int
    n_columns: int
    n_empty: int
    repeated: bool
    frame_rate: float | None
    time_fault: str
    label: int | None
    emotion: str
    columns: tuple[str, ...]
    passed_over: tuple[str, ...]
    sha256: str


def examine(contents: Contents, name: str) -> Facts:
    """Look at one clip's contents; refuse (FeatureFileError) what can be no features of it."""
    frames = contents.frames
    n_rows, n_columns = frames.shape
    if not n_rows or not n_columns:
        text = f"frames are {list(frames.shape)}; expected one row at least."
        raise FeatureFileError("E1702", name, text)
    if contents.columns and len(contents.columns) != n_columns:
        text = f"{len(contents.columns)} column names for {n_columns} columns; expected as many."
        raise FeatureFileError("E1702", name, text)
    bad = ~np.isfinite(frames)
    if bad.any():
        row, column = (int(place[0]) for place in np.nonzero(bad))
        where = contents.columns[column] if contents.columns else column
        raise FeatureFileError(
            "E1704", name, f"{int(bad.sum()):,} of {frames.size:,} values are not finite (the "
            f"first in row {row}, column {where}); expected numbers."
        )  # fmt: skip
    if contents.valid is not None and contents.valid.shape != (n_rows,):
        text = f"valid_frames has {contents.valid.size} marks for {n_rows} rows; expected as many."
        raise FeatureFileError("E1702", name, text)
    n_empty = int(contents.empty_rows().sum())
    if n_empty == n_rows:
        text = f"all {n_rows} rows are zero or marked as not valid; expected features in them."
        raise FeatureFileError("E1705", name, text)
    rate, fault = _frame_rate(contents.times, n_rows)
    return Facts(
        n_rows=n_rows,
        n_columns=n_columns,
        n_empty=n_empty,
        repeated=n_rows > 1 and bool((frames == frames[0]).all()),
        frame_rate=contents.frame_rate or rate,
        time_fault=fault,
        label=contents.label,
        emotion=contents.emotion,
        columns=contents.columns,
        passed_over=contents.passed_over,
        sha256=hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest(),
    )


def check_emptiness(facts: Facts, name: str) -> None:
    """Refuse (FeatureFileError) a clip of which more than half the rows hold nothing."""
    if facts.n_empty > _MOST_MISSING * facts.n_rows:
        raise FeatureFileError(
            "E1705", name, f"{facts.n_empty} of {facts.n_rows} rows are zero or marked as not "
            f"valid; expected at most {_MOST_MISSING:.0%}."
        )  # fmt: skip


def _frame_rate(times: NDArray[np.float64] | None, n_rows: int) -> tuple[float | None, str]:
    """Return the rate (Hz) that timestamps tell, and what is wrong with them."""
    if times is None:
        return None, ""
    if times.shape != (n_rows,):
        twice = (
            f" ({n_rows // len(times)} times as many)"
            if times.size and n_rows % times.size == 0
            else ""
        )
        return None, f"{n_rows} rows{twice}, {times.size} timestamps"
    if not np.isfinite(times).all():
        return None, "timestamps are not finite"
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int((steps <= 0).argmax()) + 1
        return None, f"timestamps do not increase at row {row}"
    return (float(1 / np.median(steps)) if len(steps) else None), ""


def some_of(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
