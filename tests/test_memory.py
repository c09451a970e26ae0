"""Memory that is freed is kept for the next clip, not asked for anew; what is large is not."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from affectus.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    blocks = [bytearray(1 << 20) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
LEFT = """
from pathlib import Path
from affectus.memory import keep_freed_memory, release_freed_memory
keep_freed_memory()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
# Between each two of them something small that stays: nothing is at the heap's end, to be trimmed.
pairs = [(b"x" * {size}, bytes(100_000)) for _ in range(40)]
kept = [small for _, small in pairs]
del pairs
if {gives}:
    release_freed_memory()
print(resident() - before)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")


def left(size, gives=False):
    return run(LEFT.format(size=size, gives=gives))


def run(script):
    return int(subprocess.check_output([sys.executable, "-c", script], text=True))


def test_freed_memory_comes_without_new_pages():
    # 50 times 8 MiB are 100,000 pages.
    kept, asked_anew = (run(FAULTS.format(keep=keep)) for keep in (True, False))
    assert kept < 10_000 < 50_000 < asked_anew


def test_what_is_large_goes_back_wherever_it_lies():
    # 40 of 5 MB are 200 MB; 40 of 3 MB, which are kept, 120 MB.
    assert left(5_000_000) < 20e6 < 100e6 < left(3_000_000)


def test_what_was_kept_goes_back_when_it_is_told_to():
    assert left(3_000_000, gives=True) < 20e6 < 100e6 < left(3_000_000)
