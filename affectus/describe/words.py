"""Facts as tables of text: columns side by side by corpus, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from affectus.describe.facts import PERCENTILES, ColumnFacts, GroupFacts, ManifestFacts, SetFacts
from affectus.emotions import EMOTIONS

Rows = list[tuple[str, ...]]
Table = tuple[tuple[str, ...], Rows]  # heads, rows

_NONE = "–"


def number(value: float | int | None) -> str:
    """Return a number as short as it can be read: 1,234 or -61.25 or 3.2e-05."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NONE
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size and not 1e-3 <= size < 1e6:
        return f"{value:.3g}"
    text = f"{value:,.{max(0, 4 - len(str(int(size)))) if size >= 1 else 4}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float) -> str:
    """Return a share in percent."""
    return _NONE if math.isnan(value) else f"{100 * value:.1f} %"


def shown_groups(found: SetFacts) -> tuple[GroupFacts, ...]:
    """Return the groups to show: where there is one corpus, it alone."""
    return found.groups if len(found.groups) > 2 else found.groups[1:]


def is_sequence(found: SetFacts) -> bool:
    """Tell whether any clip has more than one frame."""
    return found.groups[0].frames.high > 1


def set_table(found: SetFacts) -> Table:
    """Return a row for each figure of a feature set, a column for each corpus."""
    groups = shown_groups(found)
    lines: list[tuple[str, Callable[[GroupFacts], str]]] = [
        ("clips", lambda g: number(g.clips)),
        ("frames", lambda g: number(g.n_frames)),
    ]
    if is_sequence(found):
        lines += [
            ("frames a clip: mean", lambda g: number(g.frames.mean)),
            ("  least … greatest", lambda g: _ends(g.frames.low, g.frames.high)),
            ("  5, 50, 95 %", lambda g: _points(g.frames.percentiles, (5, 50, 95))),
        ]
    if found.frame_rate is not None:
        lines += [
            ("seconds a clip: mean", lambda g: number(g.seconds.mean if g.seconds else None)),
            (
                "  least … greatest",
                lambda g: _ends(g.seconds.low, g.seconds.high) if g.seconds else _NONE,
            ),
            (
                "  5, 50, 95 %",
                lambda g: _points(g.seconds.percentiles, (5, 50, 95)) if g.seconds else _NONE,
            ),
        ]
    lines += [
        ("not zero", lambda g: share(g.nonzero)),
        ("not finite", lambda g: number(g.not_finite)),
        ("least … greatest", lambda g: _ends(g.low, g.high)),
        ("mean", lambda g: number(g.mean)),
        ("standard deviation", lambda g: number(g.deviation)),
    ]
    lines += [(f"{point} % are below", partial(_percentile, str(point))) for point in PERCENTILES]
    lines += [
        ("columns that never change", lambda g: number(len(g.constant))),
        ("clips of one frame repeated", lambda g: number(g.repeated)),
        ("frames of zeros alone", lambda g: number(g.empty)),
    ]
    heads = ("", *(group.corpus for group in groups))
    return heads, [(text, *(cell(group) for group in groups)) for text, cell in lines]


def tables(found: SetFacts | ManifestFacts) -> list[tuple[str, tuple[str, ...], Rows]]:
    """Return what the terminal shows: title, heads, rows, of each table."""
    if isinstance(found, ManifestFacts):
        return [(found.name, *_to_the_right(manifest_table(found)))]
    title = f"{found.store}: '{found.name}', {found.n_columns:,} columns"
    if found.frame_rate is not None:
        title += f", {found.frame_rate:g} frames a second"
    title += "".join(f"\nNote: {text}." for text in found.remarks)
    columns = column_rows(found.groups[0])
    return [
        (title, *_to_the_right(set_table(found))),
        ("The widest and the narrowest columns:", *_to_the_right(columns)),
    ]


def _to_the_right(table: Table) -> Table:
    """Pad cells with spaces, but for the first of each row, so that figures stand in line."""
    heads, rows = table
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def pad(cells: tuple[str, ...]) -> tuple[str, ...]:
        return (cells[0], *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)))

    return pad(heads), [pad(row) for row in rows]


def column_rows(group: GroupFacts, few: int = 3) -> Table:
    """Return the columns of the greatest and of the least standard deviation, a row each."""
    ranked = sorted(
        (column for column in group.columns if not math.isnan(column.deviation)),
        key=lambda column: -column.deviation,
    )
    if len(ranked) > 2 * few:
        ranked = [*ranked[:few], *ranked[-few:]]
    heads = ("column", "standard deviation", "mean", "least", "greatest", "not zero")
    return heads, [_column(column) for column in ranked]


def manifest_table(found: ManifestFacts, *, emotions: bool = True) -> Table:
    """Return a row for each figure of a manifest, a column for each corpus."""
    corpora = found.corpora
    rows: list[tuple[str, ...]] = [
        ("clips", *(number(c.clips) for c in corpora)),
        ("not understood", *(number(c.faults) for c in corpora)),
        ("without an emotion", *(number(c.unlabelled) for c in corpora)),
        ("speakers", *(number(sum(c.speakers.values())) for c in corpora)),
    ]
    sexes = sorted({sex for c in corpora for sex in c.speakers if sex})
    rows += [(f"  {sex}", *(number(c.speakers.get(sex, 0)) for c in corpora)) for sex in sexes]
    there = [e for e in EMOTIONS if emotions and any(e in c.emotions for c in corpora)]
    rows += [(e, *(number(c.emotions.get(e, 0)) for c in corpora)) for e in there]
    levels = sorted({level for c in corpora for level in c.intensities})
    rows += [
        (f"intensity {level}", *(number(c.intensities.get(level, 0)) for c in corpora))
        for level in levels
    ]
    rows.append(("with votes of raters", *(number(c.with_votes) for c in corpora)))
    rows.append(("languages", *(", ".join(c.languages) or _NONE for c in corpora)))
    return ("", *(c.corpus for c in corpora)), rows


def _column(column: ColumnFacts) -> tuple[str, ...]:
    figures = (column.deviation, column.mean, column.low, column.high)
    return (column.name, *map(number, figures), share(column.nonzero))


def _percentile(point: str, group: GroupFacts) -> str:
    return number(group.percentiles[point])


def _ends(low: float, high: float) -> str:
    return f"{number(low)} … {number(high)}"


def _points(percentiles: Mapping[str, float], points: tuple[int, ...]) -> str:
    return ", ".join(number(percentiles[str(point)]) for point in points)
