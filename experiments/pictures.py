"""Make the figures of docs/evaluation.md: a run that is judged, and corpora against each other.

    python -m experiments.pictures CORPORA [--out build/study] [--workers 2]

CORPORA holds `ravdess`, `tess`, `nemo` and `banglaser`; of corpora that are not there, there are no
figures. What OUT holds already is not made again. Pages are photographed where playwright and a
Chromium are.
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affectus.audit import audit_manifest
from affectus.console import say
from affectus.corpora import load_corpus
from affectus.evaluation import compare_predictions, read_judged
from affectus.experiment import read_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest, write_exclusions
from affectus.report import write_comparison, write_matrix, write_report, write_supplements
from affectus.runs import Run
from affectus.training import cross_runs, evaluate_run, train
from experiments.leaks.data import LAST_ACTOR, actor

EXPERIMENTS = Path("experiments")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESKTOP, HEIGHT = 390, 1100, 1000  # pixels
COLOURS = 64  # of a photograph: small, and nothing is lost on pages of flat colour
FIGURES = ("confusion", "groups", "reliability", "risk-coverage")
ACROSS = {
    "ravdess": (),
    "tess": ("split.protocol=tess-2fold",),
    "nemo": ("labels.scheme=neutral+happy+sad+angry+fearful+surprised",),
    "banglaser": ("labels.scheme=neutral+happy+sad+angry+surprised",),
}


def main() -> None:
    """Run what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/study"))
    parser.add_argument("--figures", type=Path, default=Path("docs/evaluation"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    given.figures.mkdir(parents=True, exist_ok=True)
    there = [name for name in ACROSS if (given.corpora / name).is_dir()]
    for name in there:
        prepare(name, given.corpora / name, given.out, given.workers)
    pages = judge(given.out, given.figures)
    if len(there) == len(ACROSS):
        pages["cross-corpus"] = cross(given.out)
    else:
        say(f"no matrix: of {', '.join(ACROSS)}, {', '.join(there)} are in {given.corpora}")
    photograph(pages, given.figures)


def prepare(name: str, corpus: Path, folder: Path, workers: int) -> None:
    """Import a corpus and extract it; of BanglaSER, list the clips that are better left out."""
    table = folder / f"{name}.csv"
    if not table.is_file():
        parts = ("speech",) if name == "ravdess" else None
        found = load_corpus(name, corpus, parts=parts)
        if name == "ravdess":  # as in the leak study
            found = found.filter(lambda clip: actor(clip) <= LAST_ACTOR)
        found.write(table)
    manifest = Manifest.read(table)
    report = extract_features(
        manifest, create_extractor("functionals"), folder / "store", workers=workers
    )
    if not report.ok:
        raise SystemExit(f"{folder / 'store'}: {report}")
    left_out = folder / "banglaser-out.csv"
    if name == "banglaser" and not left_out.is_file():
        write_exclusions(audit_manifest(manifest, workers=workers).exclusions(), left_out)


def fit(file: str, folder: Path, changes: Sequence[str]) -> Run:
    """Train an experiment of this folder, or find it trained."""
    places = (f"store={folder / 'store'}", *changes)
    experiment = read_experiment(EXPERIMENTS / file, places)
    return train(experiment, folder / "runs", resume=True, allow_incomplete=True)


def judge(folder: Path, figures: Path) -> dict[str, Path]:
    """Judge logistic regression on RAVDESS, strict and adapted; draw, and compare the two."""
    run = fit("ravdess-logistic.toml", folder, [f"manifest={folder / 'ravdess.csv'}"])
    adapted = evaluate_run(run, "test", adapted=True)
    found = evaluate_run(run, "test")
    say(f"ravdess-logistic: UAR {found.uar}; adapted {adapted.uar}")
    page = folder / "report.html"
    write_report(found, page)
    write_supplements(found, page.with_suffix(""))
    for name in FIGURES:
        shutil.copy(page.with_suffix("") / f"{name}.svg", figures)
    strict, _ = read_judged([run.folder], "test")
    other, _ = read_judged([run.folder], "test_adapted")
    both = {"strict": next(iter(strict.values())), "adapted": next(iter(other.values()))}
    comparison = compare_predictions(both)
    say(f"adapted over strict: {comparison.pairs[0]}")
    write_comparison(comparison, folder / "comparison.html")
    shutil.copy(folder / "comparison" / "comparison.svg", figures)
    return {"report": page}


def cross(folder: Path) -> Path:
    """Put the corpora against each other."""
    runs = []
    for name, changes in ACROSS.items():
        own = [f"name=across-{name}", f"manifest={folder / f'{name}.csv'}", *changes]
        if name == "banglaser":
            own.append(f"exclude={folder / 'banglaser-out.csv'}")
        runs.append(fit("cross-corpus.toml", folder, own))
    page = folder / "cross-corpus.html"
    write_matrix(cross_runs(runs), page)
    return page


def photograph(pages: dict[str, Path], figures: Path) -> None:
    """Take each page as it is on a desk, the report on a phone, too, in the dark."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        program = None
    if program is None:
        say("no photographs: expected playwright and a Chromium; those of before stay")
        return
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, page in pages.items():
            take(browser, page, figures / f"{name}.png", DESKTOP, "light")
        take(browser, pages["report"], figures / "report-phone.png", PHONE, "dark")
        browser.close()


def take(browser: Any, page: Path, path: Path, width: int, scheme: str) -> None:
    """Write what a browser shows of a page at first."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    write_small(tab.screenshot(), path)
    context.close()


def write_small(png: bytes, path: Path) -> None:
    """Write a photograph in few colours."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


if __name__ == "__main__":
    main()
