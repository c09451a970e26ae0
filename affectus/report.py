"""One self-contained HTML page, a pure function of an evaluation: the answer first, then what it
rests on. No script, no network, no date: the same evaluation gives the same bytes.

Text from outside (names, labels, clip ids) enters the page through `render_text` alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from affectus.errors import EvaluationError
from affectus.evaluation import Evaluation, GroupScore
from affectus.manifest import natural_key
from affectus.metrics import Interval
from affectus.page import (
    NONE,
    SHARE_AXIS,
    render_bar,
    render_page,
    render_percent,
    render_section,
    render_table,
    render_text,
    render_whisker,
    write_page,
)

_MANY_SPEAKERS = 30  # more are folded away
_COLUMNS = ("fold", "epoch", "loss", "dev_uar", "best")
_LEFT, _RIGHT, _HEIGHT = 42.0, 312.0, 76.0  # of a learning curve, in a picture 320 wide

Row = Mapping[str, Any]


def render_report(evaluation: Evaluation, history: Sequence[Row] = ()) -> str:
    """Return the page.

    `history` holds a row for each epoch of each fold (fold, epoch, loss, dev_uar, best), as in
    history.jsonl; of the rows marked best, a fold's last is its best. Without it there are no
    curves.

    Raises EvaluationError if a row of history lacks one of these.
    """
    stamp = "LEAKY: " if evaluation.protocol.get("leaky") else ""
    title = (
        f"{stamp}{evaluation.name}, UAR {render_percent(evaluation.uar.value)} on {evaluation.side}"
    )
    parts = (_answer, _protocol, _confusion, _classes, _groups, _speakers)
    body = "".join(part(evaluation) for part in parts) + _curves(history, evaluation.chance)
    return render_page(title, f"{body}{_mistakes(evaluation)}{_provenance(evaluation)}")


def write_report(evaluation: Evaluation, path: Path | str, history: Sequence[Row] = ()) -> None:
    """Write the page, complete or not at all: a temporary file is renamed at the end.

    Raises DiskError if it cannot be written; what stood there before is then untouched.
    """
    write_page(render_report(evaluation, history), path)


# --- the answer --------------------------------------------------------------------------------


def _answer(found: Evaluation) -> str:
    banner = (
        '<p class="leaky"><strong>LEAKY protocol.</strong> The same speakers are in training and '
        "in these clips, or the encoder was trained on them. This is no score for unknown "
        "speakers.</p>\n"
    ) * bool(found.protocol.get("leaky"))
    share = found.n_answered / found.n_planned if found.n_planned else None
    facts = (
        ("WAR (accuracy)", render_percent(found.war.value), _range(found.war)),
        ("Macro F1", render_percent(found.macro_f1.value), _range(found.macro_f1)),
        ("Clips answered", f"{found.n_answered:,} of {found.n_planned:,}", render_percent(share)),
        ("Speakers", f"{found.n_speakers:,}" if found.n_speakers else "not known", ""),
    )
    cells = (f"<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>\n" for a, b, c in facts)
    items = "".join(f"<li>{render_text(caution)}</li>\n" for caution in found.cautions)
    cautions = (
        f'<section class="cautions">\n<h2>Before comparing</h2>\n<ul>\n{items}</ul></section>\n'
    )
    return f"""<header>
{banner}<p class="muted">Evaluation on {render_text(found.side)}</p>
<h1>{render_text(found.name)}</h1>
<p class="score"><strong>{render_percent(found.uar.value)}</strong>
<span>UAR, 95\u202f% interval by speaker: <b>{_range(found.uar) or "none can be given"}</b><br>
<span class="muted">chance is {render_percent(found.chance)} (1 of {found.n_present} labels, dashed)
</span></span></p>
<div class="track">{_whisker(found.uar, found.chance, "chance")}</div>
{SHARE_AXIS}
<dl class="facts">
{"".join(cells)}</dl>
</header>
{cautions if items else ""}"""


def _protocol(found: Evaluation) -> str:
    """Say how the clips were divided, and what the number may be held against."""
    facts = dict(found.protocol)
    name, text, leaky = (facts.pop(key, "") for key in ("name", "text", "leaky"))
    rest = "".join(f", {render_text(key)} {_value(value)}" for key, value in facts.items())
    same = "the same corpus with the same labels and the same protocol"
    if leaky:
        against = f"with speaker-dependent scores on {same}, and with nothing else."
    elif found.n_speakers:
        against = f"with speaker-independent scores on {same}."
    else:
        against = f"with scores on {same}; as its speakers are not known, it cannot be called "
        against += "speaker-independent."
    if found.side == "dev":
        against += " The epoch was chosen on these clips: compare it with dev scores alone."
    return f"""<section>
