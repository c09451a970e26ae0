"""Commands on experiments and runs: train, evaluate, export, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from affectus.cli.app import AsJson, app
from affectus.console import print_json, print_table, progress


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A TOML file; see experiments/.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: training.epochs=5.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where runs go.")] = Path("runs"),
    seeds: Annotated[
        str | None, typer.Option(help="Once with each: 0,1,2; judged by the mean of their scores.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
    allow_incomplete: Annotated[bool, typer.Option(help="Although clips are missing.")] = False,
    allow_leak: Annotated[bool, typer.Option(help="Although the split shares speakers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train an experiment's folds; the test side stays closed."""
    from affectus import training
    from affectus.experiment import read_experiment

    config = read_experiment(experiment, set_ or [])
    with progress("training") as advance:
        options: dict[str, Any] = {
            "resume": resume,
            "allow_incomplete": allow_incomplete,
            "allow_leak": allow_leak,
            "on_epoch": lambda e, done, total: advance(done, total, e.describe()),
        }
        if seeds is None:
            trained = training.train(config, runs, **options)
        else:
            trained = training.train_seeds(config, _read_seeds(seeds), runs, **options)
    if not training.is_first():
        return
    if as_json:
        print_json(
            {
                "run": str(trained.folder),
                "folds": [s.fold for s in trained.splits],
                "seeds": trained.seeds,
            }
        )
    else:
        n_folds = len(trained.splits)
        folds = "1 fold" if n_folds == 1 else f"{n_folds} folds"
        print(f"{trained.folder}: {folds}. Next: affectus evaluate "
              f"{trained.folder}")  # fmt: skip


def _read_seeds(text: str) -> list[int]:
    from affectus.errors import ConfigError

    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text}; expected whole numbers: --seeds 0,1,2") from None


@app.command()
def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="A run's folder; with --matrix, one for each corpus.")
    ],
    on: Annotated[str, typer.Option(help="dev, or test: the one command that opens it.")] = "dev",
    adapted: Annotated[
        bool,
        typer.Option(help="Adapt each speaker's features by that speaker's own clips."),
    ] = False,
    errors: Annotated[
        bool,
        typer.Option(help="List the surest mistakes, and errors by length and loudness."),
    ] = False,
    matrix: Annotated[
        Path | None,
        typer.Option(help="A page: trained on rows, tested on columns. Needs --on test."),
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option(help="With --matrix: although corpora share speakers or recordings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a run: scores with intervals by speaker, a report."""
    from affectus.cli.evaluating import evaluate_matrix, print_errors, print_evaluation
    from affectus.errors import EvaluationError
    from affectus.evaluation import judged_name
    from affectus.fusion import evaluate_fusion, is_fusion
    from affectus.report import write_report, write_supplements
    from affectus.runs import open_run, read_history, write_json
    from affectus.training import evaluate_run

    if on not in ("dev", "test"):
        raise EvaluationError(f"--on {on}: no such side; expected dev or test.")
    if matrix is not None:
        if on != "test" or errors:
            raise EvaluationError("--matrix: judges test sides, and lists no errors; expected "
                                  "--on test without --errors.")  # fmt: skip
        evaluate_matrix(runs, matrix, adapted=adapted, allow_leak=allow_leak, as_json=as_json)
        return
    if len(runs) > 1 or allow_leak:
        raise EvaluationError(
            f"{len(runs)} runs{' and --allow-leak' * allow_leak}; expected one run, or --matrix "
            f"PAGE for corpora against each other."
        )
    (run,) = runs
    name = judged_name(on, adapted=adapted)
    if is_fusion(run):
        if adapted or errors:
            raise EvaluationError(
                f"{run}: a fusion, which has neither --adapted nor --errors; expected a run. "
                f"Evaluate its runs one by one."
            )
        found, history = evaluate_fusion(run, on), []
        write_json(found, run / f"evaluation_{name}.json")
    else:
        opened = open_run(run)
        found = evaluate_run(opened, on, adapted=adapted)
        history = [epoch._asdict() for epoch in read_history(opened)]
    page = run / f"report_{name}.html"
    write_report(found, page, history)
    write_supplements(found, page.with_suffix(""), history)
    if as_json:
        print_json(found)
        return
    print_evaluation(found)
    if errors:
        print_errors(opened, name)
    print(f"Report: {page}; figures and tables: {page.with_suffix('')}")


@app.command()
def fuse(
    runs: Annotated[list[Path], typer.Argument(help="Two runs or more, on the same folds.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The new folder.")],
    as_json: AsJson = False,
) -> None:
    """Join the answers of runs, weighted on dev clips. Say, of a voice and a face."""
    from affectus.fusion import fuse_runs

    fusion = fuse_runs(runs, out)
    if as_json:
        print_json(fusion)
        return
    everybody = tuple(range(len(runs)))
    print_table(
        ("fold", "dev clips", *(str(run) for run in runs)),
        [
            (weights.fold, weights.n_dev, *weights.values)
            for weights in fusion.weights
            if weights.runs == everybody
        ],
    )
    print(f"{out}: {len(runs)} runs fused. Next: affectus evaluate {out}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a fusion's.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The new model folder.")],
    fold: Annotated[int, typer.Option(help="Whose weights.")] = 1,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights in eight bits, if no score changes by 0.05.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model folder that predicts without torch. Checked equal to the trained network."""
    from affectus.export import export_run
    from affectus.fusion import export_fusion, is_fusion
    from affectus.runs import open_run

    if is_fusion(run):
        difference = export_fusion(run, out, fold=fold, int8=int8)
    else:
        difference = export_run(open_run(run), out, fold=fold, int8=int8)
    if as_json:
        print_json({"model": str(out), "largest_difference": difference})
    else:
        print(f"{out}: equal to the trained network within {difference:.1g}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is written.")] = Path("demo"),
) -> None:
    """Run the whole chain on synthetic voices. In a minute or two."""
    from affectus.demo import run_demo

    run_demo(folder)
