"""A million clips as rows: import (read and write the table), split, and the leak guard.

10,000 speakers of four corpora; every fifth clip is a noisy copy of the one before it, every
tenth a stretch of a file that the one before it is of, too. All steps run in one fresh process;
memory is its peak. The aim: 60 seconds and 1,000 MB for all of it. Processor seconds are what it
takes where nothing else runs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

from affectus.console import print_table
from affectus.emotions import EMOTIONS
from affectus.manifest import COLUMNS, Manifest
from affectus.splits import check_split, make_splits, write_splits
from benchmarks.timing import run_process

N_CLIPS, N_SPEAKERS, CORPORA = 1_000_000, 10_000, ("acted", "calls", "drama", "talks")
PROTOCOL = "grouped-5fold"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_table(folder / "table.csv")
        seconds, memory = run_process([sys.executable, "-m", "benchmarks.rows", place])
        steps = json.loads((folder / "steps.json").read_text("utf-8"))
    rows: list[tuple[object, ...]] = [(name, *times, "") for name, times in steps.items()]
    busy = sum(times[1] for times in steps.values())
    rows.append(("all, with the start of Python", seconds, busy, memory))
    print_table(
        ("step", "seconds", "processor seconds", "peak MB"),
        [tuple(f"{v:,.1f}" if isinstance(v, float) else v for v in row) for row in rows],
        title=f"{N_CLIPS:,} clips of {N_SPEAKERS:,} speakers, {PROTOCOL}, one process",
    )


def make_table(path: Path) -> None:
    """Write a manifest as `affectus import` would, of recordings that nobody has."""
    each = N_CLIPS // N_SPEAKERS
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for number in range(N_CLIPS):
            speaker = number // each
            corpus = CORPORA[speaker % len(CORPORA)]
            stretch, copy = number % 10 == 9, number % 5 == 1
            recording = number - 1 if stretch else number
            name = f"{speaker:05d}/{recording:07d}"
            writer.writerow(
                {
                    "file": f"{corpus}/{name}.wav",
                    "emotion": EMOTIONS[number % len(EMOTIONS)],
                    "speaker": f"{corpus}:{speaker}",
                    "clip_id": f"{corpus}/{name}" + ("@2-" if stretch else ""),
                    "corpus": corpus,
                    "start": "2.0" if stretch else "",
                    "sex": ("female", "male")[speaker % 2],
                    "language": "en",
                    "sentence": str(number % 40),
                    "take": f"{corpus}/{speaker:05d}/{number - 1:07d}" if copy else "",
                    "channels": "voice",
                    "sha256": hashlib.sha256(name.encode()).hexdigest(),
                }
            )


def run_steps(folder: Path) -> None:
    """Do the three steps and write how long each took."""
    steps: dict[str, tuple[float, float]] = {}
    began = time.perf_counter(), time.process_time()

    def lap(step: str) -> None:
        nonlocal began
        now = time.perf_counter(), time.process_time()
        steps[step], began = (now[0] - began[0], now[1] - began[1]), now

    manifest = Manifest.read(folder / "table.csv")
    lap("import: read the table")
    manifest.write(folder / "manifest.csv")
    lap("import: write the manifest")
    splits = make_splits(manifest, PROTOCOL)
    lap("split: five folds")
    for split in splits:
        check_split(manifest, split)
    lap("guard: five folds")
    write_splits(splits, folder / "split.json")
    lap("split: write it")
    (folder / "steps.json").write_text(json.dumps(steps), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_steps(Path(sys.argv[1]))
    else:
        main()
