"""Reading features back, shuffled, one core: the store beside one .npz file a clip.

7,442 arrays (as many as CREMA-D has clips) of 250 x 64 float32. Both have been read before, so the
disk's cache is warm for both. The store checks the SHA-256 of all it reads once after opening; npz
files have a CRC-32 that is checked at each reading.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from affectus.console import print_table
from affectus.store import FeatureStore, Result, write_shard
from benchmarks.timing import alternate, on_one_core

N_CLIPS, SHAPE = 7_442, (250, 64)


def main() -> None:
    on_one_core()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        keys = [f"{number:064x}" for number in range(N_CLIPS)]
        arrays = rng.normal(size=(256, *SHAPE)).astype(np.float32)
        write_store(folder / "store", keys, arrays)
        (folder / "npz").mkdir()
        for number, key in enumerate(keys):
            np.savez(folder / "npz" / key, features=arrays[number % 256])
        order = rng.permutation(keys)

        def theirs() -> None:
            for key in order:
                with np.load(folder / "npz" / f"{key}.npz") as file:
                    file["features"]

        def first() -> None:
            with FeatureStore(folder / "store") as store:
                read(store)

        def read(store: FeatureStore) -> None:
            for key in order:
                store.get("logmel", key)

        with FeatureStore(folder / "store") as store:
            for warm in (first, lambda: read(store), theirs):
                warm()
            rows = []
            for name, ours in (
                ("first pass: open, check every hash", first),
                ("later passes, as an epoch reads", lambda: read(store)),
            ):
                mine, peer, ratio = alternate(ours, theirs, 5)
                rows.append((name, round(N_CLIPS / mine), round(N_CLIPS / peer), ratio))
    print_table(
        ("store", "clips a second", "npz a clip, clips a second", "times as fast"),
        rows,
        title=f"{N_CLIPS:,} arrays of {SHAPE[0]} x {SHAPE[1]} float32, shuffled, one core",
    )


def write_store(folder: Path, keys: list[str], arrays: np.ndarray) -> None:
    with FeatureStore(folder, create=True) as store, store.writing():
        store.define("logmel", {"name": "logmel"})
        for shard, members in store.plan("logmel", [(key, key) for key in keys]):
            made = {key: arrays[place] for place, key in enumerate(members)}
            sha256 = write_shard(store.folder, "logmel", shard, made)
            store.commit("logmel", shard, sha256, [Result(k, SHAPE[0], k) for k in members])


if __name__ == "__main__":
    main()
