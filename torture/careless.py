"""Negative controls: code with faults that the tortures must find; else they prove nothing.

Run in place of `python -m affectus`, it is an extraction that enters a shard in the index before it
is written; undisturbed, it makes a store without fault. `hear_carelessly` is a decoder.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from affectus.cli import run
from affectus.extraction import engine
from affectus.store import FeatureStore, shard_path

_make_shard = engine.make_shard
_commit = FeatureStore.commit


def make_shard_beside(task: Any, take: Callable[[int], None]) -> Any:
    """Write a shard to a folder beside the store."""
    beside = task.folder.with_name("beside")
    beside.mkdir(exist_ok=True)
    return _make_shard(replace(task, folder=beside), take)


def commit_first(self: FeatureStore, name: str, shard: int, *others: Any) -> None:
    """Enter a shard in the index, and move it into the store after that."""
    _commit(self, name, shard, *others)
    time.sleep(0.02)
    path = shard_path(self.folder.resolve().with_name("beside"), name, shard)
    path.replace(shard_path(self.folder, name, shard))


def hear_carelessly(data: bytes, kind: str) -> str:
    """Crash, hang, grow, print, dawdle, raise or answer, by the first letter of the kind."""
    letter = kind[0]
    if letter == "a":
        ctypes.string_at(0)
    elif letter == "c":
        time.sleep(3_600)
    elif letter == "f":
        bytearray(600 * 2**20)
    elif letter == "m":
        os.write(2, b"a note")
    elif letter == "o":
        ends = time.process_time() + 1.1
        while time.process_time() < ends:
            pass
    elif letter == "v":
        return str(data.index(b"no such bytes"))
    return "ok"


if __name__ == "__main__":
    from torture import careless

    engine.make_shard = careless.make_shard_beside
    FeatureStore.commit = careless.commit_first  # type: ignore[method-assign]
    sys.exit(run(sys.argv[1:]))
