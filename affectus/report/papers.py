"""Tables for a paper or a README: LaTeX (booktabs) and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectus.evaluation import Comparison, CrossMatrix, Evaluation
from affectus.files import replacing
from affectus.metrics import Interval

Rows = Sequence[Sequence[str]]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
}  # fmt: skip


def evaluation_tables(found: Evaluation) -> dict[str, tuple[str, Sequence[str], Rows]]:
    """Return the tables of an evaluation by name: a caption, the columns, the rows."""
    kind = "adapted" if found.adapted else "strict"
    leak = ", LEAKY" if found.protocol.get("leaky") else ""
    place = (
        f"{found.name}, {found.side}: {found.n_answered:,} of {found.n_planned:,} clips, "
        f"{found.n_speakers} speakers; protocol {found.protocol.get('name', 'not named')}{leak}, "
        f"{kind}; 95 % intervals by bootstrap over speakers; chance UAR "
        f"{found.chance:.3f}."
    )
    scores = [
        ("UAR", str(found.uar)),
        ("WAR", str(found.war)),
        ("macro F1", str(found.macro_f1)),
        ("top-2 accuracy", str(found.top2)),
        ("ECE", str(found.calibration.ece)),
        ("Brier score", str(found.calibration.brier)),
        ("NLL (nats)", str(found.calibration.nll)),
    ]
    classes = [
        (c.label, f"{c.n:,}", _or_dash(c.recall), _or_dash(c.precision), _or_dash(c.f1))
        for c in found.classes
    ]
    tables: dict[str, tuple[str, Sequence[str], Rows]] = {
        "scores": (place, ("score", "value"), scores),
        "classes": (
            f"{found.name}: scores by class.",
            ("class", "clips", "recall", "precision", "F1"),
            classes,
        ),
    }
    if found.groups:
        rated = any(group.raters for group in found.groups)
        columns = ["group", "", "clips", "speakers", "UAR", *(["one rater"] if rated else [])]
        rows = [
            (
                group.by, group.name, f"{group.n:,}", f"{group.n_speakers:,}", str(group.uar),
                *([_or_dash(group.raters)] if rated else []),
            )
            for group in found.groups
        ]  # fmt: skip
        tables["groups"] = (f"{found.name}: UAR by group.", columns, rows)
    return tables


def comparison_tables(found: Comparison) -> dict[str, tuple[str, Sequence[str], Rows]]:
    """Return the tables of a comparison by name: a caption, the columns, the rows."""
    runs = [(run.name, str(run.uar), str(run.war), str(run.macro_f1)) for run in found.runs]
    pairs = [
        (
            f"{pair.first} - {pair.second}", _signed(pair.difference),
            f"{pair.n_better}:{pair.n_worse}", _p(pair.p), _p(pair.p_holm), _p(pair.mcnemar),
        )
        for pair in found.pairs
    ]  # fmt: skip
    return {
        "runs": (
            f"{found.n_shared:,} clips that all answered, {len(found.speakers)} speakers; 95 % "
            f"intervals by bootstrap over speakers; chance UAR {found.chance:.3f}.",
            ("run", "UAR", "WAR", "macro F1"),
            runs,
        ),
        "pairs": (
            "Differences of UAR; p by Wilcoxon's test over speakers, adjusted by Holm; McNemar's "
            "over clips ignores that clips of a speaker are alike.",
            ("pair", "difference", "speakers better:worse", "p", "p (Holm)", "McNemar"),
            pairs,
        ),
    }


def matrix_tables(found: CrossMatrix) -> dict[str, tuple[str, Sequence[str], Rows]]:
    """Return the tables of corpora against each other: the matrix, and what each pair rests on."""
    kind = "adapted" if found.adapted else "strict"
    leak = ", LEAKY" if any(row.leaky for row in found.rows) else ""
    leak = ", LEAKY" if any(cell.leaks for cell in found.cells) else leak
    matrix = [
        (
            trained,
            *(
                f"{_or_dash(cell.uar)} ({len(cell.labels)})"
                for cell in (found.cell(trained, tested) for tested in found.corpora)
            ),
        )
        for trained in found.corpora
    ]
    pairs = [
        (
            f"{cell.trained} to {cell.tested}", ", ".join(cell.labels), f"{cell.n:,}",
            f"{cell.n_speakers:,}", f"{1 / len(cell.labels):.3f}", str(cell.uar), str(cell.own),
            _signed(cell.lost),
        )
        for cell in found.cells
        if cell.uar is not None and cell.own is not None and cell.lost is not None
    ]  # fmt: skip
    return {
        "matrix": (
            f"UAR, trained on rows, tested on columns ({kind}{leak}; 95 % intervals by bootstrap "
            f"over the tested speakers); in brackets the number of emotions. On the diagonal "
            f"speakers are unknown.",
            ("trained on", *found.corpora),
            matrix,
        ),
        "pairs": (
            "Each pair on the emotions that both have, beside the tested corpus's own models on "
            "the same clips and emotions.",
            ("pair", "emotions", "clips", "speakers", "chance", "UAR", "at home", "lost"),
            pairs,
        ),
    }


def write_tables(
    tables: dict[str, tuple[str, Sequence[str], Rows]], folder: Path, name: str = "tables"
) -> list[Path]:
    """Write all tables into one .md and one .tex file; return the two."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".md": "\n".join(render_markdown(*table) for table in tables.values()),
        ".tex": "% needs \\usepackage{booktabs}\n\n"
        + "\n".join(render_latex(*table) for table in tables.values()),
    }
    written = []
    for ending, text in texts.items():
        path = folder / f"{name}{ending}"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def render_markdown(caption: str, columns: Sequence[str], rows: Rows) -> str:
    """Return a table in GitHub's Markdown, the caption above."""
    lines = [columns, ["---"] * len(columns), *rows]
    body = "".join(f"| {' | '.join(_markdown(c) for c in line)} |\n" for line in lines)
    return f"{_markdown(caption)}\n\n{body}"


def render_latex(caption: str, columns: Sequence[str], rows: Rows) -> str:
    """Return a table environment in the style of booktabs."""
    head = " & ".join(map(_latex, columns))
    body = "".join(f"{' & '.join(map(_latex, row))} \\\\\n" for row in rows)
    return (
        f"\\begin{{table}}\n\\caption{{{_latex(caption)}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in " ".join(text.split()))


def _markdown(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _or_dash(score: Interval | None) -> str:
    return "–" if score is None else str(score)


def _signed(score: Interval) -> str:
    if score.low is None or score.high is None:
        return f"{score.value:+.3f}"
    return f"{score.value:+.3f} [{score.low:+.3f}, {score.high:+.3f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
