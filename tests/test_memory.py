"""Memory that is freed is kept for the next clip, not asked for anew."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_freed_memory_comes_without_new_pages():
    def count_faults(keep):
        command = [sys.executable, "-c", SCRIPT.format(keep=keep)]
        return int(subprocess.check_output(command, text=True))

    # 50 times 8 MiB are 100,000 pages.
    assert count_faults(True) < 10_000 < 50_000 < count_faults(False)
