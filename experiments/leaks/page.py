"""The study's table and figure, as docs/leak-study.md shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from affectus.files import replacing
from affectus.metrics import Interval
from affectus.runs import write_json

BEGIN, END = "<!-- table: made by `make study` -->", "<!-- end of table -->"
CORPORA = {"ravdess": "RAVDESS", "tess": "TESS", "merged": "both"}
_LEAKY, _HONEST, _MUTED = "#b3261e", "#0b6e69", "#777777"

Row = Mapping[str, Any]


def write_page(rows: Sequence[Row], page: Path) -> None:
    """Put the table between its marks on the page, and the figure into the folder of its name.

    A page that is not there, or has no marks, is left to its writer: SystemExit says so.
    """
    text = page.read_text("utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: no table between '{BEGIN}' and '{END}'; expected both.")
    with replacing(page) as temporary:
        temporary.write_text(
            f"{before}{BEGIN}\n\n{draw_table(rows)}\n{END}{after}", encoding="utf-8"
        )
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    write_json(rows, folder / "results.json")
    write_figure(rows, folder / "inflation.svg")


def draw_table(rows: Sequence[Row]) -> str:
    """Return the table in Markdown: a row for each variant."""
    lines = [
        "| clips of | variant | UAR [95 % by speaker] | above the honest score | speakers better : "
        "worse | the guard, if nobody asks for a leak |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"**{row['variant']}**" if row["leaky"] else row["variant"]
        above, speakers = "–", "–"
        if "inflation" in row:
            above = f"{_points(Interval(*row['inflation']))}"
            speakers = f"{row['n_better']} : {row['n_worse']}"
        guard = row["guard"] or ("–" if not row["leaky"] else "sees nothing: see below")
        lines.append(
            f"| {CORPORA[row['corpus']]} | {name} | {Interval(*row['uar'])} | {above} | {speakers} "
            f"| {guard} |"
        )
    return "\n".join(lines) + "\n"


def write_figure(rows: Sequence[Row], path: Path) -> None:
    """Draw what each variant is above the honest score, with its interval over speakers."""
    shown = [row for row in rows if "inflation" in row]
    style = {"svg.fonttype": "none", "svg.hashsalt": "leaks", "font.size": 9,
             "figure.constrained_layout.use": True}  # fmt: skip
    with rc_context(style):
        figure = Figure((7.2, 0.9 + 0.28 * len(shown)), facecolor="white")
        axes = figure.add_subplot()
        axes.axvline(0, color=_MUTED, linewidth=1)
        for place, row in enumerate(shown):
            found, colour = Interval(*row["inflation"]), _LEAKY if row["leaky"] else _HONEST
            if found.low is not None and found.high is not None:
                axes.plot([100 * found.low, 100 * found.high], [place] * 2, color=colour,
                          linewidth=4, alpha=0.4, solid_capstyle="round")  # fmt: skip
            axes.plot([100 * found.value], [place], "o", color=colour, markersize=5)
            axes.annotate(f"{100 * found.value:+.1f}", (100 * found.value, place), (0, 4),
                          textcoords="offset points", ha="center", size=7)  # fmt: skip
        names = [f"{CORPORA[row['corpus']]}: {row['variant']}" for row in shown]
        axes.set_yticks(range(len(shown)), names)
        axes.invert_yaxis()
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("points of UAR above the honest score; red: leaky")
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def _points(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"{100 * found.value:+.1f}"
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
