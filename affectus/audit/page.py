"""A report as one self-contained HTML page: a pure function of it. No script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from affectus.audit.findings import (
    SEVERITIES,
    AuditReport,
    Confound,
    CorpusCount,
    Distribution,
    Finding,
    count_of,
)
from affectus.audit.terminal import summarise
from affectus.page import (
    NONE,
    SHARE_AXIS,
    render_page,
    render_section,
    render_table,
    render_text,
    render_whisker,
    write_page,
)

_MOST_IDS = 500  # clip ids listed under a finding
_MANY_SPEAKERS = 30  # more are folded away
_LEFT, _RIGHT = 76.0, 312.0  # of a picture 320 wide
_BARS_HEIGHT, _ROW = 54.0, 17.0  # of its histogram, and of an emotion below it

_TRAITS = {
    "length": ("s", "How long clips are, by corpus and by emotion."),
    "loudness": (
        "dB",
        "Mean level of what sounds, pauses left out, in dB of full scale. Loudness is partly "
        "emotion; it is also the microphone.",
    ),
}


def render_audit(report: AuditReport, title: str) -> str:
    """Return the page. `title` says what was audited."""
    sections = (_findings, _emotions, _corpora, _confounds, _distributions, _features, _speakers)
    body = _head(report, title) + "".join(section(report) for section in sections)
    style = files("affectus.audit").joinpath("page.css").read_text(encoding="utf-8")
    return render_page(f"Audit of {title}", body, style)


def write_audit(report: AuditReport, path: Path | str, title: str) -> None:
    """Write the page, complete or not at all. Raises DiskError if it cannot be written."""
    write_page(render_audit(report, title), path)


def _head(report: AuditReport, title: str) -> str:
    n_clips = sum(count.present for count in report.counts)
    expected = [c.expected for c in report.counts if c.expected is not None]
    hours = sum(count.seconds for count in report.counts) / 3600
    n_speakers = sum(count.n_speakers for count in report.counts)
    published = sum(c.present for c in report.counts if c.expected is not None)
    facts = (
        ("Clips", f"{n_clips:,}", _of_published(published, sum(expected)) if expected else ""),
        ("Speakers", f"{n_speakers:,}" if n_speakers else "not known", ""),
        ("Sound", f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min", ""),
        ("Better left out", f"{len(report.exclusions()):,}", "clips"),
    )
    cells = (f"<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>\n" for a, b, c in facts)
    numbers = (
        f'<span class="{s}">{count_of(n, s)}</span>'
        for s in SEVERITIES
        if (n := sum(f.severity == s for f in report.findings))
    )
    verdict = " ".join(numbers) or '<span class="note">nothing was found</span>'
    return f"""<header>
<p class="muted">Audit</p>
<h1>{render_text(title)}</h1>
<p class="verdict" title="{render_text(summarise(report))}">{verdict}</p>
<dl class="facts">
{"".join(cells)}</dl>
</header>
"""


def _of_published(present: int, expected: int) -> str:
    return f"{present:,} of {expected:,} published"


def _findings(report: AuditReport) -> str:
    if not report.findings:
        return ""
    items = "".join(_finding(finding) for finding in report.findings)
    return render_section("Findings", f'<ul class="findings">\n{items}</ul>\n')


def _finding(finding: Finding) -> str:
    ids = ""
    if len(finding.clip_ids) > 1:
        shown = ", ".join(f"<code>{render_text(i)}</code>" for i in finding.clip_ids[:_MOST_IDS])
        more = len(finding.clip_ids) - _MOST_IDS
        rest = f" and {more:,} more" if more > 0 else ""
        ids = (
            f"<details>\n<summary>All {len(finding.clip_ids):,} clips</summary>\n"
            f"<p>{shown}{rest}</p>\n</details>\n"
        )
    return (
        f'<li class="{finding.severity}"><span>{finding.severity}</span>\n'
        f"<div><p>{render_text(finding.message)}.</p>\n"
        f'<p class="muted">{render_text(finding.remedy)}</p>\n{ids}</div></li>\n'
    )


def _emotions(report: AuditReport) -> str:
    """Return a table of corpora by emotions, the more clips the stronger the colour."""
    emotions = sorted({emotion for count in report.counts for emotion in count.emotions})
    if not emotions:
        return ""
    known = {(g.corpus, g.name or "unlabelled"): g for g in report.groups if g.by == "emotion"}
    most = max(n for count in report.counts for n in count.emotions.values())
    rows = ""
    for count in report.counts:
        cells = ""
        for emotion in emotions:
            n, group = count.emotions.get(emotion, 0), known.get((count.corpus, emotion))
            lacking = group is not None and group.expected not in (None, n)
            below = f"<small>of {group.expected:,}</small>" if group and lacking else ""
            style = f' style="--share:{n / most:.3f}"' if n else ""
            cells += f'<td class="{"hit" if n else "none"}"{style}>{n:,} {below}</td>'
        rows += f'<tr><th scope="row">{render_text(count.corpus)}</th>{cells}</tr>\n'
    head = "".join(f'<th scope="col">{render_text(emotion)}</th>' for emotion in emotions)
    return render_section(
        "Corpora and emotions",
        f"""<div class="scroll" tabindex="0" role="region" aria-label="Clips by corpus and emotion">
