"""An evaluation of 100,000 predictions over 1,000 speakers, with votes, groups and all intervals.

Reading the table of predictions, judging them, and writing the page, in one fresh process; memory
is its peak. The aim: 20 seconds and 1,000 MB for the judgement. Processor seconds are what it takes
where nothing else runs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from affectus.console import print_table
from affectus.emotions import EMOTIONS
from affectus.evaluation import Predictions, evaluate_predictions
from affectus.manifest import Clip, Manifest
from benchmarks.timing import run_process

N_CLIPS, N_SPEAKERS = 100_000, 1_000

T = TypeVar("T")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_predictions().write(folder / "predictions.csv")
        _, memory = run_process([sys.executable, "-m", "benchmarks.evaluation", place])
        steps = json.loads((folder / "steps.json").read_text("utf-8"))
    rows = [(name, *times, "") for name, times in steps.items()]
    total = [sum(times[i] for times in steps.values()) for i in (0, 1)]
    rows.append(("all", *total, memory))
    print_table(
        ("step", "seconds", "processor seconds", "peak MB"),
        [tuple(f"{v:,.1f}" if isinstance(v, float) else v for v in row) for row in rows],
        title=f"{N_CLIPS:,} predictions, {N_SPEAKERS:,} speakers, {len(EMOTIONS)} labels, "
        f"one process",
    )


def make_manifest() -> Manifest:
    """Return clips of five corpora with every trait there is, and votes."""
    rng = np.random.default_rng(0)
    emotions, levels = rng.integers(len(EMOTIONS), size=N_CLIPS), rng.integers(2, size=N_CLIPS)
    return Manifest(
        tuple(
            Clip(
                f"c/{i}", f"corpus {i % 5}", f"{i}.wav", f"c:{i % N_SPEAKERS}",
                EMOTIONS[emotions[i]], sex=("female", "male")[i % N_SPEAKERS % 2],
                age=str(20 + i % N_SPEAKERS % 50), intensity=("normal", "strong")[levels[i]],
                sentence=str(i % 200), votes={"happy": 3, "sad": 2, EMOTIONS[emotions[i]]: 4},
            )
            for i in range(N_CLIPS)
        )
    )  # fmt: skip


def make_predictions() -> Predictions:
    """Return answers that are better than chance."""
    clips = make_manifest().clips
    truth = np.array([EMOTIONS.index(str(clip.emotion)) for clip in clips])
    raw = np.random.default_rng(1).random((N_CLIPS, len(EMOTIONS)))
    raw += 0.5 * np.eye(len(EMOTIONS))[truth]
    return Predictions(
        tuple(EMOTIONS),
        tuple(clip.clip_id for clip in clips),
        tuple(clip.speaker for clip in clips),
        ("fold-1",) * N_CLIPS,
        truth,
        raw / raw.sum(1, keepdims=True),
    )


def run_steps(folder: Path) -> None:
    """Judge in this process, and write how long each step took."""
    from affectus.report import write_report

    manifest = make_manifest()
    steps: dict[str, tuple[float, float]] = {}

    def timed(name: str, call: Callable[[], T]) -> T:
        began = time.perf_counter(), time.process_time()
        found = call()
        steps[name] = (time.perf_counter() - began[0], time.process_time() - began[1])
        return found

    predictions = timed("read predictions", lambda: Predictions.read(folder / "predictions.csv"))
    found = timed(
        "judge",
        lambda: evaluate_predictions(
            predictions,
            manifest,
            name="bench",
            side="test",
            scheme="as they are",
            protocol={"name": "own", "version": 1, "text": "", "leaky": False},
            temperatures={"fold-1": 0.5},
        ),
    )
    timed("write the page", lambda: write_report(found, folder / "report.html"))
    (folder / "steps.json").write_text(json.dumps(steps), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_steps(Path(sys.argv[1]))
    else:
        main()
