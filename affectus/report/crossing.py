"""The page of corpora against each other: trained on rows, tested on columns."""

from __future__ import annotations

from affectus.evaluation import CrossMatrix, CrossScore
from affectus.page import (
    NONE,
    render_page,
    render_percent,
    render_section,
    render_table,
    render_text,
)
from affectus.report.tables import render_points, render_range, render_square


def render_matrix(found: CrossMatrix) -> str:
    """Return the page."""
    title = f"{'Adapted: ' * found.adapted}{', '.join(found.corpora)} against each other"
    parts = (_answer(found), _matrix(found), _cautions(found), _pairs(found), _rows(found))
    return render_page(title, "".join(parts))


def summarise_matrix(found: CrossMatrix) -> list[str]:
    """Say in words what training elsewhere costs: the pairs, the worst and the best of them."""
    pairs = [
        (cell, cell.uar, cell.lost)
        for cell in found.cells
        if cell.uar is not None and cell.lost is not None
    ]
    if not pairs:
        return ["No two corpora share two emotions: nothing can be said."]
    ranked = sorted(pairs, key=lambda pair: pair[2].value)
    worse = [pair for pair in pairs if pair[2].low is not None and pair[2].low > 0]
    tested = [pair for pair in pairs if pair[2].low is not None]
    luck = [
        pair for pair in pairs if pair[1].low is not None and pair[1].low <= 1 / len(pair[0].labels)
    ]
    mean = sum(lost.value for _, _, lost in pairs) / len(pairs)
    texts = [
        f"A model that was trained on another corpus has on average {100 * mean:.1f} points of UAR "
        f"less than one of the corpus that is tested ({len(pairs)} pairs; the same clips, the same "
        f"emotions, unknown speakers in both).",
    ]
    if tested:
        above = f"{len(luck)} cannot be told from chance" if luck else "all are above chance"
        texts.append(
            f"That is clear of zero for {len(worse)} of the {len(tested)} pairs that have an "
            f"interval; {above}."
        )
    for word, (cell, score, lost) in (("Least", ranked[0]), ("Most", ranked[-1])):
        points = f"{100 * abs(lost.value):.1f} points{' are gained' * (lost.value < 0)}"
        texts.append(
            f"{word} is lost from {cell.trained} to {cell.tested}: {points}, UAR "
            f"{render_percent(score.value)} where chance is "
            f"{render_percent(1 / len(cell.labels))}."
        )
    return texts


def _answer(found: CrossMatrix) -> str:
    items = "".join(f"<li>{render_text(text)}</li>\n" for text in summarise_matrix(found))
    kind = "adapted to each speaker" if found.adapted else "strict (one recording at a time)"
    return f"""<header>
<p class="muted">Corpora against each other, {kind}</p>
<h1>{", ".join(render_text(name) for name in found.corpora)}</h1>
<ul class="verdicts">
{items}</ul>
</header>
"""


def _cautions(found: CrossMatrix) -> str:
    items = "".join(f"<li>{render_text(text)}</li>\n" for text in found.cautions)
    box = f'<section class="cautions">\n<h2>Before comparing</h2>\n<ul>\n{items}</ul></section>\n'
    return box if items else ""


def _matrix(found: CrossMatrix) -> str:
    """Return the matrix; the stronger the colour, the farther above chance."""
    rows = ""
    for trained in found.corpora:
        cells = "".join(_cell(found.cell(trained, tested)) for tested in found.corpora)
        rows += f'<tr><th scope="row">{render_text(trained)}</th>{cells}</tr>\n'
    caption = (
        "Rows: the corpus trained on. Columns: the corpus tested, with 95\u202f% intervals by its "
        "speakers and the number of emotions. The stronger the colour, the farther above chance. "
        "Framed: at home, on speakers that training has not heard."
    )
    return render_square(
        found.corpora, rows, title="UAR", label="Cross-corpus matrix", caption=caption,
        sides=("trained on", "tested on"), identity="crossed",
    )  # fmt: skip


def _cell(cell: CrossScore) -> str:
    if cell.uar is None:
        return f'<td class="none">{NONE} <small>{len(cell.labels)} shared</small></td>'
    chance = 1 / len(cell.labels)
    share = max(0.0, (cell.uar.value - chance) / (1 - chance))
    kind = "hit" if cell.trained == cell.tested else "miss"
    span = render_range(cell.uar) or "no interval"
    return (
        f'<td class="{kind}" style="--share:{share:.3f}">{render_percent(cell.uar.value)} '
        f"<small>{span}</small><small>{len(cell.labels)} emotions</small></td>"
    )


def _pairs(found: CrossMatrix) -> str:
    """Return every pair with the emotions it is judged on, beside the same clips at home."""
    rows = []
    for cell in found.cells:
        if cell.trained == cell.tested:
            continue
        speakers = f"{cell.n_speakers:,}" if cell.n_speakers else NONE
        own = lost = score = NONE
        if cell.uar is not None and cell.own is not None and cell.lost is not None:
            score = f"{render_percent(cell.uar.value)}<br><small>{render_range(cell.uar)}</small>"
            own = f"{render_percent(cell.own.value)}<br><small>{render_range(cell.own)}</small>"
            lost = render_points(cell.lost).replace(" <small>", "<br><small>")
        emotions = ", ".join(render_text(label) for label in cell.labels) or "none shared"
        chance = f"; chance {render_percent(1 / len(cell.labels))}" if cell.labels else ""
        rows.append(
            (
                f"{render_text(cell.trained)} to {render_text(cell.tested)}"
                f"<br><small>{emotions}{chance}</small>",
                f"{cell.n:,}<br><small>{speakers}</small>",
                score,
                own,
                lost,
            )
        )
    text = (
        "Each pair on the emotions that training has of the one and test of the other; these alone "
        "may be answered. At home: the tested corpus's own models, which have not heard the "
        "speaker, on the same clips and emotions. Lost: points of UAR, speakers drawn for both "
        "alike."
    )
    head = (
        "trained on, tested on", "clips<br>speakers", "UAR<br>interval", "at home<br>interval",
        "lost<br>interval",
    )  # fmt: skip
    return render_section("Pairs", render_table("crossings", text, head, rows))


def _rows(found: CrossMatrix) -> str:
    """Say what each row is, and what was said of it at training."""
    rows = []
    for row in found.rows:
        n_models = max(cell.n_models for cell in found.cells if cell.trained == row.corpus)
        notes = "".join(f"<br><small>{render_text(text)}</small>" for text in row.cautions)
        rows.append(
            (
                f"{render_text(row.corpus)}<br><small>{render_text(row.run)}</small>",
                f"{render_text(row.features)}, {render_text(row.model)}"
                f"<br><small>{n_models} models</small>",
                f"{render_text(row.protocol)}{' (LEAKY)' if row.leaky else ''}"
                f"<br><small>{render_text(row.scheme)}</small>{notes}",
            )
        )
    text = (
        "The protocol divides a corpus at home. All models of a run, one a fold, answer the other "
        "corpora's clips, and each answer counts."
    )
    head = ("corpus<br>run", "features, model", "protocol, labels, cautions")
    return render_section("Runs", render_table("trained", text, head, rows))