<table class="confusion amounts">
<caption>Clips; below them how many were published, where that is another number.</caption>
<thead><tr><th scope="col">corpus</th>{head}</tr></thead>
<tbody>
{rows}</tbody>
</table>
</div>
""",
    )


def _corpora(report: AuditReport) -> str:
    def cells(count: CorpusCount) -> tuple[str, ...]:
        known = count.expected is not None
        numbers = (count.expected, count.missing, count.extra) if known else (None,) * 3
        shown = (NONE if number is None else f"{number:,}" for number in numbers)
        minutes = f"{count.seconds / 60:,.1f}"
        speakers = f"{count.n_speakers:,}"
        return (render_text(count.corpus), f"{count.present:,}", *shown, speakers, minutes)

    head = ("corpus", "clips", "published", "missing", "extra", "speakers", "minutes")
    table = render_table("corpora", "", head, [cells(count) for count in report.counts])
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Corpora">{table}</div>\n'


def _confounds(report: AuditReport) -> str:
    """Return what each trait tells by itself, as a dot with its interval beside chance."""
    if not report.confounds:
        return ""
    text = (
        "How well each trait alone tells the emotions apart: UAR, with its 95\u202f% interval by "
        "speaker, and chance, which is that of shuffled labels (dashed). Length and loudness are "
        "judged on speakers that the model has not heard; loudness is partly how emotion is acted."
    )
    tables = ""
    for corpus, found in groupby(report.confounds, lambda confound: confound.corpus):
        rows = [_confound(confound) for confound in found]
        head = ("trait", "most told", "UAR<br>chance", SHARE_AXIS)
        name = render_text(corpus or "All corpora together")
        tables += render_table("groups traits", name, head, rows)
    return render_section(
        "What gives the emotion away",
        f'<p class="muted">{text}</p>\n<div class="by">{tables}</div>',
    )


def _confound(found: Confound) -> tuple[str, ...]:
    score = f"{found.uar:.2f}<br><small>{found.chance:.2f}</small>"
    told = f"{render_text(found.emotion)}<br><small>by {max(0.0, found.separation):.2f}</small>"
    line = render_whisker(found.uar, found.low, found.high, found.chance, "chance")
    return found.trait, told, score, line


def _distributions(report: AuditReport) -> str:
    sections = ""
    for trait, (unit, text) in _TRAITS.items():
        of_it = [d for d in report.distributions if d.trait == trait]
        figures = ""
        for corpus, found in groupby(of_it, lambda distribution: distribution.corpus):
            whole, *emotions = found
            figures += _figure(corpus, unit, whole, emotions)
        if figures:
            note = "Bars: clips; the outermost hold what lies beyond. Below, each emotion: the "
            note += "middle half, the middle 90\u202f% and the median."
            body = f'<p class="muted">{text} {note}</p>\n<div class="folds">\n{figures}</div>\n'
            sections += render_section(trait.capitalize(), body)
    return sections


def _figure(corpus: str, unit: str, whole: Distribution, emotions: Sequence[Distribution]) -> str:
    """Draw the histogram of a corpus, and a box for each emotion on the same axis."""
    low, high = whole.edges[0], whole.edges[-1]
    scale = (_RIGHT - _LEFT) / (high - low)

    def x(value: float) -> float:
        return _LEFT + scale * (min(max(value, low), high) - low)

    most, bottom = max(whole.counts), 8 + _BARS_HEIGHT
    picture = ""
    for left, right, count in zip(whole.edges, whole.edges[1:], whole.counts, strict=False):
        height = _BARS_HEIGHT * count / most
        picture += (
            f'<rect class="clips" x="{x(left):.1f}" y="{bottom - height:.1f}" '
            f'width="{max(x(right) - x(left) - 1, 0.5):.1f}" height="{height:.1f}"/>'
        )
    picture += f'<line class="rule" x1="{_LEFT}" x2="{_RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    for place, found in enumerate(emotions):
        y = bottom + 14 + _ROW * place
        _, q05, q25, median, q75, q95, _ = found.quantiles
        picture += (
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">'
            f"{render_text(found.emotion)}</text>"
            f'<line class="most" x1="{x(q05):.1f}" x2="{x(q95):.1f}" y1="{y}" y2="{y}"/>'
            f'<line class="whisker" x1="{x(q25):.1f}" x2="{x(q75):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="dot" cx="{x(median):.1f}" cy="{y}" r="4"/>'
        )
    foot = bottom + 14 + _ROW * len(emotions)
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = low + share * (high - low)
        shown = _number(value) + (f" {unit}" if share == 1 else "")
        spot = f'x="{x(value):.1f}" y="{foot + 8}" text-anchor="{anchor}"'
        picture += f"<text {spot}>{shown}</text>"
    first, _, _, median, _, _, last = whole.quantiles
    words = f"median {_number(median)} {unit}, from {_number(first)} to {_number(last)}"
    return f"""<figure>
