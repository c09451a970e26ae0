"""The whole chain on a synthetic corpus: each step printed as the command that does the same."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

from affectus.audit import audit_manifest
from affectus.console import progress, say
from affectus.corpora import load_corpus
from affectus.errors import ConfigError
from affectus.evaluation import Evaluation
from affectus.experiment import make_experiment, write_experiment
from affectus.export import export_run
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Clip
from affectus.predictor import Prediction, load_model
from affectus.report import write_report
from affectus.runs import read_history
from affectus.splits import make_splits, write_splits
from affectus.synthesis import write_corpus
from affectus.training import evaluate_run, train

_MARK = "made-by-affectus-demo.txt"
_COLUMNS = ("emotion", "speaker", "sex", "intensity", "sentence")


def run_demo(
    folder: Path, *, n_speakers: int = 12, epochs: int = 24, fold: int = 1
) -> tuple[Evaluation, Prediction]:
    """Synthesise, import, audit, split, extract, train, evaluate, report, export, predict.

    Everything is written below `folder`, which is emptied first if an earlier demo made it.
    Returns the evaluation on unseen speakers and the answer for one of their recordings.
    """
    _prepare(folder)
    say(f"1. {n_speakers} synthetic speakers, and a table of their recordings: {folder}/voices.csv")
    write_corpus("ravdess", folder / "recordings", n_speakers=n_speakers)
    # As a table, since what is read as RAVDESS would be reported beside what others reach on it.
    _write_table(folder / "voices.csv", load_corpus("ravdess", folder / "recordings"))
    table = folder / "synthetic.csv"
    say(f"2. affectus import table {folder}/voices.csv --name synthetic -o {table}")
    manifest = load_corpus("table", folder / "voices.csv", corpus_name="synthetic")
    manifest.write(table)
    say(f"3. affectus audit {table}")
    audit = audit_manifest(manifest)
    for finding in audit.findings:
        say(f"   {finding.severity}: {finding.message}")
    say(f"4. affectus split {table} --protocol sequential-6fold -o {folder}/split.json")
    splits = make_splits(manifest, "sequential-6fold")
    write_splits(splits, folder / "split.json")
    say(f"5. affectus extract {table} --features logmel --store {folder}/store")
    extracted = extract_features(manifest, create_extractor("logmel"), folder / "store")
    say(f"   {extracted.done} of {extracted.planned} clips")
    experiment = make_experiment(
        {
            "name": "crnn",
            "manifest": str(table),
            "store": str(folder / "store"),
            "split": {"protocol": "sequential-6fold", "folds": [fold]},
            "model": {"name": "crnn", "channels": [16, 32, 48, 64], "n_hidden": 48},
            "training": {"epochs": epochs, "learning_rate": 4e-3, "average": 0.95},
            "augmentation": {"gain_db": 3.0, "band_masks": 0, "frame_masks": 0},
        }
    )
    write_experiment(experiment, folder / "crnn.toml")
    say(f"6. affectus train {folder}/crnn.toml --runs {folder}/runs")
    with progress("   training") as advance:
        run = train(
            experiment,
            folder / "runs",
            on_epoch=lambda e, done, total: advance(done, total, f"dev UAR {e.dev_uar:.3f}"),
        )
    say(f"7. affectus evaluate {run.folder} --on test")
    evaluation = evaluate_run(run, "test")
    page = run.folder / "report_test.html"
    write_report(evaluation, page, [epoch._asdict() for epoch in read_history(run)])
    say(f"8. affectus export {run.folder} -o {folder}/model")
    export_run(run, folder / "model")
    clips = {clip.clip_id: clip for clip in manifest}
    unseen = clips[splits[fold - 1].test[-1]]
    shown = folder / unseen.path.relative_to(folder.resolve())
    say(f"9. affectus predict {shown} --model {folder}/model")
    answer = load_model(folder / "model").predict(unseen.path)
    print(f"\n{unseen.path.name}, meant to sound {unseen.emotion}, sounds {answer.emotion}.")
    print(f"Unseen synthetic speakers: UAR {evaluation.uar}, chance {evaluation.chance:.3f}")
    print("A synthetic corpus is easy, real voices are not: see the README for real figures.")
    print(f"Report: {page}")
    return evaluation, answer


def _write_table(path: Path, clips: Iterable[Clip]) -> None:
    """Write the recordings as a table such as anybody makes of their own."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", *_COLUMNS))
        for clip in clips:
            inside = clip.path.resolve().relative_to(path.parent.resolve()).as_posix()
            cells = (getattr(clip, column).removeprefix("ravdess:") for column in _COLUMNS)
            writer.writerow((inside, *cells))


def _prepare(folder: Path) -> None:
    """Empty a folder that an earlier demo made; refuse any other that holds something."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise ConfigError(
                f"{folder}: holds other things; expected a new folder. Choose another one."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("This folder is emptied when the demo runs again.\n", "utf-8")
