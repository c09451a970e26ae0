"""The run is killed, or the disk fails, at every numbered I/O operation of a small run."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

from torture.corpus import contents, differences, extract, make_corpus, run

HOOK = Path(__file__).parent / "hook"


def torture_operations(
    folder: Path, n_clips: int = 600, what: str = "kill", every: int = 1
) -> dict[str, object]:
    """Do `what` (kill, or the name of an error number) at each operation, then resume and compare.

    With an error number the run must also end with exit code 5 and one line, and report nothing
    as saved.
    """
    manifest = make_corpus(folder, n_clips)
    options = ("--workers", "1")
    finished = run(extract(manifest, folder / "clean", *options))
    assert finished.returncode == 0, finished.stderr
    clean = contents(folder / "clean")
    store = folder / "store"
    command = extract(manifest, store, *options)
    total = count_operations(folder, command, store)
    faults: list[str] = []
    tried = 0
    for number in range(1, total + 1, every):
        shutil.rmtree(store, ignore_errors=True)
        do = "kill" if what == "kill" else str(getattr(errno, what))
        code, output = run_hooked(folder, command, store, number, do)
        tried += 1
        if what == "kill":
            if code not in (-signal.SIGKILL, 0):
                faults.append(f"operation {number}: exit {code}: {output[-300:]}")
        elif code == 0 and not differences(store, clean):
            pass  # what failed was the notice for others, when all was done
        elif code != 5 or output.count("\n") > 3 or "Traceback" in output:
            faults.append(f"operation {number}: exit {code}: {output[-300:]}")
        again = run(command)
        if again.returncode != 0:
            faults.append(f"operation {number}: resumed with {again.returncode}: {again.stderr}")
            continue
        faults += [f"operation {number}: {name} differs" for name in differences(store, clean)]
    return {"what": what, "operations": total, "tried": tried, "faults": faults}


def count_operations(
    folder: Path, command: list[str], watched: Path, environment: dict[str, str] | None = None
) -> int:
    """Return how many operations a command does on the folder `watched`, undisturbed."""
    shutil.rmtree(watched, ignore_errors=True)
    code, output = run_hooked(folder, command, watched, 0, "kill", environment)
    assert code == 0, output
    return int((folder / "counter").read_text())


def run_hooked(
    folder: Path,
    command: list[str],
    watched: Path,
    at: int,
    do: str,
    environment: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command to its `at`-th operation on `watched`, and do what is asked there."""
    (folder / "counter").unlink(missing_ok=True)
    environment = {
        **(environment or os.environ),
        "PYTHONPATH": os.pathsep.join([str(HOOK), os.environ.get("PYTHONPATH", "")]),
        "TORTURE_COUNTER": str(folder / "counter"),
        "TORTURE_STORE": str(watched),
        "TORTURE_AT": str(at),
        "TORTURE_DO": do,
    }
    done = subprocess.run(
        command,
        env=environment, start_new_session=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