<figcaption><b>{render_text(corpus)}</b> {words}</figcaption>
<svg viewBox="0 0 320 {foot + 14:.0f}" role="img" aria-label="{render_text(corpus)}: {words}">
{picture}
</svg>
</figure>
"""


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "\u2212")


def _features(report: AuditReport) -> str:
    if not report.features:
        return ""
    rows = [
        (
            f"{render_text(f.features)}<br><small>{render_text(f.corpus)}</small>",
            f"{f.done:,} of {f.planned:,}",
            f"{f.failed:,}",
            f"{f.missing:,}",
            ", ".join(f"{n:,}" for n in f.n_columns) or NONE,
            f"{f.n_frames[0]:,} to {f.n_frames[1]:,}",
        )
        for f in report.features
    ]
    head = ("features", "done", "failed", "missing", "columns", "frames")
    table = render_table("corpora", "What the store holds.", head, rows)
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="Features">{table}</div>'
    return render_section("Features", f"{scroll}\n")


def _speakers(report: AuditReport) -> str:
    body = ""
    of_it = [group for group in report.groups if group.by == "speaker"]
    for corpus, found in groupby(of_it, lambda group: group.corpus):
        speakers = list(found)
        most = max(max(g.present, g.expected or 0) for g in speakers) or 1
        rows = [
            (
                render_text(g.name or "not known"),
                f"{g.present:,}" + (f"<br><small>of {g.expected:,}</small>"
                                    if g.expected not in (None, g.present) else ""),
                f"{g.seconds / 60:.1f}",
                f'<span class="bar"><i style="--share:{g.present / most:.3f}"></i></span>',
            )
            for g in speakers
        ]  # fmt: skip
        name = f"{render_text(corpus)}: {count_of(len(speakers), 'speaker')}"
        table = render_table("speakers amounts", name, ("speaker", "clips", "minutes", ""), rows)
        if len(speakers) > _MANY_SPEAKERS:
            table = f"<details>\n<summary>{name}</summary>\n{table}</details>\n"
        body += table
    return render_section("Speakers", f'<div class="by">{body}</div>\n') if body else ""
