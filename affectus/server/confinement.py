"""What a child that decodes strangers' recordings may still do: read, compute, answer.

Decoders are large, written in C and fed by anybody. So before the first recording the child gives
up, for ever, what it does not need: growing, writing files, starting programs, talking to anybody
but its parent. A decoder that is taken over finds an empty folder and no network.

The limits hold on every Unix; the ban on system calls on Linux, x86-64 and AArch64. `confine` says
what holds, and /health/ready tells.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import shutil
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS = 30  # of processor time an item; beyond it comes SIGXCPU, each second once more
_FILES = 32  # open at a time

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_DUMPABLE = 1, 38, 22, 4
_SECCOMP_MODE_FILTER = 2

# System calls: (x86-64, AArch64), None where the machine has none of that name.
# **Source:** asm/unistd_64.h and asm-generic/unistd.h of Linux 6.1.
_DENIED = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "execve": (59, 221), "execveat": (322, 281),
    "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117), "kill": (62, 129),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "mount": (165, 40),
    "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "pivot_root": (155, 41), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "io_uring_setup": (425, 425), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "openat2": (437, 437), "creat": (85, None), "unlink": (87, None),
    "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "mkdir": (83, None), "mkdirat": (258, 34), "mknod": (133, None), "mknodat": (259, 33),
    "truncate": (76, 45), "chmod": (90, None), "fchmodat": (268, 53), "chown": (92, None),
}  # fmt: skip
_OPEN = {"open": (2, None, 1), "openat": (257, 56, 2)}  # and where their flags stand
_CLONE, _CLONE3 = (56, 220), (435, 435)
_CLONE_THREAD = 0x10000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_*


def confine(memory_bytes: int) -> list[str]:
    """Give up everything but computing, and say what was given up.

    `memory_bytes` is how much more address space than now the process may take. Call it when all
    that is needed is loaded: nothing can be undone.
    """
    held = ["memory", "files", "cores"]
    _take_empty_folder()
    _limit(resource.RLIMIT_AS, _address_space() + memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _FILES)
    if os.getuid() != 0:  # of root the system does not count them
        _limit(resource.RLIMIT_NPROC, 0)
        held.append("processes")
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if platform.machine() in _MACHINES and _forbid_system_calls(prctl):
            held.append("system calls")
    return held


def allow_item() -> None:
    """Grant the processor time of one more item."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """Return the bytes of address space taken; 1 GiB where the system does not say."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return 1 << 30
    return int(status.read_text().split()[0]) * resource.getpagesize()


def _take_empty_folder() -> None:
    """Stand in a folder that is deleted: nothing is in it, nothing can be put there."""
    folder = tempfile.mkdtemp(prefix="affectus-")
    os.chdir(folder)
    shutil.rmtree(folder)


def _forbid_system_calls(prctl: Any) -> bool:
    """Install the ban; return whether the system took it.

    **Source:** seccomp(2); linux/bpf_common.h for the instructions.
    """
    column, arch = _MACHINES[platform.machine()]
    code = _program(column, arch)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def _program(column: int, arch: int) -> bytes:
    """Return the filter as BPF instructions (code, jump if true, if false, operand)."""
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse, missing, allow = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x7FFF0000
    lines = [
        (load, 0, 0, 4),  # the architecture that the call is made for
        (equal, 1, 0, arch),
        (give, 0, 0, refuse),
        (load, 0, 0, 0),  # the call's number
    ]
    if column == 0:  # the x32 numbers of x86-64
        lines += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]
    for numbers in _DENIED.values():
        if (number := numbers[column]) is not None:
            lines += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    lines += [(equal, 0, 1, _CLONE3[column]), (give, 0, 0, missing)]  # glibc then takes clone
    # A thread, but no process; an open file, but not to write: their flags decide.
    asked = [(_CLONE[column], 0, _CLONE_THREAD, allow, refuse)]
    asked += [
        (found, place, _WRITING, refuse, allow)
        for *numbers, place in _OPEN.values()
        if (found := numbers[column]) is not None
    ]
    for number, place, bits, if_set, if_not in asked:
        lines += [
            (equal, 0, 4, number),
            (load, 0, 0, 16 + 8 * place),
            (any_bit, 0, 1, bits),
            (give, 0, 0, if_set),
            (give, 0, 0, if_not),
        ]
    lines.append((give, 0, 0, allow))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
