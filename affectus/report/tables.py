"""The tables of a report: who was taken for what, by class, group, speaker and clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from affectus.evaluation import Evaluation, Gap, GroupScore
from affectus.manifest import natural_key
from affectus.metrics import Interval
from affectus.page import (
    NONE,
    SHARE_AXIS,
    render_bar,
    render_percent,
    render_section,
    render_table,
    render_text,
    render_whisker,
)

_MANY_SPEAKERS = 30  # more are folded away
_MANY_GROUPS = 30


def render_range(score: Interval | None) -> str:
    """Return `52.1–64.0 %`, or nothing where there is no interval."""
    if score is None or score.low is None or score.high is None:
        return ""
    return f"{100 * score.low:.1f}–{render_percent(score.high)}"


def render_points(score: Interval) -> str:
    """Return a difference in points of per cent with its interval: `+8.1 [2.0, 14.2]`."""
    if score.low is None or score.high is None:
        return f"{100 * score.value + 0.0:+.1f}"
    low, high = 100 * score.low + 0.0, 100 * score.high + 0.0
    return f"{100 * score.value + 0.0:+.1f} <small>[{low:+.1f}, {high:+.1f}]</small>"


def render_confusion(found: Evaluation) -> str:
    """Return the confusion matrix as a table: counts, shares of the truth, shades."""
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
    caption = (
        "Rows: the truth. Columns: the prediction. Clips, and their share of the row: the stronger "
        "the colour, the larger. Right answers are framed."
    )
    return render_square(
        found.labels, rows, title="Confusion", label="Confusion matrix", caption=caption,
        sides=("truth", "prediction"), identity="confusion",
    )  # fmt: skip


def render_square(
    columns: Sequence[str],
    rows: str,
    *,
    title: str,
    label: str,
    caption: str,
    sides: tuple[str, str],
    identity: str,
) -> str:
    """Return a section whose table has the same names down its left side and along its top."""
    names = "".join(f'<th scope="col">{render_text(name)}</th>' for name in columns)
    down, along = sides
    return f"""<section>
<h2>{title}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="{label}">
<table class="confusion" id="{identity}">
<caption>{caption}</caption>
<thead>
<tr><th rowspan="2" scope="col">{down}</th>
<th colspan="{len(columns)}" scope="colgroup">{along}</th></tr>
<tr>{names}</tr>
</thead>
<tbody>
{rows}</tbody>
</table>
</div>
</section>
"""


def render_classes(found: Evaluation) -> str:
    """Return recall, precision and F1 of each class with their intervals."""
    rows = [
        (
            render_text(c.label),
            f"{c.n:,}",
            *(_bar(score) for score in (c.recall, c.precision, c.f1)),
        )
        for c in found.classes
    ]
    text = (
        "Recall: the share of a class that is found. Precision: the share of its answers that is "
        "right. F1: their harmonic mean. With 95\u202f% intervals by speaker."
    )
    table = render_table("classes", text, ("class", "clips", "recall", "precision", "F1"), rows)
    return render_section("Classes", table)


def _bar(score: Interval | None) -> str:
    if score is None:
        return NONE
    return f"{render_bar(score.value)}<small>{render_range(score)}</small>"


def render_confused(found: Evaluation) -> str:
    """Return the labels most taken for each other, with clips to listen to."""
    if not found.confused:
        return ""
    rows = [
        (
            f"{render_text(c.truth)} taken for {render_text(c.prediction)}",
            f"{c.n:,}",
            render_bar(c.share),
            "<br>".join(f"<code>{render_text(name)}</code>" for name in c.clip_ids),
        )
        for c in found.confused
    ]
    text = "The share is of the clips of the first label; the clips named were the surest mistakes."
    head = ("pair", "clips", "share", "clips to hear")
    return render_section("Worst confusions", render_table("confused", text, head, rows))


def render_groups(found: Evaluation) -> str:
    """Return the UAR of each group, and how far the groups of a trait are apart."""
    if not found.groups:
        return ""
    rated = any(group.raters for group in found.groups)
    text = (
        "UAR within the group, over the classes it has, with its 95\u202f% interval by speaker. "
        "The vertical line is the UAR of all clips."
    )
    if rated:
        text += " The diamond is what one human rater of these clips reaches, on average."
    gaps = {gap.by: gap for gap in found.gaps}
    head = ("group", "clips<br>speakers", "UAR<br>interval", SHARE_AXIS)
    tables = ""
    for by, members in groupby(found.groups, lambda group: group.by):
        groups = list(members)
        most = max(group.n_classes for group in groups)
        rows = [_group_cells(group, found, most) for group in groups]
        caption = f"By {render_text(by)}" + (_gap_words(gaps[by]) if by in gaps else "")
        table = render_table("groups by", caption, head, rows)
        if len(rows) > _MANY_GROUPS:
            table = f"<details>\n<summary>By {render_text(by)}: {len(rows)} groups</summary>\n"
            table += f"{render_table('groups by', caption, head, rows)}</details>\n"
        tables += table
    return render_section("Groups", f'<p class="muted">{text}</p>\n{tables}')


def _gap_words(gap: Gap) -> str:
    """Return how far the best and the worst group are apart, and the raters' gap beside it."""
    best, worst = render_text(gap.best), render_text(gap.worst)
    sure = gap.uar.low is not None and gap.uar.low > 0
    words = f"{best} over {worst}: {render_points(gap.uar)} points"
    words += "" if sure else ", not clear of zero"
    if gap.n_groups > 2:
        words += f"; the widest of {gap.n_groups} groups, so partly chance"
    if gap.raters is not None:
        words += f". Raters: {render_points(gap.raters)}"
    return f' <span class="muted">{words}</span>'


