"""Facts as one self-contained HTML page, in the manner of report.py: no script, no network, no
date. Text from outside (names, columns) enters it through `_text` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectus.describe.facts import ColumnFacts, GroupFacts, Histogram, ManifestFacts, SetFacts
from affectus.describe.words import (
    column_rows,
    is_sequence,
    manifest_table,
    number,
    set_table,
    share,
    shown_groups,
)
from affectus.emotions import EMOTIONS
from affectus.page import render_page, render_table, render_text, write_page

_LEFT, _RIGHT, _TOP, _BOTTOM = 8.0, 312.0, 8.0, 96.0  # of a plot, in a picture 320 wide
_MOST_POINTS = 256  # of a curve over columns; more are drawn as their extremes
_STYLE = """
.emotions tr > th:first-child[scope=row] { width: 6rem; }
.facts-table caption:empty { display: none; }
.area { fill: var(--accent); opacity: .4; }
.band { fill: rgb(var(--shade) / .3); }
.reach { fill: rgb(var(--shade) / .1); }
.box { stroke: var(--accent); stroke-width: 5; stroke-linecap: round; opacity: .5; }
.facts-table { max-width: 44rem; }
.facts-table th { white-space: pre; font-weight: 500; }
.facts-table td { white-space: nowrap; }
.one { grid-template-columns: minmax(17rem, 24rem); }
.wide { margin-top: 2rem; }
header:not(:first-child) {
  margin-top: 5rem; padding-top: 3rem; border-top: 1px solid var(--line);
}
.wide th[scope=row] { font-weight: 500; overflow-wrap: anywhere; }
"""


def render_description(found: Sequence[SetFacts | ManifestFacts]) -> str:
    """Return the page, a part for each feature set and manifest."""
    names = ", ".join(part.name for part in found)
    body = "".join(
        _features(part) if isinstance(part, SetFacts) else _manifest(part) for part in found
    )
    return render_page(f"{names}: what it holds", body, _STYLE)


def write_description(found: Sequence[SetFacts | ManifestFacts], path: Path | str) -> None:
    """Write the page, complete or not at all. Raises DiskError if it cannot be written."""
    write_page(render_description(found), path)


# --- a feature set -----------------------------------------------------------------------------


def _features(found: SetFacts) -> str:
    everything = found.groups[0]
    rate = f"{found.frame_rate:g} a second" if found.frame_rate else ""
    facts = [
        ("Clips", number(everything.clips), _of_corpora(len(found.groups) - 1)),
        ("Frames", number(everything.n_frames), rate if is_sequence(found) else "one a clip"),
        ("Columns", number(found.n_columns), f"{len(everything.constant):,} never change"),
    ]
    if everything.seconds is not None and found.frame_rate:
        minutes = everything.n_frames / found.frame_rate / 60
        facts.insert(1, ("Minutes", number(minutes), f"{number(everything.seconds.mean)} s a clip"))
    remarks = "".join(f"<li>{render_text(text)}</li>\n" for text in found.remarks)
    if remarks:
        title = "<h2>Before using it</h2>"
        remarks = f'<section class="cautions">\n{title}\n<ul>\n{remarks}</ul></section>\n'
    lengths = f"""<section>
<h2>Lengths</h2>
<p class="muted">Share of clips by their length.</p>
{_figures(found, _lengths)}</section>
"""
    return f"""{_header(f"Features in {found.store}", found.name, facts)}{remarks}<section>
<h2>Values</h2>
<p class="muted">Share of values{"" if found.with_zeros else " that are not zero"}, by corpus, all
on the same scales; 0.1 % at each end is left out. Below: the middle half (bar), 5 to 95 % (line),
the median (dot), of all values.</p>
{_figures(found, _values)}</section>
{lengths if is_sequence(found) else ""}<section>
<h2>Columns</h2>
<p class="muted">Each column's mean (line), one standard deviation around it (dark) and its reach
from least to greatest (light), in the order of the store.</p>
{_figures(found, _columns)}{_widest(everything)}</section>
<section>
<h2>Figures</h2>
{_side_by_side(set_table(found))}<p class="muted">Least, greatest, mean, standard deviation and
lengths are exact. Percentiles come from a histogram of all values and are within 0.2 % of the
value.</p>
</section>
<section>
<h2>Made by</h2>
{_tree(found.record)}</section>
"""


def _header(what: str, name: str, facts: Sequence[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>\n" for a, b, c in facts
    )
    return f"""<header>
