"""Sections around figures: calibration, abstaining, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from affectus.evaluation import Evaluation
from affectus.manifest import natural_key
from affectus.page import NONE, render_percent, render_section, render_table, render_text
from affectus.report.figures import render_svg

Figures = Mapping[str, tuple[Figure, str]]


def render_calibration(found: Evaluation, figures: Figures) -> str:
    """Return whether scores can be taken for probabilities, and what abstaining would gain."""
    calibration, raw = found.calibration, found.calibration.raw
    kinds = (("ECE", "ece"), ("Brier score", "brier"), ("NLL, nats", "nll"))
    rows = []
    for title, name in kinds:
        score = getattr(calibration, name)
        span = NONE if score.low is None else f"{score.low:.3f}–{score.high:.3f}"
        before = f"{raw[name]:.3f}" if raw else NONE
        rows.append((title, before, f"{score.value:.3f}", span))
    text = (
        "ECE: the mean gap between how sure the model is and how often it is right. All three: the "
        "smaller, the better. "
    )
    if calibration.temperatures:
        values = calibration.temperatures.values()
        text += (
            f"Scores are divided by a temperature ({min(values):.2f} to {max(values):.2f}), fitted "
            f"for each fold on the speakers of its dev side."
        )
    head = ("", "as trained", "judged", "95\u202f% by speaker")
    table = render_table("calibration", text, head, rows)
    pair = _pair(figures, ("reliability", "risk-coverage"))
    selected = [
        (
            render_percent(s.coverage, 0),
            f"{s.n:,}",
            render_percent(s.threshold),
            render_percent(s.accuracy),
            render_percent(s.uar),
        )
        for s in reversed(found.selected)
    ]
    abstaining = render_table(
        "selected",
        f"If only the surest clips are answered. Area under the curve: {found.area:.3f}.",
        ("answered", "clips", "sure by at least", "right", "UAR"),
        selected,
    )
    return render_section("How sure, and rightly so?", f"{table}{pair}{abstaining}")


def render_curves(history: Sequence[Mapping[str, Any]], figures: Figures) -> str:
    """Return the learning curves, and the best epoch of each fold."""
    if not history:
        return ""
    rows = []
    for fold in sorted({str(row["fold"]) for row in history}, key=natural_key):
        epochs = [row for row in history if str(row["fold"]) == fold]
        best = next((row for row in reversed(epochs) if row["best"]), None)
        place = NONE if best is None else f"{int(best['epoch'])} of {len(epochs)}"
        score = None if best is None else float(best["dev_uar"])
        rows.append((render_text(fold), place, render_percent(score)))
    drawn = [name for name in ("training-loss", "dev-uar") if name in figures]
    pair = _pair(figures, drawn) if drawn else ""
    text = (
        "A line for each fold. The dot is the epoch whose weights are kept."
        if pair
        else "The model was fitted in one go."
    )
    table = render_table("folds", text, ("fold", "best epoch", "UAR on dev"), rows)
    return render_section("Training", f"{pair}{table}")


def _pair(figures: Figures, names: Sequence[str]) -> str:
    """Return figures side by side, one above the other where the page is narrow."""
    drawn = "".join(
        f"<figure>\n{render_svg(figures[name][0], name, figures[name][1])}"
        f"<figcaption>{figures[name][1]}</figcaption>\n</figure>\n"
        for name in names
    )
    return f'<div class="pair">\n{drawn}</div>\n'
