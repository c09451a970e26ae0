"""Run the study: read and extract, fit every variant, judge them over speakers, draw.

    python -m experiments.leaks CORPORA [--out build/study] [--workers 2]

CORPORA holds `ravdess` and `tess`. What OUT holds already is not made again. Leaky variants run
because they are what the study is for; what the guard says of each, where nobody asks for a leak,
is kept with its score. Writes results.json, and the table and figure of docs/leak-study.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from affectus.console import say
from affectus.emotions import label_scheme
from affectus.evaluation import Predictions, compare_predictions
from affectus.manifest import Manifest
from affectus.metrics import Interval, confusions_by_group, speaker_interval, uar, war
from experiments.leaks.data import (
    FEATURES,
    PLAIN,
    Clips,
    extract,
    load_clips,
    make_copies,
    read_corpora,
    twice,
)
from experiments.leaks.page import write_page
from experiments.leaks.protocols import ask_guard
from experiments.leaks.variants import VARIANTS, Variant, answer


def main() -> None:
    """Run what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/study"))
    parser.add_argument("--page", type=Path, default=Path("docs/leak-study.md"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    manifests = read_corpora(given.corpora, given.out, given.workers)
    manifests["copies"] = make_copies(manifests["ravdess"], given.out)
    extract(manifests["copies"], given.out, given.workers)
    say(f"read and extracted: {time.monotonic() - began:.0f} s")
    rows = run_variants(manifests, given.out)
    write_page(rows, given.page)
    say(f"{given.page}: {time.monotonic() - began:.0f} s in all")


def run_variants(manifests: dict[str, Manifest], folder: Path) -> list[dict[str, Any]]:
    """Return a row of figures for each variant, in order."""
    rows: list[dict[str, Any]] = []
    honest: dict[tuple[str, str], Predictions] = {}
    name, clips = "", None
    for variant in VARIANTS:
        began = time.monotonic()
        if variant.data != name or clips is None:
            name, clips = variant.data, gather(variant.data, manifests, folder)
        splits = variant.divide(clips)
        guard = ask_guard(clips, splits[0]) or variant.seen
        corpus = variant.data.split("+")[0].split()[0]
        path = folder / f"{corpus} {variant.name}.csv"
        if not path.is_file():
            answer(clips, splits, variant.recipe).write(path)
        found = Predictions.read(path)
        honest.setdefault((corpus, variant.name), found)
        row = score(variant, found, honest[corpus, variant.against])
        rows.append({"corpus": corpus, **row, "guard": guard})
        seconds = time.monotonic() - began
        say(f"{corpus}: {variant.name}: UAR {Interval(*row['uar'])} ({seconds:.0f} s) {guard}")
    return rows


def gather(data: str, manifests: dict[str, Manifest], folder: Path) -> Clips:
    """Return the clips that a variant is made on."""
    ravdess, tess, copies = (manifests[name] for name in ("ravdess", "tess", "copies"))
    parts = {
        "ravdess": ((ravdess,), "eight"),
        "ravdess logmel": ((ravdess,), "eight"),
        "ravdess+copies": ((ravdess, copies), "eight"),
        "tess": ((tess,), "seven"),
        "merged": ((ravdess, tess), "seven"),
    }
    plain = data.removesuffix(" twice")
    corpora, scheme = parts[plain]
    features = PLAIN if plain.endswith(PLAIN) else FEATURES
    found = load_clips(corpora, label_scheme(scheme), folder, features)
    return twice(found) if data.endswith(" twice") else found


def score(variant: Variant, found: Predictions, honest: Predictions) -> dict[str, Any]:
    """Return a variant's scores, and what they are above the honest ones, paired over speakers."""
    k = len(found.labels)
    speakers, counts = confusions_by_group(found.truth, found.prediction, found.speakers, k)
    row: dict[str, Any] = {
        "variant": variant.name,
        "leaky": variant.leaky,
        "n_clips": len(found),
        "n_speakers": len(speakers),
        "uar": list(speaker_interval(uar, counts)),
        "war": list(speaker_interval(war, counts)),
        "by_speaker": dict(zip(speakers, uar(counts).round(4).tolist(), strict=True)),
    }
    if found is not honest:
        (pair,) = compare_predictions({"this": found, "honest": honest}).pairs
        row |= {
            "inflation": list(pair.difference),
            "n_better": pair.n_better,
            "n_worse": pair.n_worse,
            "p": pair.p,
        }
    return row


if __name__ == "__main__":
    main()
