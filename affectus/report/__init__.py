"""One self-contained HTML page, a pure function of an evaluation: the answer first, then what it
rests on. No script, no network, no date: the same evaluation gives the same bytes.

Text from outside (names, labels, clip ids) enters the page through `render_text` alone. Beside the
page lie its figures as PNG and SVG and its tables as LaTeX and Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectus.errors import EvaluationError
from affectus.evaluation import Comparison, CrossMatrix, Evaluation
from affectus.page import render_page, render_percent, write_page
from affectus.report.answer import render_answer, render_protocol
from affectus.report.comparison import render_comparison
from affectus.report.crossing import render_matrix, summarise_matrix
from affectus.report.figures import draw_comparison, draw_figures, draw_matrix, write_figures
from affectus.report.papers import (
    comparison_tables,
    evaluation_tables,
    matrix_tables,
    write_tables,
)
from affectus.report.pictures import render_calibration, render_curves
from affectus.report.provenance import render_left_out, render_provenance
from affectus.report.tables import (
    render_classes,
    render_confused,
    render_confusion,
    render_groups,
    render_mistakes,
    render_speakers,
    render_targets,
)

__all__ = [
    "render_comparison", "render_matrix", "render_report", "summarise_matrix", "write_comparison",
    "write_matrix", "write_report", "write_supplements",
]  # fmt: skip

_COLUMNS = ("fold", "epoch", "loss", "dev_uar", "best")


def render_report(evaluation: Evaluation, history: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page.

    `history` holds a row for each epoch of each fold (fold, epoch, loss, dev_uar, best), as in
    history.jsonl; of the rows marked best, a fold's last is its best. Without it there are no
    curves.

    Raises EvaluationError if a row of history lacks one of these.
    """
    for number, row in enumerate(history, 1):
        if lacking := [column for column in _COLUMNS if column not in row]:
            raise EvaluationError(
                f"history row {number}: no '{lacking[0]}'; expected {', '.join(_COLUMNS)}."
            )
    figures = draw_figures(evaluation, history)
    stamp = "LEAKY: " if evaluation.protocol.get("leaky") else ""
    stamp += "adapted: " if evaluation.adapted else ""
    title = (
        f"{stamp}{evaluation.name}, UAR {render_percent(evaluation.uar.value)} on {evaluation.side}"
    )
    parts = (
        render_answer(evaluation),
        render_protocol(evaluation),
        render_confusion(evaluation),
        render_classes(evaluation),
        render_confused(evaluation),
        render_groups(evaluation),
        render_targets(evaluation),
        render_speakers(evaluation),
        render_calibration(evaluation, figures),
        render_curves(history, figures),
        render_mistakes(evaluation),
        render_left_out(evaluation),
        render_provenance(evaluation),
    )
    return render_page(title, "".join(parts))


def write_report(
    evaluation: Evaluation, path: Path | str, history: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the page, complete or not at all: a temporary file is renamed at the end.

    Raises DiskError if it cannot be written; what stood there before is then untouched.
    """
    write_page(render_report(evaluation, history), path)


def write_supplements(
    evaluation: Evaluation, folder: Path | str, history: Sequence[Mapping[str, Any]] = ()
) -> list[Path]:
    """Write the figures as PNG and SVG and the tables as LaTeX and Markdown; return the files."""
    folder = Path(folder)
    figures = write_figures(draw_figures(evaluation, history), folder)
    return figures + write_tables(evaluation_tables(evaluation), folder)


def write_comparison(comparison: Comparison, path: Path | str) -> list[Path]:
    """Write the page of a comparison and, in a folder of its name, its figure and tables.

    Returns what was written, the page first. Raises DiskError if the page cannot be written.
    """
    path = Path(path)
    write_page(render_comparison(comparison), path)
    folder = path.with_suffix("")
    figures = {"comparison": (draw_comparison(comparison), "")}
    return [
        path,
        *write_figures(figures, folder),
        *write_tables(comparison_tables(comparison), folder),
    ]


def write_matrix(found: CrossMatrix, path: Path | str) -> list[Path]:
    """Write the page of corpora against each other, and its figure and tables as of a comparison.

    Returns what was written, the page first. Raises DiskError if the page cannot be written.
    """
    path = Path(path)
    write_page(render_matrix(found), path)
    folder = path.with_suffix("")
    return [
        path,
        *write_figures({"matrix": (draw_matrix(found), "")}, folder),
        *write_tables(matrix_tables(found), folder),
    ]
