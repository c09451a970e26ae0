"""Every figure of a report, drawn by matplotlib: inline in the page, as PNG and SVG beside it.

Inline, the colours are those of the page, so that dark mode and print hold for figures too. The
same values give the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from affectus.errors import escape
from affectus.evaluation import Comparison, CrossMatrix, Evaluation, GroupScore
from affectus.files import replacing
from affectus.manifest import natural_key

# The light colours of report.css; in a page each becomes the variable of that name.
_PAPER, _INK, _MUTED, _LINE, _ACCENT = "#ffffff", "#1a1d21", "#59636e", "#dfe4ea", "#1f5fa8"
_VARIABLES = {_PAPER: "paper", _INK: "ink", _MUTED: "muted", _LINE: "line", _ACCENT: "accent"}
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 8,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.facecolor": _PAPER,
    "axes.facecolor": "none",
    "figure.constrained_layout.use": True,
}
_DPI = 200
_DARK = 0.75  # a shade from which white is easier to read on it than ink

Row = Mapping[str, Any]


def draw_figures(
    evaluation: Evaluation, history: Sequence[Row] = ()
) -> dict[str, tuple[Figure, str]]:
    """Return the figures of a report by name, each with a sentence on what it shows."""
    with rc_context(_STYLE):
        found = {
            "confusion": (draw_confusion(evaluation), "Confusion matrix, shares of the truth."),
            "reliability": (
                draw_reliability(evaluation),
                "Reliability: how often right, against how sure; the diagonal is calibrated.",
            ),
            "risk-coverage": (
                draw_risk_coverage(evaluation),
                "Error rate if only the surest clips are answered.",
            ),
        }
        if evaluation.groups:
            found["groups"] = (
                draw_groups(evaluation.groups, evaluation.uar.value, evaluation.chance),
                "UAR by group with 95 % intervals over speakers.",
            )
        if any(int(row["epoch"]) > 1 for row in history):
            found["training-loss"] = (draw_curves(history, "loss"), "Training loss by epoch.")
            found["dev-uar"] = (
                draw_curves(history, "dev_uar", evaluation.chance),
                "UAR on dev by epoch; the dashed line is chance.",
            )
    return found


def draw_confusion(found: Evaluation) -> Figure:
    """Draw the shares of each truth (row) that got each answer (column), and the counts."""
    counts = np.array(found.confusion)
    n = counts.sum(1, keepdims=True)
    shares = np.divide(counts, n, out=np.zeros(counts.shape), where=n > 0)
    size = 1.4 + 0.42 * len(counts)
    figure = Figure((size + 0.3, size))
    axes = figure.add_subplot()
    shades = LinearSegmentedColormap.from_list("shades", [_PAPER, _ACCENT])
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    labels = [escape(label) for label in found.labels]
    axes.set_xticks(range(len(counts)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(counts)), labels)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:
            colour = _PAPER if shares[i, j] > _DARK else _INK
            text = f"{counts[i, j]}\n{100 * shares[i, j]:.0f} %"
            axes.text(j, i, text, ha="center", va="center", size=6, color=colour)
    return figure


def draw_reliability(found: Evaluation) -> Figure:
    """Draw accuracy against confidence in bins, as wide as clips are many, and the diagonal."""
    figure = Figure((3.4, 3.2))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    used = [b for b in found.calibration.bins if b.n]
    sure, right = [b.confidence or 0.0 for b in used], [b.accuracy or 0.0 for b in used]
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=(0, (3, 3)), linewidth=1)
    axes.vlines(sure, sure, right, color=_ACCENT, linewidth=3, alpha=0.3)
    axes.plot(sure, right, color=_ACCENT, marker="o", markersize=4)
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1)
    axes.set_ylabel("share right")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    width = 1 / len(found.calibration.bins)
    below.bar(
        [b.low + width / 2 for b in found.calibration.bins],
        [b.n for b in found.calibration.bins],
        width=0.9 * width,
        color=_ACCENT,
        alpha=0.5,
    )
    below.set_ylabel("clips")
    below.set_xlabel("confidence")
    below.xaxis.set_major_formatter(PercentFormatter(1))
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure


def draw_risk_coverage(found: Evaluation) -> Figure:
    """Draw the error rate of the surest clips against how many are answered."""
    figure = Figure((3.4, 3.2))
    axes = figure.add_subplot()
    coverage, risk = zip(*found.curve, strict=True)
    overall = 1 - found.war.value
    axes.plot([0, 1], [overall] * 2, color=_MUTED, linestyle=(0, (3, 3)), linewidth=1)
    axes.fill_between(coverage, risk, color=_ACCENT, alpha=0.12, linewidth=0)
    axes.plot(coverage, risk, color=_ACCENT)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.05, *risk, overall) * 1.1)
    axes.set_xlabel("share of clips answered, the surest first")
    axes.set_ylabel("wrong among them")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def draw_groups(groups: Sequence[GroupScore], overall: float, chance: float) -> Figure:
    """Draw the UAR of each group with its interval; hollow: what one rater reaches."""
    shown = [group for group in groups if group.by != "sentence"] or list(groups)
    shown = shown[:40]
    figure = Figure((4.6, 0.9 + 0.22 * len(shown)))
    axes = figure.add_subplot()
    axes.axvline(overall, color=_MUTED, linewidth=1)
    axes.axvline(chance, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)))
    for place, group in enumerate(shown):
        _whisker(axes, place, group.uar, _ACCENT)
        if group.raters is not None:
            axes.plot(
                [group.raters.value],
                [place],
                marker="D",
                markersize=4,
                color=_INK,
                fillstyle="none",
            )
    names = [escape(f"{group.by}: {group.name} ({group.n:,})") for group in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1)
    axes.set_xlabel("UAR")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def draw_curves(history: Sequence[Row], key: str, chance: float | None = None) -> Figure:
    """Draw one figure of a training by epoch, a line a fold; dots: the epochs whose weights stay.

    Where `chance` is given, `key` is a share: the axis is in per cent, with a line at chance.
    """
    figure = Figure((3.4, 2.6))
    axes = figure.subplots()
    folds = sorted({str(row["fold"]) for row in history}, key=natural_key)
    alpha = 0.9 if len(folds) < 4 else 0.55
    for fold in folds:
        rows = [row for row in history if str(row["fold"]) == fold]
        epochs = [int(row["epoch"]) for row in rows]
        axes.plot(epochs, [float(row[key]) for row in rows], color=_ACCENT, alpha=alpha)
        best = next((row for row in reversed(rows) if row["best"]), None)
        if best is not None:
            axes.plot(
                [int(best["epoch"])], [float(best[key])], color=_INK, marker="o", markersize=3.5
            )
    if chance is not None:
        axes.axhline(chance, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def draw_comparison(found: Comparison) -> Figure:
    """Draw each run's UAR with its interval, and under it the speakers one by one."""
    with rc_context(_STYLE):
        figure = Figure((4.6, 0.8 + 0.4 * len(found.runs)))
        axes = figure.add_subplot()
        axes.axvline(found.chance, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)))
        for place, run in enumerate(found.runs):
            if found.speakers:
                heights = [place + 0.22] * len(run.by_speaker)
                axes.plot(
                    run.by_speaker, heights, color=_MUTED, marker="|", linestyle="", alpha=0.6
                )
            _whisker(axes, place, run.uar, _ACCENT)
        axes.set_yticks(range(len(found.runs)), [escape(run.name) for run in found.runs])
        axes.set_ylim(len(found.runs) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1)
        axes.set_xlabel("UAR; below each interval, a stroke for each speaker")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def draw_matrix(found: CrossMatrix) -> Figure:
    """Draw the UAR of each corpus (column) by models of each (row), shaded above chance."""
    with rc_context(_STYLE):
        n = len(found.rows)
        figure = Figure((1.6 + 1.05 * n, 1.1 + 0.55 * n))
        axes = figure.add_subplot()
        shares = np.zeros((n, n))
        for place, cell in enumerate(found.cells):
            if cell.uar is not None:
                chance = 1 / len(cell.labels)
                shares.flat[place] = max(0.0, (cell.uar.value - chance) / (1 - chance))
        shades = LinearSegmentedColormap.from_list("shades", [_PAPER, _ACCENT])
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1, aspect="auto")
        for place, cell in enumerate(found.cells):
            text = "–"
            if cell.uar is not None:
                low, high = cell.uar.low, cell.uar.high
                span = "" if low is None or high is None else f"\n{100 * low:.0f}–{100 * high:.0f}"
                text = f"{100 * cell.uar.value:.1f} %{span}\n{len(cell.labels)} emotions"
            colour = _PAPER if shares.flat[place] > _DARK else _INK
            row, column = divmod(place, n)
            axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
        names = [escape(name) for name in found.corpora]
        axes.set_xticks(range(n), names)
        axes.set_yticks(range(n), names)
        axes.set_xlabel("tested on")
        axes.set_ylabel("trained on")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return figure


