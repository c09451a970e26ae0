"""A CSV with one row a clip: each becomes frames [1, D], its columns keep their names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectus.errors import FeatureFileError, nearest
from affectus.feature_files.contents import Contents

_IDS = ("clip_id", "file", "filename", "file_name", "path", "name", "id", "stem")
# What is told of a clip and is no feature of it. Learnt from, it would be the answer, or the
# speaker.
_ABOUT = frozenset(_IDS) | {
    "", "index", "unnamed: 0", "emotion", "label", "emo", "class", "source_label", "actor",
    "speaker", "speaker_id", "spk", "subject", "sex", "gender", "age", "ethnicity", "race",
    "intensity", "level", "statement", "sentence", "text_id", "repetition", "take", "modality",
    "channel", "channels", "vocal_channel", "corpus", "database", "dataset", "language", "lang",
    "split", "fold", "votes", "start", "end", "frametime", "frame_time", "fault", "sha256",
}  # fmt: skip
_EMOTIONS = ("emotion", "emo", "label", "class")
_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})
_MOST_MISSING = 0.05  # share of rows; beyond it the column is at fault, not the clip


@dataclass(frozen=True)
class Table:
    """The rows of a CSV: (what names the clip, line, contents), and the columns left out."""

    rows: tuple[tuple[str, int, Contents], ...]
    columns: tuple[str, ...]
    left_out: tuple[str, ...]


def read_table(path: Path, id_column: str = "", without: Sequence[str] = ()) -> Table:
    """Read a CSV (comma, semicolon or tab) with a row a clip.

    A cell without a number is NaN, and so refused later with its clip; a column in which more than
    one row of twenty has none is refused here. Columns that describe the clip (emotion, actor,
    intensity and the like) and columns of text are left out.

    Raises FeatureFileError.
    """
    name = path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatureFileError("E1701", name, f"{error}; expected a CSV in UTF-8.") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True
    )
    try:
        header = [column or "" for column in reader.fieldnames or ()]
        cells = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        line = reader.reader.line_num
        raise FeatureFileError("E1701", name, f"line {line}: {error}; expected a CSV.") from None
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        text = f"column '{twice}' stands twice; expected each once. Rename one."
        raise FeatureFileError("E1702", name, text)
    for line, row in cells:
        if None in row or None in row.values():
            text = f"line {line}: not {len(header)} cells; expected one a column."
            raise FeatureFileError("E1701", name, text)
    if not cells:
        raise FeatureFileError("E1701", name, "no rows; expected one a clip.")
    ids = _find_ids(header, id_column, name)
    for column in without:
        if column not in header:
            close = nearest(column, header)
            raise FeatureFileError("E1702", name, f"--without: no column '{column}'.{close}")
    asked = [c for c in header if c not in (ids, *without) and c.lower() not in _ABOUT]
    columns = [c for c in asked if any(_is_number(row[c]) for _, row in cells)]
    if not columns:
        raise FeatureFileError("E1702", name, "no column of numbers; expected features.")
    values = np.array([[_value(row[c], c, line, name) for c in columns] for line, row in cells])
    _check_missing(values, columns, name)
    emotion = next((c for c in header if c.lower() in _EMOTIONS), None)
    with np.errstate(over="ignore"):
        frames = values.astype(np.float32)
    return Table(
        rows=tuple(
            (
                row[ids].strip().strip("'\""),
                line,
                Contents(
                    frames=frames[place : place + 1],
                    valid=np.ones(1, np.bool_),  # a row of zeros is what was measured
                    emotion=row[emotion].strip() if emotion else "",
                    columns=tuple(columns),
                ),
            )
            for place, (line, row) in enumerate(cells)
        ),
        columns=tuple(columns),
        left_out=tuple(column for column in header if column not in (ids, *columns)),
    )


def _find_ids(header: Sequence[str], id_column: str, name: str) -> str:
    if id_column:
        if id_column in header:
            return id_column
        text = f"no column '{id_column}'.{nearest(id_column, header)}"
        raise FeatureFileError("E1702", name, text)
    lower = {column.lower(): column for column in reversed(header)}
    found = next((lower[known] for known in _IDS if known in lower), None)
    if found is None:
        raise FeatureFileError(
            "E1702", name, f"no column {', '.join(_IDS)}; expected one that names the clip. Say "
            f"which: --id COLUMN"
        )  # fmt: skip
    return found


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False


def _value(cell: str, column: str, line: int, name: str) -> float:
    if cell.strip().lower() in _MISSING:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        raise FeatureFileError(
            "E1704", name, f"line {line}: {column} is '{cell[:40]}'; expected a number. Mend it, "
            f"or leave the column out: --without {column}"
        ) from None  # fmt: skip


def _check_missing(values: np.ndarray[tuple[int, int], np.dtype[np.float64]],
                   columns: Sequence[str], name: str) -> None:  # fmt: skip
    counts = np.isnan(values).sum(axis=0)
    bad = [place for place in range(len(columns)) if counts[place] > _MOST_MISSING * len(values)]
    if bad:
        told = ", ".join(f"{columns[i]} in {counts[i]}" for i in bad[:5])
        options = " ".join(f"--without {columns[i]}" for i in bad)
        raise FeatureFileError(
            "E1704", name, f"no number for {told} of {len(values)} rows; expected one in each. "
            f"Complete them, or add {options}"
        )  # fmt: skip
