"""What all clips of an imported set have in common, and which clips do not fit it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import FeatureFileError
from affectus.feature_files.contents import Contents, Facts, check_emptiness, some_of

Failed = dict[str, FeatureFileError]  # by clip id
# By number and names of columns: each column's least and greatest value, [D] and [D].
Ranges = dict[tuple[int, tuple[str, ...]], tuple[NDArray[np.float32], NDArray[np.float32]]]

_FUNCTIONALS = 89  # columns of openSMILE's eGeMAPSv02 CSV but for its name: frameTime and 88


@dataclass(frozen=True)
class Layout:
    """What all clips of a set have in common, and what is done to each."""

    columns: tuple[str, ...]
    n_source: int
    frame_rate: float | None
    dropped: tuple[int, ...]
    fold: bool
    drop_empty: bool
    source: str

    def record(self, name: str) -> dict[str, Any]:
        """Return what the store keeps of the set."""
        rows = "one a clip: it was repeated in time" if self.fold else "as in the files"
        return {
            "name": name,
            "kind": "imported",
            "source": self.source,
            "columns": list(self.columns),
            "frame_rate": self.frame_rate,
            "left_out": [f"column {place}: always 0 (frameTime)" for place in self.dropped],
            "rows": rows + (" but for empty ones" if self.drop_empty else ""),
        }

    def apply(self, contents: Contents) -> NDArray[np.float32]:
        """Return the frames [T, D] that are stored."""
        frames = contents.frames
        if self.drop_empty:
            frames = frames[~contents.empty_rows()]
        if self.fold:
            frames = frames[:1]
        return np.delete(frames, self.dropped, axis=1) if self.dropped else frames


def settle(
    facts: dict[str, Facts],
    failed: Failed,
    ranges: Ranges,
    source: str,
    as_is: bool,
    notes: list[str],
) -> Layout:
    """Return what the set has in common; clips of other columns than most have fail."""
    kinds = Counter((found.n_columns, found.columns) for found in facts.values())
    kind = kinds.most_common(1)[0][0]
    n_source, names = kind
    for clip_id, found in list(facts.items()):
        if (found.n_columns, found.columns) != kind:
            text = f"{found.n_columns} columns; expected {n_source}, named as in the other files."
            failed[clip_id] = FeatureFileError("E1702", clip_id, text)
            del facts[clip_id]
    passed_over = sorted({name for f in facts.values() for name in f.passed_over})
    if passed_over:
        notes.append(f"pickled objects were not opened: {', '.join(passed_over)}")
    low, high = ranges[kind]
    stem = source.split()[-1]
    width = len(str(n_source - 1))
    columns = names or tuple(f"{stem}_{place:0{width}d}" for place in range(n_source))
    constant = [place for place in range(n_source) if low[place] == high[place]]
    dropped: tuple[int, ...] = ()
    if n_source == _FUNCTIONALS and not names and 0 in constant and low[0] == 0:
        kept = "kept" if as_is else "left out"
        notes.append(
            f"column 0 of {n_source} is always 0: openSMILE's frameTime, before the 88 functionals "
            f"of eGeMAPSv02. It is {kept}"
        )
        dropped = () if as_is else (0,)
        constant.remove(0)
    if constant and len(facts) > 1:
        notes.append(
            f"{len(constant)} columns never change: {some_of([columns[i] for i in constant])}"
        )
    n_repeated = sum(f.repeated for f in facts.values())
    fold = not as_is and n_repeated > 0 and all(f.repeated or f.n_rows == 1 for f in facts.values())
    if n_repeated:
        stored = "One row a clip is stored" if fold else "They are stored as they are"
        notes.append(
            f"in {n_repeated:,} of {len(facts):,} files all rows are the same: one vector of "
            f"functionals repeated in time, no sequence. {stored}"
        )
    rates = [f.frame_rate for f in facts.values() if f.frame_rate is not None]
    one_row = all(f.n_rows == 1 for f in facts.values())
    rate = None if fold or one_row or not rates else round(float(np.median(rates)), 2)
    if rate and (others := sum(abs(r - rate) > 0.02 * rate for r in rates)):
        span = f"{min(rates):.2f} to {max(rates):.2f} Hz"
        notes.append(
            f"{others:,} of {len(rates):,} files are not at {rate:g} frames a second: {span}"
        )
    return Layout(
        columns=tuple(column for place, column in enumerate(columns) if place not in dropped),
        n_source=n_source,
        frame_rate=rate,
        dropped=dropped,
        fold=fold,
        drop_empty=not as_is,
        source=source,
    )


def check_rows(facts: dict[str, Facts], failed: Failed, layout: Layout, notes: list[str]) -> None:
    """Let clips fail whose times do not fit their rows, or that hold mostly nothing."""
    n_wrong = n_empty = n_clips = 0
    for clip_id, found in list(facts.items()):
        try:
            if layout.drop_empty:
                check_emptiness(found, clip_id)
            if found.time_fault and not layout.fold:
                text = f"{found.time_fault}; expected one for each row, increasing. Extract again."
                raise FeatureFileError("E1703", clip_id, text)
        except FeatureFileError as error:
            failed[clip_id] = error
            del facts[clip_id]
            continue
        n_wrong += bool(found.time_fault)
        n_empty += found.n_empty
        n_clips += found.n_empty > 0
    if n_wrong:
        first = next(f"{i}: {f.time_fault}" for i, f in facts.items() if f.time_fault)
        notes.append(f"in {n_wrong:,} files the times do not fit the repeated rows ({first})")
    if n_empty:
        total = sum(found.n_rows for found in facts.values())
        what = "They are left out" if layout.drop_empty else "They are stored as they are"
        notes.append(
            f"{n_empty:,} of {total:,} rows, in {n_clips:,} clips, are zero or marked as not "
            f"valid: nothing (no face, say) was found there. {what}"
        )
