"""One child process as its pool sees it: how it is started, what it was given, what it says."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from affectus.server.messages import (
    NOTES_BYTES,
    Feed,
    Finish,
    Open,
    Predict,
    Unpacker,
    receive_in_pieces,
)
from affectus.server.replies import RequestError


@dataclass(eq=False)
class Job:
    """An item, and who waits for its answer."""

    ask: Predict | Open | Feed | Finish
    body: bytes
    future: asyncio.Future[bytes]
    tries: int = 0
    given: float = 0.0  # when a child got it, monotonic s


class Listener(Protocol):
    """Who a child tells what it says, and that it has ended."""

    def hear(self, child: Child, message: Any, body: bytes) -> None:
        """Take in a message."""

    def lose(self, child: Child) -> None:
        """Do without the child."""


@dataclass(eq=False)
class Child(asyncio.Protocol):
    """A child process, our end of its socket, and what it has been given."""

    listener: Listener
    process: subprocess.Popen[bytes]
    notes: mmap.mmap
    transport: asyncio.Transport | None = None
    unpacker: Unpacker = field(default_factory=Unpacker)
    jobs: dict[int, Job] = field(default_factory=dict)  # in the order in which they were given
    waiting: deque[Job] = field(default_factory=deque)  # what no other child can do
    n_streams: int = 0
    answered: float = 0.0  # when it last did, monotonic s
    ready: bool = False
    overdue: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket: the child may be told things from now on."""
        assert isinstance(transport, asyncio.Transport)
        receive_in_pieces(transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Tell the listener what the child said."""
        for message, body in self.unpacker.feed(data):
            self.listener.hear(self, message, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the listener that the child is gone."""
        self.listener.lose(self)

    def send(self, data: bytes) -> None:
        """Tell the child; nothing happens if it is gone."""
        if self.transport is not None:
            self.transport.write(data)

    @property
    def in_hand(self) -> tuple[int, float]:
        """The number of the item in hand, or -1, and for how many seconds."""
        notes = memoryview(self.notes).cast("q")
        number, since, again = notes[0], notes[1], notes[0]
        if number < 0 or number != again:  # another was begun while we looked
            return again, 0.0
        return number, (time.monotonic_ns() - since) / 1e9


def start_child(listener: Listener) -> tuple[Child, socket.socket]:
    """Start a child process; return it with our end of its socket, still to be connected.

    Raises OSError if the machine has no room for one.
    """
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as file, theirs:
        file.truncate(NOTES_BYTES)
        notes = mmap.mmap(file.fileno(), NOTES_BYTES)
        memoryview(notes).cast("q")[0] = -1
        passed = (theirs.fileno(), file.fileno())
        command = [sys.executable, "-P", "-m", "affectus.server.child", *map(str, passed)]
        # Ctrl-C is for us alone: what is blocked is inherited, and a child would else end with a
        # traceback while it loads.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                command, pass_fds=passed, env=_environment(), stdin=subprocess.DEVNULL
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    ours.setblocking(False)
    return Child(listener, process, notes), ours


def refuse(job: Job, code: str, text: str) -> None:
    """Tell who waits that there is no answer."""
    if not job.future.done():
        job.future.set_exception(RequestError(code, text))


def named(job: Job, text: str) -> str:
    """Begin a sentence with the recording's name."""
    return f"'{job.ask.name}': {text}" if isinstance(job.ask, Predict) else text


def _environment() -> dict[str, str]:
    """Return what a child may know of our environment: where the code is, nothing secret."""
    kept = {"PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR"}
    found = {name: value for name, value in os.environ.items() if name in kept}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return found | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
