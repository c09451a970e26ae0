"""What the commands print with: progress, tables, the border where errors become one line.

Results go to standard output, everything else to standard error. rich is loaded only where a
table or a bar is drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

Advance = Callable[[int, int, str], None]  # (finished, total, a note such as '3 failed')

_EVERY = 10.0  # seconds between two lines where there is no terminal


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Show how far a long job is, with rate and time left: a bar, or a line each ten seconds."""
    if sys.stderr.isatty():
        with _bar(what) as advance:
            yield advance
        return
    began = last = time.monotonic()

    def print_line(finished: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY and finished < total:
            return
        last = now
        rate = finished / max(now - began, 1e-9)
        left = (total - finished) / rate if rate else 0.0
        print(
            f"{what}: {finished:,} of {total:,}, {rate:,.1f}/s, {left:,.0f} s left"
            + (f", {note}" if note else ""),
            file=sys.stderr,
            flush=True,
        )

    yield print_line


@contextmanager
def _bar(what: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, rate="", note="")

        def move_bar(finished: int, total: int, note: str = "") -> None:
            seconds = bar.tasks[0].elapsed or 0.0
            rate = f"{finished / seconds:,.1f}/s" if seconds else ""
            bar.update(task, completed=finished, total=total, rate=rate, note=note)

        yield move_bar


def say(text: str) -> None:
    """Print a line for the person watching, on standard error."""
    print(text, file=sys.stderr, flush=True)


def count(n: int, thing: str) -> str:
    """Return '1 speaker' or '1,200 speakers'."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, indented; what is not a number becomes null."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print a table on standard output; numbers stand to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        print(title)
    table = Table(box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