<h2>Protocol</h2>
<p><b>{render_text(name or "not named")}</b>{rest}{f": {render_text(text)}" if text else ""}.</p>
<p>This number may be compared {against}</p>
</section>
"""


# --- tables ------------------------------------------------------------------------------------


def _confusion(found: Evaluation) -> str:
    rows = ""
    for label, counts in zip(found.labels, found.confusion, strict=True):
        n, cells = sum(counts), ""
        for said, count in zip(found.labels, counts, strict=True):
            share = count / n if n else None
            kind = "none" if not count else "hit" if said == label else "miss"
            style = f' style="--share:{share:.3f}"' if count else ""
            cells += (
                f'<td class="{kind}"{style}>{count} <small>{render_percent(share, 0)}</small></td>'
            )
        rows += f'<tr><th scope="row">{render_text(label)}</th>{cells}</tr>\n'
    columns = "".join(f'<th scope="col">{render_text(label)}</th>' for label in found.labels)
    return f"""<section>
<h2>Confusion</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
<table class="confusion" id="confusion">
<caption>Rows: the truth. Columns: the prediction. Clips, and their share of the row: the stronger
the colour, the larger. Right answers are framed.</caption>
<thead>
<tr><th rowspan="2" scope="col">truth</th>
<th colspan="{len(found.labels)}" scope="colgroup">prediction</th></tr>
<tr>{columns}</tr>
</thead>
<tbody>
{rows}</tbody>
</table>
</div>
</section>
"""


def _classes(found: Evaluation) -> str:
    rows = [
        (
            render_text(c.label),
            f"{c.n:,}",
            render_bar(c.recall),
            render_bar(c.precision),
            render_bar(c.f1),
        )
        for c in found.classes
    ]
    text = (
        "Recall: the share of a class that is found. Precision: the share of its answers that is "
        "right. F1: their harmonic mean."
    )
    table = render_table("classes", text, ("class", "clips", "recall", "precision", "F1"), rows)
    return render_section("Classes", table)


def _groups(found: Evaluation) -> str:
    text = (
        "UAR within the group, over the classes it has, with its 95\u202f% interval by speaker. "
        "The vertical line is the UAR of all clips."
    )
    head = ("group", "clips<br>speakers", "UAR<br>interval", SHARE_AXIS)
    tables = ""
    for by, groups in groupby(found.groups, lambda group: group.by):
        rows = [_group_cells(group, found) for group in groups]
        tables += render_table("groups by", f"By {render_text(by)}", head, rows)
    return render_section("Groups", f'<p class="muted">{text}</p>\n{tables}') if tables else ""


def _speakers(found: Evaluation) -> str:
    """Show every speaker, the best first: whom does it understand, and whom not?"""
    if not found.speakers:
        return ""
    ranked = sorted(found.speakers, key=lambda group: (-group.uar.value, natural_key(group.name)))
    span = f"from {render_percent(ranked[-1].uar.value)} to {render_percent(ranked[0].uar.value)}"
    text = f"UAR of each, {span}, the best first. The vertical line is the UAR of all clips."
    rows = [
        (
            render_text(g.name),
            f"{g.n:,}",
            render_percent(g.uar.value),
            _whisker(g.uar, found.uar.value, "mean"),
        )
        for g in ranked
    ]
    table = render_table("groups speakers", text, ("speaker", "clips", "UAR", SHARE_AXIS), rows)
    if len(rows) > _MANY_SPEAKERS:
        table = (
            f"<details>\n<summary>All {len(rows)} speakers, {span}</summary>\n{table}</details>\n"
        )
    return render_section("Speakers", table)


def _group_cells(group: GroupScore, found: Evaluation) -> tuple[str, ...]:
    speakers = f"{group.n_speakers:,}" if found.n_speakers else NONE
    counts = f"{group.n:,}<br><small>{speakers}</small>"
    score = f"{render_percent(group.uar.value)}<br><small>{_range(group.uar) or NONE}</small>"
    return (render_text(group.name), counts, score, _whisker(group.uar, found.uar.value, "mean"))


def _mistakes(found: Evaluation) -> str:
    n_wrong = sum(map(sum, found.confusion)) - sum(r[i] for i, r in enumerate(found.confusion))
    text = f"{len(found.mistakes):,} of {n_wrong:,} wrong answers, the most confident first."
    rows = [
        (
            f"<code>{render_text(m.clip_id)}</code>",
            render_text(m.truth),
            render_text(m.prediction),
            render_percent(m.score),
        )
        for m in found.mistakes
    ]
    head = ("clip", "truth", "prediction", "score")
    return render_section("Most confident mistakes", render_table("mistakes", text, head, rows))


# --- pictures ----------------------------------------------------------------------------------


def _whisker(score: Interval, mark: float, kind: str) -> str:
    return render_whisker(score.value, score.low, score.high, mark, kind)


def _curves(history: Sequence[Row], chance: float) -> str:
    """Draw each fold small, all on the same scales, so that one that went astray stands out."""
    for number, row in enumerate(history, 1):
        if lacking := [column for column in _COLUMNS if column not in row]:
            raise EvaluationError(
                f"history row {number}: no '{lacking[0]}'; expected {', '.join(_COLUMNS)}."
            )
    if not history:
        return ""
    n_epochs = max(int(row["epoch"]) for row in history)
    loss, uar = (_ceiling([float(row[key]) for row in history]) for key in ("loss", "dev_uar"))
    figures = ""
    for fold in sorted({str(row["fold"]) for row in history}, key=natural_key):
        rows = [row for row in history if str(row["fold"]) == fold]
        best = next((row for row in reversed(rows) if row["best"]), None)
        words = f"{len(rows)} epochs"
        if best is not None:
            score = render_percent(best["dev_uar"])
            words = f"best {score} at epoch {int(best['epoch'])} of {len(rows)}"
        level = 114 + _HEIGHT * (1 - min(chance / uar, 1))
        figures += f"""<figure>
