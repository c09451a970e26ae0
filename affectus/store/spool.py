"""Arrays in a file, not in memory, until their shard is written: an hour's faces are 0.7 GB."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_PIECE = 1 << 20  # bytes


class Spooled:
    """An array [F, D] at the end of a spool's file, until the next one begins there."""

    def __init__(self, file: IO[bytes]) -> None:
        """Begin without rows, whose type and width the first ones give."""
        self._file, self._start = file, file.seek(0, os.SEEK_END)
        self.nbytes = 0
        self.shape = 0, 0
        self.dtype: np.dtype[Any] = np.dtype("u1")

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows [F, D]. Raises OSError where the disk is full."""
        self.nbytes += self._file.write(np.ascontiguousarray(rows).data)
        self.shape, self.dtype = (self.shape[0] + len(rows), rows.shape[1]), rows.dtype

    def drop(self) -> None:
        """Give its room back: it is of no use after this."""
        self._file.truncate(self._start)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes, row by row, a megabyte at a time."""
        end = self._start + self.nbytes
        for start in range(self._start, end, _PIECE):
            self._file.seek(start)
            yield self._file.read(min(_PIECE, end - start))


class Spool:
    """A file without a name, in `folder`: nothing is left of it, whatever becomes of the process.

    It is opened once there is something to put into it.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder, of the disk that the shard will be on."""
        self.folder = folder
        self._file: IO[bytes] | None = None

    def begin(self) -> Spooled:
        """Return an array to be filled before the next one begins."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
        return Spooled(self._file)

    def __enter__(self) -> Spool:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, and with it what it held."""
        if self._file is not None:
            self._file.close()
