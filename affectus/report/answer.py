"""The head of a report: the score, how sure it is, by what protocol, what it may stand beside."""

from __future__ import annotations

from affectus.evaluation import Evaluation
from affectus.page import (
    SHARE_AXIS,
    render_percent,
    render_section,
    render_table,
    render_text,
    render_whisker,
)
from affectus.report.provenance import render_value
from affectus.report.published import Published, find_published
from affectus.report.tables import render_range


def render_answer(found: Evaluation) -> str:
    """Return the header: banners, the score with its interval, the other scores, cautions."""
    banner = ""
    if found.protocol.get("leaky"):
        banner += (
            '<p class="leaky"><strong>LEAKY protocol.</strong> What is judged here had a part in '
            "training: its speakers, its recordings, or the choice of the model. This is no score "
            "for unknown speakers.</p>\n"
        )
    if found.adapted:
        banner += (
            '<p class="leaky"><strong>Adapted.</strong> Each speaker\'s features were standardised '
            "by that speaker's own clips, without labels. A single recording of somebody unknown "
            "gets no such help.</p>\n"
        )
    share = found.n_answered / found.n_planned if found.n_planned else None
    failed = f"{render_percent(share)}, {found.n_failed:,} failed"
    control = found.control
    luck = f"{render_percent(control.low)} to {render_percent(control.high)}"
    facts = (
        ("WAR (accuracy)", render_percent(found.war.value), render_range(found.war)),
        ("Macro F1", render_percent(found.macro_f1.value), render_range(found.macro_f1)),
        ("Right or second", render_percent(found.top2.value), render_range(found.top2)),
        ("Clips answered", f"{found.n_answered:,} of {found.n_planned:,}", failed),
        ("Speakers", f"{found.n_speakers:,}" if found.n_speakers else "not known", ""),
        ("UAR by luck", render_percent(control.mean), f"{luck}, labels shuffled"),
    )
    cells = (f"<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>\n" for a, b, c in facts)
    items = "".join(f"<li>{render_text(caution)}</li>\n" for caution in found.cautions)
    cautions = (
        f'<section class="cautions">\n<h2>Before comparing</h2>\n<ul>\n{items}</ul></section>\n'
    )
    whisker = render_whisker(found.uar.value, found.uar.low, found.uar.high, found.chance, "chance")
    interval = render_range(found.uar) or "none can be given"
    corpora = ", ".join(f"{n:,} of {render_text(name)}" for name, n in found.corpora.items())
    return f"""<header>
{banner}<p class="muted">Evaluation on {render_text(found.side)}, clips: {corpora}</p>
<h1>{render_text(found.name)}</h1>
<p class="score"><strong>{render_percent(found.uar.value)}</strong>
<span>UAR, 95\u202f% interval by speaker: <b>{interval}</b><br>
<span class="muted">chance is {render_percent(found.chance)} (1 of {found.n_present} labels, dashed)
</span></span></p>
<div class="track">{whisker}</div>
{SHARE_AXIS}
<dl class="facts thirds">
{"".join(cells)}</dl>
</header>
{cautions if items else ""}"""


def render_protocol(found: Evaluation) -> str:
    """Say how the clips were divided, and what the number may be held against."""
    facts = dict(found.protocol)
    name, text, leaky = (facts.pop(key, "") for key in ("name", "text", "leaky"))
    rest = "".join(f", {render_text(key)} {render_value(value)}" for key, value in facts.items())
    kind = "adapted" if found.adapted else "strict (one recording at a time)"
    same = "the same corpus with the same labels and the same protocol"
    if leaky:
        against = f"with speaker-dependent scores on {same}, and with nothing else."
    elif found.n_speakers:
        against = f"with {kind}, speaker-independent scores on {same}."
    else:
        against = f"with scores on {same}; as its speakers are not known, it cannot be called "
        against += "speaker-independent."
    if found.side == "dev":
        against += " The epoch was chosen on these clips: compare it with dev scores alone."
    content = f"""<p><b>{render_text(name or "not named")}</b>{rest}\
{f": {render_text(text)}" if text else ""}.</p>
<p>This number may be compared {against}</p>
"""
    figures = find_published(found)
    if figures and found.side == "test":
        content += _published(found, figures)
    return render_section("Protocol", content)


def _published(found: Evaluation, figures: list[Published]) -> str:
    """Return the published figures around ours, told apart where one differs."""
    interval = render_range(found.uar)
    rows = [
        (
            f"<b>{render_text(found.name)}</b><br><small>this run</small>",
            f"<b>{render_percent(found.uar.value)} UAR</b><br>{_kind(found.adapted, interval)}",
        )
    ]
    for figure in figures:
        span = "" if figure.low is None else f"{figure.low:.1f}–{figure.high:.1f}\u202f%"
        quoted = "" if figure.seen == "source" else f"; quoted by {figure.seen}"
        about = f"{figure.protocol}. {figure.source}{quoted}"
        rows.append(
            (
                f"{render_text(figure.system)}<br><small>{render_text(about)}</small>",
                f"{figure.value:g}\u202f% {render_text(figure.metric)}<br>"
                f"{_kind(figure.adapted, span)}",
            )
        )
    text = (
        "Published figures for this corpus and as many labels. None was measured on these very "
        "folds: differences of a few points are within the folds' own."
    )
    table = render_table("published", text, ("system", "score"), rows)
    return f"<details open>\n<summary>Beside published figures</summary>\n{table}</details>\n"


def _kind(adapted: bool, span: str) -> str:
    """Return the interval, and whether the score is adapted, in small letters."""
    words = [*([span] if span else []), "adapted" if adapted else "strict"]
    return f"<small>{', '.join(words)}</small>"
