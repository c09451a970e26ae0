"""How far an extraction is, in a small file that others can read, on any machine."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from affectus.files import replacing
from affectus.store import disk_errors


class RunProgress(msgspec.Struct, frozen=True):
    """How far an extraction is: what `affectus status` tells others, from any machine."""

    process: int
    host: str
    began: float
    heard: float
    finished: int
    failed: int
    total: int

    @property
    def rate(self) -> float:
        """Clips per second so far."""
        return self.finished / max(self.heard - self.began, 1e-3)


class Notice:
    """A small file in the store that says how far the run is; gone when it has ended."""

    def __init__(self, folder: Path, total: int) -> None:
        self.path = folder / "progress.json"
        self.total = total
        self.began = time.time()
        self.written = 0.0

    def __enter__(self) -> None:
        self.write(0, 0)

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # it is only for others to read
            self.path.unlink()

    def write(self, finished: int, failed: int) -> None:
        """Write the state, at most once a second."""
        now = time.time()
        if now - self.written < 1.0:
            return
        self.written = now
        state = RunProgress(
            os.getpid(), socket.gethostname(), self.began, now, finished, failed, self.total
        )
        with disk_errors(self.path.parent), replacing(self.path) as temporary:
            temporary.write_bytes(msgspec.json.encode(state))


def read_progress(folder: Path | str) -> RunProgress | None:
    """Return how far the extraction is that writes the store at `folder`, if there is one."""
    try:
        return msgspec.json.decode((Path(folder) / "progress.json").read_bytes(), type=RunProgress)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
