"""Tables as files: CSV, JSON lines and JSON, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from affectus.errors import ManifestError
from affectus.files import decode_json

_ROOT = "{data_root}/"  # how SpeechBrain writes the folder that paths begin at
_SEPARATORS = ",;\t"  # comma first: it is what a header of one column means


class Rows(NamedTuple):
    """A table: its header, and each row's line (or JSON key) with one cell a column."""

    header: list[str]
    rows: Iterator[tuple[int | str, list[str]]]


@contextmanager
def open_rows(path: Path) -> Iterator[Rows]:
    """Open a table; the ending says which kind: .jsonl, .json, anything else is CSV.

    CSV may be separated by commas, semicolons or tabs. JSON is an object a row: one a line, or a
    list, or by name, as SpeechBrain has it. Rows are read as they are asked for.

    Raises ManifestError, also while rows are read, naming the line.
    """
    what = {".jsonl": "JSON, one object a line", ".json": "JSON"}.get(path.suffix.lower(), "a CSV")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if what == "a CSV":
                yield _csv_rows(file, path)
            else:
                yield _json_rows(file, path, lines=path.suffix.lower() == ".jsonl")
    except FileNotFoundError:
        raise ManifestError(
            f"{path}: no such file; expected a CSV file,emotion,speaker. Check the path."
        ) from None
    except IsADirectoryError:
        raise ManifestError(
            f"{path}: Is a directory; expected a CSV file,emotion,speaker. Give the table's file, "
            f"or read the folder: affectus import folder {path.name}"
        ) from None
    except UnicodeDecodeError:
        raise ManifestError(
            f"{path}: {_what_it_is(path)}; expected {what} in UTF-8. Save it again as UTF-8 (in "
            f"Excel: as 'CSV UTF-8')."
        ) from None
    except OSError as error:
        raise ManifestError(f"{path}: {error}; expected {what}. Check the file.") from None


def _what_it_is(path: Path) -> str:
    """Say what a file is whose bytes are no UTF-8; of a text, where."""
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        return "an Excel workbook or a zip archive"
    if b"\0" in data:
        return "no text"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"not UTF-8 in line {line:,}"
    return "not UTF-8"


def _csv_rows(file: TextIO, path: Path) -> Rows:
    lines = _checked_lines(file, path)
    first = next(lines, "")
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(
        _chain(first, lines), delimiter=separator, skipinitialspace=True, strict=True
    )
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise ManifestError(f"{path}:1: {error}; expected a CSV. Correct the line.") from None

    def rows() -> Iterator[tuple[int | str, list[str]]]:
        n_columns = len(header)
        try:
            for row in reader:
                if len(row) == n_columns:
                    yield reader.line_num, row
                elif row:  # [] is a blank line
                    raise ManifestError(
                        f"{path}:{reader.line_num}: not {n_columns} cells; expected one a column. "
                        f"Put a cell that holds a '{separator}' in quotes."
                    )
        except csv.Error as error:
            raise ManifestError(
                f"{path}:{reader.line_num}: {error}; expected a CSV. Correct the line."
            ) from None

    return Rows(header, rows())


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from lines


def _checked_lines(file: TextIO, path: Path) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise ManifestError(
                f"{path}: holds NUL characters; expected a CSV in UTF-8. Save it again as UTF-8."
            )
        yield line


def _json_rows(file: TextIO, path: Path, *, lines: bool) -> Rows:
    # Objects need not have the same keys, so they are gone through once for the header.
    def objects() -> Iterator[tuple[int | str, dict[str, Any]]]:
        return _objects_by_line(file, path) if lines else _objects_of_file(file, path)

    header = list(dict.fromkeys(key for _, row in objects() for key in row))
    file.seek(0)
    return Rows(
        header,
        ((place, [_text(row.get(key)) for key in header]) for place, row in objects()),
    )


def _objects_by_line(file: TextIO, path: Path) -> Iterator[tuple[int | str, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, _decode(line.removeprefix("\ufeff"), path, number)


def _objects_of_file(file: TextIO, path: Path) -> Iterator[tuple[int | str, dict[str, Any]]]:
    found: dict[str, Any] | list[Any] = _decode(file.read(), path, "", dict[str, Any] | list[Any])
    rows = found.items() if isinstance(found, dict) else enumerate(found, 1)
    for place, row in rows:
        if not isinstance(row, dict):
            raise ManifestError(
                f"{path}:{place}: no JSON object; expected one a clip, as "
                f'{{"wav": "a.wav", "emo": "sad"}}. Correct it.'
            )
        yield place, row


def _decode(text: str, path: Path, place: object, kind: Any = dict[str, Any]) -> Any:
    try:
        return decode_json(text, kind)
    except ValueError as error:
        where = f"{path}:{place}" if place else f"{path}"
        raise ManifestError(
            f"{where}: {error}; expected one JSON object a clip. Correct it."
        ) from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.removeprefix(_ROOT) if isinstance(value, str) else str(value)
