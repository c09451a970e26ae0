"""Loaded by every Python process that has this folder in its path: I/O operations are numbered.

Operations of all processes of a run are counted together, in a file that they share. At operation
TORTURE_AT the whole process group is killed, or that operation fails with an error number
(TORTURE_DO: kill, or a number). Counted are: open to write, write by `os.write`, fsync, rename,
unlink, mkdir, and every statement that changes the index.
"""

import fcntl
import os
import signal
import sqlite3
import sys

_COUNTER = os.environ.get("TORTURE_COUNTER")
_STORE = os.environ.get("TORTURE_STORE", "")
_AT = int(os.environ.get("TORTURE_AT", "0"))
_DO = os.environ.get("TORTURE_DO", "kill")
_busy = False


def _operation(name, place=""):
    global _busy
    if _busy:
        return
    _busy = True
    try:
        counter = os.open(_COUNTER, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(counter, fcntl.LOCK_EX)
            number = int(os.pread(counter, 20, 0) or b"0") + 1
            os.pwrite(counter, str(number).encode(), 0)
        finally:
            os.close(counter)
    finally:
        _busy = False
    if number == _AT or (_AT and _DO != "kill" and number >= _AT and _PERSISTS):
        if _DO == "kill":
            os.killpg(0, signal.SIGKILL)
        raise OSError(int(_DO), os.strerror(int(_DO)), place or None)


_PERSISTS = os.environ.get("TORTURE_PERSISTS") == "1"


def _inside(path):
    return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(_STORE)


def _audit(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if _inside(path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _operation("open", path)
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.truncate") and _inside(arguments[0]):
        _operation(event, arguments[0])


class _Connection(sqlite3.Connection):
    def execute(self, statement, *values):
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            _operation("sql")
        return super().execute(statement, *values)

    def executemany(self, statement, rows):
        _operation("sql")
        return super().executemany(statement, rows)

    def executescript(self, script):
        _operation("sql")
        return super().executescript(script)


def _install():
    sys.addaudithook(_audit)
    fsync, write = os.fsync, os.write

    def counted_fsync(descriptor):
        _operation("fsync")
        return fsync(descriptor)

    def counted_write(descriptor, data):
        place = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - no pathlib in a hook
        if place.startswith(_STORE):
            _operation("write")
        return write(descriptor, data)

    os.fsync, os.write = counted_fsync, counted_write
    connect = sqlite3.connect
    sqlite3.connect = lambda *places, **options: connect(
        *places, **{"factory": _Connection, **options}
    )


if _COUNTER:
    _install()
