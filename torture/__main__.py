"""`python -m torture NAME...`: run fault injections and print a table; exit 1 on any difference."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from torture.cluster import torture_cluster
from torture.corrupt import torture_by_corruption
from torture.decoders import torture_decoders
from torture.history import torture_history
from torture.kills import torture_by_kills
from torture.operations import torture_operations
from torture.parsers import torture_parsers
from torture.soak import torture_service
from torture.training import torture_training_by_kills, torture_training_operations

TORTURES: dict[str, Callable[[Path], dict[str, object]]] = {
    "kills": lambda folder: torture_by_kills(folder, n_kills=1_000, n_clips=4_000),
    "operations": lambda folder: torture_operations(folder, n_clips=1_000),
    "disk full": lambda folder: torture_operations(folder, n_clips=600, what="ENOSPC"),
    "disk error": lambda folder: torture_operations(folder, n_clips=600, what="EIO"),
    "corrupt": torture_by_corruption,
    "decoders": torture_decoders,
    "parsers": torture_parsers,
    "store history": torture_history,
    "cluster": torture_cluster,
    "training kills": lambda folder: torture_training_by_kills(folder, n_kills=20),
    "training operations": torture_training_operations,
    "service": lambda folder: torture_service(folder, seconds=300),
}


def main(names: list[str]) -> int:
    """Run the tortures named, or all of them."""
    known = [*TORTURES, "control"]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"torture {unknown[0]!r}: not known; expected one of {', '.join(known)}.")
        return 2
    failed = 0
    for name in names or known:
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
        began = time.monotonic()
        if name == "control":
            control = torture_by_kills(folder, n_kills=60, program=("-m", "torture.careless"))
            print(f"control (index before shard): {control}")
            failed += not control["faults"]
        else:
            result = TORTURES[name](folder)
            faults = result.pop("faults")
            assert isinstance(faults, list)
            seconds = time.monotonic() - began
            print(f"{name}: {result}, {len(faults)} faults, {seconds:.0f} s", flush=True)
            for fault in faults[:20]:
                print(f"  {fault}")
            failed += bool(faults)
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