<p class="muted">{render_text(what)}</p>
<h1>{render_text(name)}</h1>
<dl class="facts">
{cells}</dl>
</header>
"""


def _of_corpora(n: int) -> str:
    return f"of {n} corpora" if n > 1 else "of one corpus"


Draw = Callable[[GroupFacts, Sequence[GroupFacts], SetFacts], tuple[str, str]]  # words, picture


def _figures(found: SetFacts, draw: Draw) -> str:
    """Draw each corpus small, all on the same scales."""
    groups = shown_groups(found)
    figures = ""
    for group in groups:
        words, picture = draw(group, groups, found)
        figures += f"""<figure>
<figcaption><b>{render_text(group.corpus)}</b> {words}</figcaption>
<svg viewBox="0 0 320 136" role="img" aria-label="{render_text(group.corpus)}: {words}">
{picture}</svg>
</figure>
"""
    return f'<div class="folds{" one" if len(groups) == 1 else ""}">\n{figures}</div>\n'


def _values(group: GroupFacts, groups: Sequence[GroupFacts], found: SetFacts) -> tuple[str, str]:
    words = f"{number(group.low)} to {number(group.high)}"
    if not found.with_zeros:
        words += f", {share(1 - group.nonzero)} are zero"
    edges = group.histogram.edges
    picture = _steps(group.histogram, max(max(g.histogram.shares) for g in groups))

    def x(point: int) -> float:
        return _scale(group.percentiles[str(point)], edges[0], edges[-1])

    level = _BOTTOM + 10
    picture += f'<line class="mean" x1="{x(5):.1f}" x2="{x(95):.1f}" y1="{level}" y2="{level}"/>\n'
    picture += f'<line class="box" x1="{x(25):.1f}" x2="{x(75):.1f}" y1="{level}" y2="{level}"/>\n'
    picture += f'<circle class="dot" cx="{x(50):.1f}" cy="{level}" r="4"/>\n'
    return words, picture + _axis(number(edges[0]), "", number(edges[-1]))


def _lengths(group: GroupFacts, groups: Sequence[GroupFacts], found: SetFacts) -> tuple[str, str]:
    unit, spread, scale = "frames", group.frames, 1.0
    if group.seconds is not None and found.frame_rate:
        unit, spread, scale = "s", group.seconds, found.frame_rate
    words = f"{number(spread.low)} to {number(spread.high)} {unit}, mean {number(spread.mean)}"
    edges = group.lengths.edges
    picture = _steps(group.lengths, max(max(g.lengths.shares) for g in groups))
    return words, picture + _axis(number(edges[0] / scale), unit, number(edges[-1] / scale))


def _columns(group: GroupFacts, groups: Sequence[GroupFacts], found: SetFacts) -> tuple[str, str]:
    known = [c for g in groups for c in g.columns if not math.isnan(c.mean)]
    low, high = min(c.low for c in known), max(c.high for c in known)
    points = _thin([c for c in group.columns if not math.isnan(c.mean)])
    wide = max(len(points) - 1, 1)

    def ribbon(kind: str, lower: list[float], upper: list[float]) -> str:
        there = [f"{_LEFT + (_RIGHT - _LEFT) * i / wide:.1f},{_level(v, low, high):.1f}"
                 for i, v in enumerate(upper)]  # fmt: skip
        back = [f"{_LEFT + (_RIGHT - _LEFT) * i / wide:.1f},{_level(v, low, high):.1f}"
                for i, v in reversed(list(enumerate(lower)))]  # fmt: skip
        if len(upper) == 1:  # one column: a bar
            there.append(there[0].replace(f"{_LEFT:.1f},", f"{_RIGHT:.1f},", 1))
            back.insert(0, back[0].replace(f"{_LEFT:.1f},", f"{_RIGHT:.1f},", 1))
        return f'<polygon class="{kind}" points="{" ".join([*there, *back])}"/>\n'

    picture = ribbon("reach", [c.low for c in points], [c.high for c in points])
    picture += ribbon(
        "band", [c.mean - c.deviation for c in points], [c.mean + c.deviation for c in points]
    )
    line = " ".join(
        f"{_LEFT + (_RIGHT - _LEFT) * i / wide:.1f},{_level(c.mean, low, high):.1f}"
        for i, c in enumerate(points)
    )
    picture += f'<polyline class="curve" points="{line}"/>\n'
    picture += _rule(_TOP) + f'<text x="{_LEFT}" y="{_TOP - 2}">{number(high)}</text>\n'
    picture += f'<text x="{_LEFT}" y="{_BOTTOM - 3}">{number(low)}</text>\n'
    names = (group.columns[0].name, group.columns[-1].name)
    return f"{len(group.columns):,} columns", picture + _axis(names[0], "", names[1])


def _thin(columns: Sequence[ColumnFacts]) -> list[ColumnFacts]:
    """Return at most 256 columns: of neighbours, their mean and their extremes."""
    step = -(-len(columns) // _MOST_POINTS)
    return [
        ColumnFacts(
            name=part[0].name,
            mean=sum(c.mean for c in part) / len(part),
            deviation=max(c.deviation for c in part),
            low=min(c.low for c in part),
            high=max(c.high for c in part),
            nonzero=sum(c.nonzero for c in part) / len(part),
        )
        for part in (columns[i : i + step] for i in range(0, len(columns), step))
    ]


def _widest(group: GroupFacts) -> str:
    heads, rows = column_rows(group, few=5)
    text = "The columns of the greatest and of the least standard deviation, all clips together."
    return _table("wide", text, heads, rows)


# --- a manifest --------------------------------------------------------------------------------


def _manifest(found: ManifestFacts) -> str:
    clips = sum(corpus.clips for corpus in found.corpora)
    speakers = sum(sum(corpus.speakers.values()) for corpus in found.corpora)
    facts = (
        ("Clips", number(clips), _of_corpora(len(found.corpora))),
        ("Speakers", number(speakers), ""),
        ("Not understood", number(sum(corpus.faults for corpus in found.corpora)), ""),
    )
    return f"""{_header("Manifest", found.name, facts)}<section>
