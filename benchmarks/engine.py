"""The extraction engine: two workers beside one, and planning and resuming a million clips.

The first part extracts log-mel of a manifest's clips (`--manifest`), in turn with one worker and
with two. The second plans a million clips of tiny features, makes them, and resumes: nothing is to
be done, which has to be found out. Memory is the peak of the process; the manifest alone is most
of it.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from affectus.console import print_table
from affectus.extraction import extract_features
from affectus.features import create_extractor, describe_extractor
from affectus.manifest import Clip, Manifest
from affectus.media import decoder_version
from affectus.store import FeatureStore, Result, write_shard
from benchmarks.timing import alternate, run_process

N_CLIPS = 1_000_000
ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--manifest", type=Path, help="clips to extract with one and two workers")
    parser.add_argument("--n-clips", type=int, default=N_CLIPS, help="of the second part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if options.manifest:
            compare_workers(options.manifest, Path(place) / "store")
        plan_and_resume(options.n_clips, Path(place) / "million")


def compare_workers(manifest: Path, store: Path) -> None:
    """Print seconds with one and with two workers, by the command, and the ratio."""

    def extract(workers: int) -> None:
        shutil.rmtree(store, ignore_errors=True)
        command = ["-m", "affectus", "extract", str(manifest), "--store", str(store)]
        run_process([sys.executable, *command, "--workers", str(workers)])

    two, one, ratio = alternate(lambda: extract(2), lambda: extract(1), ROUNDS)
    print_table(
        ("log-mel", "seconds"),
        [("one worker", one), ("two workers", two)],
        title=f"{len(Manifest.read(manifest)):,} clips: two workers are {ratio:.2f} times as fast",
    )


def plan_and_resume(n_clips: int, folder: Path) -> None:
    """Print seconds and peak memory of each step over many clips of tiny features."""
    rows: list[tuple[str, float, float]] = []

    def note(step: str, began: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append((step, time.perf_counter() - began, peak))

    extractor = create_extractor("logmel", n_mels=4, n_fft=256, win_length=256, hop_length=256)
    began = time.perf_counter()
    manifest = Manifest(
        tuple(
            Clip(
                f"own/{number:07d}",
                "own",
                f"/recordings/{number:07d}.wav",
                f"own:{number % 5_000}",
                "happy",
                sha256=hashlib.sha256(str(number).encode()).hexdigest(),
            )
            for number in range(n_clips)
        )
    )
    note("the manifest in memory", began)
    tiny = np.zeros((4, 4), np.float32)
    with FeatureStore(folder, create=True) as store, store.writing():
        store.define("logmel", {**describe_extractor(extractor), "decoder": decoder_version()})
        began = time.perf_counter()
        shards = store.plan("logmel", ((c.content_key, c.clip_id) for c in manifest))
        note("plan", began)
        began = time.perf_counter()
        for shard, keys in shards:
            sha256 = write_shard(folder, "logmel", shard, dict.fromkeys(keys, tiny))
            store.commit("logmel", shard, sha256, [Result(key, 4) for key in keys])
        note("write and enter every shard", began)
    began = time.perf_counter()
    assert extract_features(manifest, extractor, folder).new == 0
    note("resume", began)
    print_table(("step", "seconds", "peak MB"), rows, title=f"{n_clips:,} clips")


if __name__ == "__main__":
    main()
