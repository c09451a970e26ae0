"""How a ratio is measured: in turn, ours, theirs, ours, theirs, so that a slow spell hits both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def on_one_core() -> None:
    """Start this script again bound to one processor, unless it is."""
    if os.environ.get("AFFECTUS_BENCH") == "1":
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    environment = {**os.environ, **ONE_CORE, "AFFECTUS_BENCH": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def with_single_threads() -> None:
    """Start this script again with libraries that use one thread each, unless it was."""
    if os.environ.get("AFFECTUS_BENCH") == "1":
        return
    environment = {**os.environ, **ONE_CORE, "AFFECTUS_BENCH": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Return the median seconds of each, and the median of theirs / ours round by round."""
    pairs = []
    for _ in range(rounds):
        pair = []
        for call in (ours, theirs):
            began = time.perf_counter()
            call()
            pair.append(time.perf_counter() - began)
        pairs.append(pair)
    first, second = zip(*pairs, strict=True)
    ratios = [their / our for our, their in pairs]
    return statistics.median(first), statistics.median(second), statistics.median(ratios)


# A process of its own, so that the memory of the benchmark itself is not counted as the command's.
_WATCH = """
import os, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - began
print(code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run_process(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its wall seconds and its peak memory in MB."""
    watch = [sys.executable, "-S", "-c", _WATCH, *command]
    code, seconds, memory = subprocess.check_output(watch, text=True).split()
    if int(code) != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return float(seconds), float(memory)