<h2>Emotions</h2>
{_emotions(found)}</section>
<section>
<h2>By corpus</h2>
{_side_by_side(manifest_table(found, emotions=False))}</section>
"""


def _emotions(found: ManifestFacts) -> str:
    """Return a row for each corpus: how many clips of each emotion, the more the darker."""
    emotions = [e for e in EMOTIONS if any(e in corpus.emotions for corpus in found.corpora)]
    rows = ""
    for corpus in found.corpora:
        cells = ""
        for emotion in emotions:
            count = corpus.emotions.get(emotion, 0)
            part = count / max(corpus.clips, 1)
            kind = f'class="miss" style="--share:{part:.3f}"' if count else 'class="none"'
            cells += f"<td {kind}>{number(count)} <small>{share(part)}</small></td>"
        rows += f'<tr><th scope="row">{render_text(corpus.corpus)}</th>{cells}</tr>\n'
    heads = "".join(f'<th scope="col">{emotion}</th>' for emotion in emotions)
    return f"""<div class="scroll">
<table class="confusion emotions">
<thead><tr><th scope="col"></th></tr>
<tr><th scope="col">corpus</th>{heads}</tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
"""


# --- parts -------------------------------------------------------------------------------------


def _steps(histogram: Histogram, most: float) -> str:
    """Return a histogram as one outline from the bottom line."""
    points = [f"{_LEFT},{_BOTTOM}"]
    for place, part in enumerate(histogram.shares):
        y = _BOTTOM - (_BOTTOM - _TOP) * part / (most or 1.0)
        for edge in (place, place + 1):
            x = _scale(histogram.edges[edge], histogram.edges[0], histogram.edges[-1])
            points.append(f"{x:.1f},{y:.1f}")
    points.append(f"{_RIGHT},{_BOTTOM}")
    return _rule(_BOTTOM) + f'<polygon class="area" points="{" ".join(points)}"/>\n'


def _axis(left: str, middle: str, right: str) -> str:
    y = 132
    text = f'<text x="{_LEFT}" y="{y}">{render_text(left)}</text>\n'
    if middle:
        text += f'<text x="160" y="{y}" text-anchor="middle">{render_text(middle)}</text>\n'
    return text + f'<text x="{_RIGHT}" y="{y}" text-anchor="end">{render_text(right)}</text>\n'


def _rule(y: float) -> str:
    return f'<line class="rule" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>\n'


def _scale(value: float, low: float, high: float) -> float:
    inside = min(max(value, low), high)
    return _LEFT + (_RIGHT - _LEFT) * (inside - low) / ((high - low) or 1.0)


def _level(value: float, low: float, high: float) -> float:
    inside = min(max(value, low), high)
    return _BOTTOM - (_BOTTOM - _TOP) * (inside - low) / ((high - low) or 1.0)


def _side_by_side(table: tuple[tuple[str, ...], list[tuple[str, ...]]]) -> str:
    heads, rows = table
    return f'<div class="scroll">\n{_table("facts-table", "", heads, rows)}</div>\n'


def _table(kind: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[render_text(cell) for cell in row] for row in rows]
    return render_table(kind, caption, [render_text(head) for head in heads], cells)


def _tree(record: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<div><dt>{render_text(key)}</dt><dd>{render_text(_plain(value))}</dd></div>\n"
        for key, value in record.items()
    )
    return f'<dl class="tree">\n{rows}</dl>\n'


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None or value == "" else str(value)
