"""What a store keeps of a face in a film: a row a frame, its first columns the same in every set.

    found          1 where there is a face, 0 where there is none: the row is then masked
    time           s on the file's clock
    x y            the centre of the face, from the left and the top, shares of width and height
    width height   its size, likewise
    roll           degrees clockwise that it leans, and was turned back by
    confidence     0 to 1, of the detector
    blur           0 (sharp) to 1
    n_faces        in the picture when all of it was last looked at

The features proper follow. Of a masked frame `found`, `time` and `n_faces` are known; all else is
NaN, so that nobody can take it for a face. Pictures are kept as bytes: such a row is the bytes of
the first columns as float32, little end first, then the pixels; of a masked frame they are 0, and
`read_rows` gives them as NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

INFO = (
    "found", "time", "x", "y", "width", "height", "roll", "confidence", "blur", "n_faces",
)  # fmt: skip
FOUND, TIME, N_FACES = INFO.index("found"), INFO.index("time"), INFO.index("n_faces")
FACE_SETS = frozenset({"face_crops", "face_embedding"})
_FLOAT = np.dtype("<f4")
_N_BYTES = len(INFO) * _FLOAT.itemsize


def holds_faces(record: Mapping[str, Any]) -> bool:
    """Tell by its record whether a feature set of a store is of such rows."""
    return record.get("name") in FACE_SETS


class FaceRows(NamedTuple):
    """The rows of a clip: `info` [F, 10] by INFO, and `values` [F, D], of float32 or of bytes."""

    info: Floats
    values: NDArray[Any]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Where there is a face, [F]."""
        return np.asarray(self.info[:, FOUND] > 0)

    @property
    def times(self) -> Floats:
        """Seconds on the file's clock, [F]."""
        return self.info[:, TIME]


def join_rows(info: Floats, values: NDArray[Any]) -> NDArray[Any]:
    """Return one array of rows for the store; of bytes where the values are."""
    if values.dtype == np.uint8:
        head = np.ascontiguousarray(info, _FLOAT).view(np.uint8).reshape(len(info), _N_BYTES)
        return np.hstack([head, values])
    return np.hstack([info, values]).astype(np.float32)


def split_rows(rows: NDArray[Any]) -> FaceRows:
    """Return the parts of what `join_rows` made."""
    if rows.dtype == np.uint8:
        head = np.ascontiguousarray(rows[:, :_N_BYTES]).view(_FLOAT)
        return FaceRows(head.astype(np.float32), rows[:, _N_BYTES:])
    return FaceRows(rows[:, : len(INFO)], rows[:, len(INFO) :])


def read_rows(rows: NDArray[Any]) -> Floats:
    """Return rows of either form as numbers [F, 10 + D] float32; masked ones are NaN."""
    if rows.dtype != np.uint8:
        return np.asarray(rows, np.float32)
    info, values = split_rows(rows)
    numbers = values.astype(np.float32)
    numbers[info[:, FOUND] == 0] = np.nan
    return np.hstack([info, numbers])
