"""The allocator of this process, told to keep what is freed."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, as it does by itself after a while.

    A young process gives each array of some hundred kilobytes back to the system and asks for it
    anew, and every page of it is filled with zeros each time: log-mel took 3.0 ms a clip, not 2.1.
    **Source:** mallopt(3); glibc alone has it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, n_bytes in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 256 << 20)):
            mallopt(option, n_bytes)
