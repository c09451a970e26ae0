"""A cluster of two Ray nodes on this machine loses one half-way; the store is the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest
from torture.corpus import SETTINGS, contents, differences, extract, make_corpus, run


def torture_cluster(folder: Path, n_clips: int = 4_000) -> dict[str, object]:
    """Return seconds, when the node was ended, and every difference from a run without Ray."""
    import ray
    from ray.cluster_utils import Cluster

    manifest = make_corpus(folder, n_clips)
    finished = run(extract(manifest, folder / "clean", "--workers", "2"))
    assert finished.returncode == 0, finished.stderr
    clean = contents(folder / "clean")
    settings = {key: int(value) for key, value in (text.split("=") for text in SETTINGS)}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ended: list[int] = []

    def end_node(finished: int, failed: int, total: int) -> None:
        if finished >= total // 3 and not ended:
            ended.append(finished)
            threading.Thread(
                target=cluster.remove_node, args=(second,), kwargs={"allow_graceful": False}
            ).start()

    began = time.monotonic()
    try:
        report = extract_features(
            Manifest.read(manifest),
            create_extractor("logmel", **settings),
            folder / "store",
            cluster="ray",
            address=cluster.address,
            on_progress=end_node,
        )
    finally:
        ray.shutdown()
        cluster.shutdown()
    faults = [] if report.ok else [f"{len(report.failed)} failed"]
    faults += [] if ended else ["no node was ended"]
    faults += [f"{name} differs" for name in differences(folder / "store", clean)]
    return {
        "clips": n_clips,
        "node_ended_after": ended,
        "seconds": round(time.monotonic() - began, 1),
        "faults": faults,
    }
