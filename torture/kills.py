"""SIGKILL of the whole process group at random times, until the run ends; then compare."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from torture.corpus import contents, differences, extract, make_corpus, run


def torture_by_kills(
    folder: Path, n_kills: int, n_clips: int = 4_000, seed: int = 0, program: tuple[str, ...] = ()
) -> dict[str, object]:
    """Kill extractions `n_kills` times in all; return the rounds and every difference found.

    `program` replaces `python -m affectus` (a negative control).
    """
    rng = random.Random(seed)
    manifest = make_corpus(folder, n_clips)
    clean_dir = folder / "clean"
    began = time.monotonic()
    finished = run(extract(manifest, clean_dir, "--workers", "2"))
    assert finished.returncode == 0, finished.stderr
    seconds = time.monotonic() - began
    clean = contents(clean_dir)
    kills = rounds = 0
    faults: list[str] = []
    while kills < n_kills:
        store = folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        command = extract(manifest, store, "--workers", "2")
        if program:
            command[1:3] = program
        killed = False
        while True:
            # Early and late, inside the start and inside the work.
            pause = rng.uniform(0.05, 0.95) * seconds
            started = time.monotonic()
            child = subprocess.Popen(
                command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            try:
                _, error = child.communicate(timeout=pause)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
                kills, killed = kills + 1, True
                continue
            if not killed:  # faster than the first run was, on a machine that others use, too
                seconds = time.monotonic() - started
            if child.returncode:
                faults.append(f"round {rounds}: exit {child.returncode}: {error.decode()[-200:]}")
            break
        rounds += 1
        faults += [f"round {rounds}: {name} differs" for name in differences(store, clean)]
        print(f"  {kills} kills in {rounds} rounds, {len(faults)} faults", file=sys.stderr)
        if program and faults:
            break
    return {"kills": kills, "rounds": rounds, "clean_run_s": round(seconds, 1), "faults": faults}
