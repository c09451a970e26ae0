"""What `affectus evaluate` prints, and the command that puts runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affectus.cli.app import AsJson, app
from affectus.console import count, print_json, print_table, progress

if TYPE_CHECKING:
    from affectus.evaluation import Evaluation
    from affectus.runs import Run


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Runs' folders, or files of predictions; two or more.")
    ],
    on: Annotated[str, typer.Option(help="dev, test or test_adapted: as was evaluated.")] = "test",
    out: Annotated[Path, typer.Option("-o", "--out", help="The page.")] = Path("comparison.html"),
    as_json: AsJson = False,
) -> None:
    """Put runs side by side, with tests over speakers."""
    from affectus.evaluation import compare_predictions, read_judged
    from affectus.report import write_comparison

    named, cautions = read_judged(runs, on)
    found = compare_predictions(named, cautions=cautions)
    write_comparison(found, out)
    if as_json:
        print_json(found)
        return
    print_table(
        ("run", "UAR [95 % by speaker]", "WAR", "macro F1"),
        [(run.name, str(run.uar), str(run.war), str(run.macro_f1)) for run in found.runs],
        title=f"{count(found.n_shared, 'clip')} that all answered, "
        f"{count(len(found.speakers), 'speaker')}",
    )
    print_table(
        ("pair", "difference of UAR", "better : worse", "p (Wilcoxon)", "p (Holm)", "McNemar"),
        [
            (
                f"{pair.first} - {pair.second}",
                str(pair.difference),
                f"{pair.n_better} : {pair.n_worse}",
                _p(pair.p),
                _p(pair.p_holm),
                _p(pair.mcnemar),
            )
            for pair in found.pairs
        ],
    )
    for caution in found.cautions:
        print(f"Caution: {caution}")
    print(f"Page: {out}; figure and tables: {out.with_suffix('')}")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def evaluate_matrix(
    runs: list[Path], page: Path, *, adapted: bool, allow_leak: bool, as_json: bool
) -> None:
    """Ask runs on several corpora about each other's test sides; write and print the matrix."""
    from affectus.report import summarise_matrix, write_matrix
    from affectus.runs import open_run, write_json
    from affectus.training import cross_runs

    found = cross_runs([open_run(run) for run in runs], adapted=adapted, allow_leak=allow_leak)
    write_matrix(found, page)
    write_json(found, page.with_suffix("") / "matrix.json")
    if as_json:
        print_json(found)
        return
    print_table(
        ("trained on", *(f"tested on {name}" for name in found.corpora)),
        [
            (
                trained,
                *(
                    f"{cell.uar or '–'} ({len(cell.labels)})"
                    for cell in (found.cell(trained, tested) for tested in found.corpora)
                ),
            )
            for trained in found.corpora
        ],
        title="UAR [95 % by tested speaker], and the number of emotions",
    )
    for text in summarise_matrix(found):
        print(text)
    for caution in found.cautions:
        print(f"Caution: {caution}")
    print(f"Page: {page}; figure, tables and figures as JSON: {page.with_suffix('')}")


def print_evaluation(found: Evaluation) -> None:
    """Print the scores, the classes, and what a reader must know before comparing."""
    raw = found.calibration.raw
    before = f" (as trained {raw['ece']:.3f})" if raw else ""
    control = found.control
    print_table(
        ("score", "value [95 % by speaker]"),
        [
            ("UAR", str(found.uar)),
            ("WAR", str(found.war)),
            ("macro F1", str(found.macro_f1)),
            ("right or second", str(found.top2)),
            ("chance UAR", f"{found.chance:.3f}"),
            ("labels shuffled", f"{control.mean:.3f} [{control.low:.3f}, {control.high:.3f}]"),
            ("calibration error", f"{found.calibration.ece}{before}"),
            ("Brier score", str(found.calibration.brier)),
        ],
        title=f"{found.name}, {found.side}{', ADAPTED' if found.adapted else ''}: "
        f"{found.n_planned:,} planned = {found.n_answered:,} answered + {found.n_failed:,} failed, "
        f"{count(found.n_speakers, 'speaker')}",
    )
    print_table(
        ("label", "clips", "recall [95 % by speaker]", "precision", "F1"),
        [
            (c.label, c.n, str(c.recall or "–"),
             *(score and round(score.value, 3) for score in (c.precision, c.f1)))
            for c in found.classes
        ],
    )  # fmt: skip
    print(f"Scheme: {found.scheme}.")
    print(f"Protocol {found.protocol['name']}: {found.protocol['text']}.")
    for caution in found.cautions:
        print(f"Caution: {caution}")


def print_errors(run: Run, name: str) -> None:
    """Print the surest mistakes and error rates by length and loudness."""
    from affectus.evaluation import explain_errors
    from affectus.manifest import Manifest

    path = run.folder / f"predictions_{name}.csv"
    with progress("listening") as advance:
        mistakes, rates = explain_errors(
            path,
            Manifest.read(run.experiment.manifest),
            on_progress=lambda n, of: advance(n, of, ""),
        )
    print_table(
        ("clip", "truth", "prediction", "score"),
        [(m.clip_id, m.truth, m.prediction, m.score) for m in mistakes],
        title="The surest mistakes",
    )
    print_table(
        ("clips of", "from … to", "clips", "wrong [95 % by speaker]"),
        [(rate.by, rate.name, rate.n, str(rate.wrong)) for rate in rates],
        title="Errors by thirds",
    )
    print(f"Every clip, its file and its sound: {path}")