def render_targets(found: Evaluation) -> str:
    """Return the scores against intended and perceived labels, beside the raters' own."""
    if not found.targets:
        return ""
    rows = [
        (
            f"{render_text(t.who)}",
            render_text(t.target),
            f"{t.n:,}",
            f"{render_percent(t.uar.value)}<br><small>{render_range(t.uar)}</small>",
            f"{render_percent(t.war.value)}<br><small>{render_range(t.war)}</small>",
        )
        for t in found.targets
    ]
    text = (
        "Intended: what the actor was asked for. Perceived: what more raters chose than anything "
        "else; level votes are left out. One rater: a vote drawn at random; against the perceived "
        "label it had a part in that label, so it flatters."
    )
    head = ("who", "against", "clips", "UAR", "WAR")
    table = render_table("targets", text, head, rows)
    return render_section("Intended and perceived", table)


def render_speakers(found: Evaluation) -> str:
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


def _group_cells(group: GroupScore, found: Evaluation, most: int) -> tuple[str, ...]:
    speakers = f"{group.n_speakers:,}" if found.n_speakers else NONE
    counts = f"{group.n:,}<br><small>{speakers}</small>"
    span = render_range(group.uar) or ("too few speakers" if found.n_speakers else NONE)
    score = f"{render_percent(group.uar.value)}<br><small>{span}</small>"
    name = render_text(group.name)
    if group.n_classes < most:
        name += f"<br><small>{group.n_classes} of {most} classes</small>"
    picture = _whisker(group.uar, found.uar.value, "mean")
    if group.raters is not None:
        x = f"{group.raters.value:.2%}"
        diamond = f'<rect class="raters" x="{x}" y="50%" width="8" height="8"/>'
        picture = picture.replace("</svg>", f"{diamond}</svg>")
    return (name, counts, score, picture)


def _whisker(score: Interval, mark: float, kind: str) -> str:
    return render_whisker(score.value, score.low, score.high, mark, kind)


def render_mistakes(found: Evaluation) -> str:
    """Return the most confident wrong answers, by clip."""
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
