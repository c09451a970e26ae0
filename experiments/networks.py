"""One run of every network on RAVDESS, and the table of docs/models.md.

    python -m experiments.networks RAVDESS [--work build/networks] [--folds 1,3]

Reads and extracts RAVDESS speech, actors 1 to 20; trains each network of NETWORKS as its file
beside this one says, on the folds asked for; judges it on their test speakers; exports it, and
times it on clips, file to answer, on one core. A run that is in WORK already is not made again,
one that was stopped goes on. Two folds of all take about two hours of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from affectus.console import say
from affectus.corpora import load_corpus
from affectus.experiment import read_experiment
from affectus.export import export_run
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.files import replacing
from affectus.manifest import Manifest
from affectus.metrics import Interval
from affectus.predictor import load_model
from affectus.runs import Run, open_run, read_history, read_provenance
from affectus.training import evaluate_run, train

EXPERIMENTS = Path(__file__).parent
BEGIN, END = "<!-- table: made by `python -m experiments.networks` -->", "<!-- end of table -->"
LAST_ACTOR = 20
N_TIMED = 60

# Each network, and the accuracy that its forerunner reported, in the words of docs/models.md.
NETWORKS = {
    "crnn": "–",
    "cnn": "69.0 %, six labels, heard",
    "parallel_cnn_lstm": "95.4 %, copies",
    "stacked_cnn_lstm": "96.6 %, copies",
    "cnn_transformer": "96.8 %, copies",
    "cnn_pooling_lstm": "84.4 %, with the face, heard, chosen on",
    "tcn": "84.4 %, with the face, heard, chosen on",
    "branched_lstm": "78.7 %, seven labels, with the face, heard",
    "logistic": "–",
    "svm": "81.3 %, heard, duplicates",
}


def main() -> None:
    """Run what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/networks"))
    parser.add_argument("--folds", default="1,3")
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    manifest = read_corpus(given.ravdess, given.work, given.workers)
    rows = []
    for name in NETWORKS:
        run = run_network(name, given.work, given.folds)
        rows.append(describe(name, run, manifest, given.work))
        say(rows[-1])
    write_table(rows, given.page)


def read_corpus(ravdess: Path, work: Path, workers: int) -> Manifest:
    """Read RAVDESS's speech and extract, where that is still to be done, what the networks take."""
    path = work / "ravdess.csv"
    if not path.is_file():
        manifest = load_corpus("ravdess", ravdess, parts=("speech",))
        manifest.filter(lambda clip: int(clip.speaker.rpartition(":")[2]) <= LAST_ACTOR).write(path)
    manifest = Manifest.read(path)
    for features in ("logmel", "functionals"):
        extractor = create_extractor(features)
        extract_features(manifest, extractor, work / "store", workers=workers)
    return manifest


def run_network(name: str, work: Path, folds: str) -> Run:
    """Return a network's run, trained and judged on its test speakers."""
    changes = [f'manifest="{work}/ravdess.csv"', f'store="{work}/store"', f"split.folds=[{folds}]"]
    experiment = read_experiment(EXPERIMENTS / f"ravdess-{name.replace('_', '-')}.toml", changes)
    folder = work / "runs" / experiment.name
    if not (folder / "evaluation_test.json").is_file():
        train(experiment, work / "runs", resume=folder.is_dir(), allow_incomplete=True)
        evaluate_run(open_run(folder), "test")
    return open_run(folder)


def describe(name: str, run: Run, manifest: Manifest, work: Path) -> str:
    """Return a network's row of the table."""
    uar = Interval(*json.loads((run.folder / "evaluation_test.json").read_text("utf-8"))["uar"])
    seconds = [epoch.seconds for epoch in read_history(run)]
    fitted = len(seconds) == len(run.splits)
    epoch = f"{sum(seconds):.0f} in all" if fitted else f"{statistics.median(seconds):.1f}"
    n_parameters = read_provenance(run)[0]["n_parameters"]
    milliseconds = time_clip(run, manifest, work)
    return (
        f"| `{name}` | {n_parameters:,} | {uar} | {epoch} | {milliseconds:.1f} | {NETWORKS[name]} |"
    )


def time_clip(run: Run, manifest: Manifest, work: Path) -> float:
    """Return the median milliseconds from a clip's file to the answer, on one core."""
    folder = work / "models" / run.folder.name
    if not folder.is_dir():
        export_run(run, folder)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        model = load_model(folder, speech="off")
        seconds = []
        for clip in manifest.clips[:N_TIMED]:
            began = time.perf_counter()
            model.predict(clip.path)
            seconds.append(time.perf_counter() - began)
    finally:
        os.sched_setaffinity(0, before)
    return 1e3 * statistics.median(seconds)


def write_table(rows: list[str], page: Path) -> None:
    """Put the table between its marks on the page."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: no table between '{BEGIN}' and '{END}'; expected both.")
    head = [
        "| network | parameters | UAR [95 % by speaker] | s an epoch | ms a clip "
        "| its forerunner said |",
        "|---|---|---|---|---|---|",
    ]
    with replacing(page) as temporary:
        temporary.write_text(
            "\n".join([before + BEGIN, "", *head, *rows, "", END + after]), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
