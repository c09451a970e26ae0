"""`affectus predict` on one 3.7 s clip, from a cold start, beside `python -c "import torch"`.

Whole processes, in turn. The model is a default crnn with fresh weights: what it answers is
rubbish, how long it takes is not.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from affectus.console import print_table
from affectus.media import write_audio
from affectus.synthesis import synthesize_voice
from benchmarks.fresh import write_model
from benchmarks.timing import run_process

ROUNDS = 11


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        wave = np.zeros(int(3.7 * 48_000), np.float32)
        voice = synthesize_voice("happy", speaker=1, sample_rate=48_000)[: len(wave)]
        wave[: len(voice)] = voice
        write_audio(folder / "clip.wav", wave, 48_000)
        ours = [sys.executable, "-m", "affectus", "predict", str(folder / "clip.wav")]
        ours += ["--model", str(folder / "model")]
        theirs = [sys.executable, "-c", "import torch"]
        for warm in (ours, theirs):
            run_process(warm)
        pairs = [(run_process(ours), run_process(theirs)) for _ in range(ROUNDS)]
    ratio = statistics.median(our[0] / their[0] for our, their in pairs)
    rows = [
        (
            label,
            statistics.median(pair[place][0] for pair in pairs),
            statistics.median(pair[place][1] for pair in pairs),
        )
        for place, label in enumerate(("affectus predict", "import torch"))
    ]
    print_table(
        ("process", "seconds", "peak MB"),
        [*rows, ("ours / theirs", ratio, None)],
        title=f"cold start, one 3.7 s clip of 48 kHz, medians of {ROUNDS} pairs",
    )


if __name__ == "__main__":
    main()
