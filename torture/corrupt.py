"""One recording in a hundred is damaged, in twelve ways: those fail, with the right code, alone."""

from __future__ import annotations

import json
import random
from pathlib import Path

from affectus.manifest import Manifest
from affectus.store import FeatureStore
from torture.corpus import extract, make_corpus, run, spoil


def torture_by_corruption(
    folder: Path, n_clips: int = 4_000, n_damaged: int = 40, seed: int = 0
) -> dict[str, object]:
    """Return how many were damaged and every difference from what is expected."""
    manifest = make_corpus(folder, n_clips, seed)
    assert run(extract(manifest, folder / "clean", "--workers", "2")).returncode == 0
    clips = list(Manifest.read(manifest))
    places = sorted(random.Random(seed).sample(range(n_clips), n_damaged))
    expected = spoil(manifest, places)
    finished = run(extract(manifest, folder / "store", "--workers", "2", "--json"))
    faults = [] if finished.returncode == 1 else [f"exit {finished.returncode}"]
    # By clip: equal bytes, as of two empty files, are one item of the index.
    failed = {clip_id: code for clip_id, code, _ in json.loads(finished.stdout)["failed"]}
    for clip_id, code in expected.items():
        if failed.get(clip_id) != code:
            faults.append(f"{clip_id}: {failed.get(clip_id)}; expected {code}")
    faults += [f"{clip_id}: failed without cause" for clip_id in failed.keys() - expected.keys()]
    n_equal = 0
    with FeatureStore(folder / "clean") as clean, FeatureStore(folder / "store") as store:
        for clip in clips:
            if clip.clip_id in expected:
                continue
            before = clean.get("logmel", clip.content_key)
            after = store.get("logmel", clip.content_key)
            if before.tobytes() == after.tobytes():
                n_equal += 1
            else:
                faults.append(f"{clip.clip_id}: other frames")
    return {"clips": n_clips, "damaged": len(places), "equal": n_equal, "faults": faults}
