"""The page of a comparison: runs side by side, what differs, and whether it is luck."""

from __future__ import annotations

from affectus.evaluation import Comparison, Pair
from affectus.manifest import natural_key
from affectus.page import (
    NONE,
    SHARE_AXIS,
    render_page,
    render_percent,
    render_section,
    render_table,
    render_text,
    render_whisker,
)
from affectus.report.figures import draw_comparison, render_svg
from affectus.report.tables import render_points, render_range

_SURE = 0.05


def render_comparison(found: Comparison) -> str:
    """Return the page."""
    title = "Comparison: " + ", ".join(run.name for run in found.runs)
    parts = (_answer(found), _runs(found), _pairs(found), _classes(found), _speakers(found))
    return render_page(title, "".join(parts))


def _answer(found: Comparison) -> str:
    """Say first which differences stand, in words."""
    items = "".join(f"<li>{_verdict(pair)}</li>\n" for pair in found.pairs)
    cautions = "".join(f"<li>{render_text(text)}</li>\n" for text in found.cautions)
    box = (
        f'<section class="cautions">\n<h2>Before concluding</h2>\n<ul>\n{cautions}</ul></section>\n'
    )
    people = f"{len(found.speakers):,} speakers" if found.speakers else "speakers not known"
    return f"""<header>
<p class="muted">{len(found.runs)} runs on {found.n_shared:,} clips that all answered, {people}</p>
<h1>{", ".join(render_text(run.name) for run in found.runs)}</h1>
<ul class="verdicts">
{items}</ul>
</header>
{box if cautions else ""}"""


def _verdict(pair: Pair) -> str:
    one, other = f"<b>{render_text(pair.first)}</b>", f"<b>{render_text(pair.second)}</b>"
    points = f"{100 * abs(pair.difference.value):.1f} points of UAR"
    if pair.p_holm >= _SURE:
        return f"{one} and {other} are not shown to differ ({points}, p {_p(pair.p_holm)})."
    better, worse = (one, other) if pair.difference.value > 0 else (other, one)
    return f"{better} is better than {worse} by {points} (p {_p(pair.p_holm)})."


def _runs(found: Comparison) -> str:
    rows = [
        (
            f"{render_text(run.name)}<br><small>{run.n_answered:,} answered</small>",
            f"{render_percent(run.uar.value)}<br><small>{render_range(run.uar)}</small>",
            f"{render_percent(run.war.value)}<br><small>{render_percent(run.macro_f1.value)}"
            f"</small>",
            f"{run.ece:.3f}",
            render_whisker(run.uar.value, run.uar.low, run.uar.high, found.chance, "chance"),
        )
        for run in found.runs
    ]
    head = ("run", "UAR<br>interval", "WAR<br>macro F1", "ECE", SHARE_AXIS)
    text = "On the shared clips; 95\u202f% intervals by speaker. The dashed line is chance."
    figure = render_svg(draw_comparison(found), "comparison", "UAR of each run and speaker")
    return render_section(
        "Runs", f"{render_table('groups runs', text, head, rows)}<figure>\n{figure}</figure>\n"
    )


def _pairs(found: Comparison) -> str:
    rows = [
        (
            f"{render_text(pair.first)} − {render_text(pair.second)}",
            render_points(pair.difference),
            f"{pair.n_better} : {pair.n_worse}",
            _p(pair.p),
            f"<b>{_p(pair.p_holm)}</b>",
            f"{_p(pair.mcnemar)}<br><small>{pair.only_first:,} : {pair.only_second:,}</small>",
        )
        for pair in found.pairs
    ]
    text = (
        "Difference of UAR in points, with its 95\u202f% interval, speakers drawn for both runs "
        "alike; for how many speakers the first is better, and worse. p: Wilcoxon's signed-rank "
        "test over speakers, then adjusted for the number of pairs (Holm). McNemar's test, over "
        "clips that only one of the two has right, takes clips of a speaker for independent: too "
        "hopeful."
    )
    head = ("pair", "difference", "speakers", "p", "p, adjusted", "McNemar")
    return render_section("Differences", render_table("pairs", text, head, rows))


def _classes(found: Comparison) -> str:
    rows = [
        (render_text(label), *(render_percent(run.recalls[place]) for run in found.runs))
        for place, label in enumerate(found.labels)
    ]
    head = ("class", *(render_text(run.name) for run in found.runs))
    return render_section("Recall by class", render_table("recalls", "", head, rows))


def _speakers(found: Comparison) -> str:
    """Show every speaker: those whom the runs answer most unlike come first."""
    if not found.speakers:
        return ""
    places = sorted(
        range(len(found.speakers)),
        key=lambda i: (
            min(run.by_speaker[i] for run in found.runs)
            - max(run.by_speaker[i] for run in found.runs),
            natural_key(found.speakers[i]),
        ),
    )
    rows = []
    for i in places:
        scores = [run.by_speaker[i] for run in found.runs]
        best = max(scores)
        cells = (
            f"<b>{render_percent(score)}</b>"
            if score == best > min(scores)
            else render_percent(score)
            for score in scores
        )
        rows.append((render_text(found.speakers[i]), *cells))
    head = ("speaker", *(render_text(run.name) for run in found.runs))
    text = "UAR of each speaker; those whom the runs answer most unlike first."
    table = render_table("recalls", text, head, rows)
    if len(rows) > 30:
        table = f"<details>\n<summary>All {len(rows)} speakers</summary>\n{table}</details>\n"
    return render_section("Speakers", table)


def _p(value: float) -> str:
    if value != value:
        return NONE
    return "&lt;\u202f0.001" if value < 0.001 else f"{value:.3f}"