def _whisker(axes: Axes, place: float, score: Any, colour: str) -> None:
    if score.low is not None and score.high is not None:
        axes.plot([score.low, score.high], [place] * 2, color=colour, linewidth=4, alpha=0.4,
                  solid_capstyle="round")  # fmt: skip
    axes.plot([score.value], [place], marker="o", markersize=5, color=colour)


def render_svg(figure: Figure, name: str, text: str) -> str:
    """Return a figure as an SVG element for a page: its colours and fonts are the page's.

    Ids begin with `name`, which is to be the page's only one.
    """
    source = _save(figure, name, "svg").decode("utf-8")
    source = source[source.index("<svg") :]
    source = re.sub(r"<metadata>.*?</metadata>", "", source, flags=re.DOTALL)
    source = re.sub(r"<style[^>]*>.*?</style>", "", source, flags=re.DOTALL)
    source = re.sub(r'\sid="[^"]*(?<!clip)"', _kept_id(source, name), source)
    source = re.sub(r"url\(#", f"url(#{name}-", source)
    source = re.sub(r'xlink:href="#', f'href="#{name}-', source)
    source = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", source)
    for colour, variable in _VARIABLES.items():
        source = source.replace(colour, f"var(--{variable})")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', source)
    width = size.group(1) if size else "400"
    head = (
        f'<svg class="figure" viewBox="{size.group(0)[9:-1] if size else ""}" role="img" '
        f'aria-label="{text}" style="max-width: {float(width) * 1.6:.0f}px">'
    )
    return re.sub(r"\n\s*", "\n", head + source[source.index(">") + 1 :]).strip() + "\n"


def _kept_id(source: str, name: str) -> Any:
    """Return what an id becomes: prefixed where something refers to it, nothing elsewhere."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", source))

    def change(match: re.Match[str]) -> str:
        found = match.group(0).split('"')[1]
        return f' id="{name}-{found}"' if found in used else ""

    return change


def write_figures(figures: Mapping[str, tuple[Figure, str]], folder: Path) -> list[Path]:
    """Write each figure as PNG and SVG; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (figure, _) in figures.items():
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            with replacing(path) as temporary:
                temporary.write_bytes(_save(figure, name, kind))
            written.append(path)
    return written


def _save(figure: Figure, name: str, kind: str) -> bytes:
    file = io.BytesIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box for letters it cannot draw
        if kind == "svg":
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
