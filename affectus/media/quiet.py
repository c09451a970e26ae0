"""Decoders in C say nothing on the terminal: what is wrong with a recording is our line to say.

libsndfile's MP3 decoder, libmpg123, writes a note of every damaged frame to C's `stderr`, some
with bytes of the recording in them; it has no switch that libsndfile would pass on. Python's own
`sys.stderr` is another thing, which stays.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_lock = threading.Lock()
_held: list[int | None] = []  # what `stderr` was, once for each who has it hushed


@cache
def _streams() -> tuple[ctypes.c_void_p, int] | None:
    """Return C's variable `stderr` and a stream that takes nothing; None where there is none.

    **Source:** stdio.h: a variable in glibc, `__stderrp` in Apple's libc.
    """
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    for name in ("stderr", "__stderrp"):
        try:
            variable = ctypes.c_void_p.in_dll(library, name)
        except ValueError:
            continue
        # To read: a child that may open nothing to write (server/confinement.py) has it, too.
        nothing = library.fopen(b"/dev/null", b"r")
        return (variable, nothing) if nothing else None
    return None


@contextmanager
def hushed() -> Iterator[None]:
    """Let nothing that C code prints to `stderr` be seen meanwhile."""
    streams = _streams()
    if streams is None:
        yield
        return
    variable, nothing = streams
    with _lock:
        _held.append(_held[0] if _held else variable.value)
        variable.value = nothing
    try:
        yield
    finally:
        with _lock:
            before = _held.pop()
            if not _held:
                variable.value = before