<figcaption><b>{render_text(fold)}</b> {words}</figcaption>
<svg viewBox="0 0 320 212" role="img" aria-label="{render_text(fold)}: {words}">
{_panel("training loss", 16, rows, "loss", best, n_epochs, loss)}
{_panel("dev UAR", 114, rows, "dev_uar", best, n_epochs, uar)}
<line class="chance" x1="{_LEFT}" x2="{_RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>
<text x="{_LEFT}" y="205">1</text><text x="177" y="205" text-anchor="middle">epoch</text>
<text x="{_RIGHT}" y="205" text-anchor="end">{n_epochs}</text>
</svg>
</figure>
"""
    text = """<p class="muted">Training loss and UAR on dev by epoch, all folds on the same scales.
The dot is the best epoch, whose weights are kept; the dashed line is chance.</p>"""
    return render_section("Learning curves", f'{text}\n<div class="folds">\n{figures}</div>\n')


def _panel(
    title: str,
    above: float,
    rows: Sequence[Row],
    key: str,
    best: Row | None,
    n_epochs: int,
    ceiling: float,
) -> str:
    """Return one curve with its axis: a panel that begins `above` and reads from 0 to `ceiling`."""
    below = above + _HEIGHT
    text = f'<text class="name" x="{_LEFT}" y="{above - 6}">{title}</text>'
    for part in (0.0, 0.5, 1.0):
        y, value = below - _HEIGHT * part, ceiling * part
        shown = render_percent(value, 0) if key == "dev_uar" else f"{value:g}"
        text += f'<line class="rule" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>'
        text += f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{shown}</text>'
    points, mark = [], ""
    for row in rows:
        if math.isfinite(row[key]):
            x = _LEFT + (_RIGHT - _LEFT) * (int(row["epoch"]) - 1) / max(n_epochs - 1, 1)
            y = below - _HEIGHT * row[key] / ceiling
            points.append(f"{x:.1f},{y:.1f}")
            if row is best:
                mark = f'<line class="best" x1="{x:.1f}" x2="{x:.1f}" y1="{above}" y2="{below}"/>'
                mark += f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'{text}<polyline class="curve" points="{" ".join(points)}"/>{mark}'


def _ceiling(values: Sequence[float]) -> float:
    """Return a round number not below any of the values, for the end of an axis."""
    most = max((value for value in values if math.isfinite(value) and value > 0), default=1.0)
    unit = 10.0 ** math.floor(math.log10(most))
    steps = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
    return float(f"{next((s * unit for s in steps if s * unit >= most), 10 * unit):.3g}")


# --- provenance and plain values ---------------------------------------------------------------


def _provenance(found: Evaluation) -> str:
    uniform = math.log(len(found.labels))
    facts = {
        "label scheme": found.scheme,
        "calibration error (ECE)": f"{render_percent(found.ece)}, mean gap of score and accuracy",
        "likelihood (NLL)": f"{found.nll:.3f} nats; equal scores for all would have {uniform:.3f}",
        **found.provenance,
    }
    return render_section("Provenance", _value(facts))


def _value(value: Any) -> str:
    """Return any plain value: nested tables as definition lists, hashes shortened."""
    if isinstance(value, Mapping) and value:
        rows = (
            f"<div><dt>{render_text(key)}</dt><dd>{_value(inner)}</dd></div>\n"
            for key, inner in value.items()
        )
        return f'<dl class="tree">\n{"".join(rows)}</dl>\n'
    if isinstance(value, list | tuple) and value:
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], (), {}) or value != value:
        return NONE
    if re.fullmatch(r"[0-9a-f]{32,}", str(value)):
        return f'<code title="{value}">{str(value)[:12]}…</code>'
    return render_text(value)


def _range(score: Interval) -> str:
    """Return `52.1–64.0 %`, or nothing where there is no interval."""
    if score.low is None or score.high is None:
        return ""
    return f"{100 * score.low:.1f}–{render_percent(score.high)}"
