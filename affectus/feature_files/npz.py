"""One .npz a clip. Members are read one by one, never an object that would be unpickled.

The earlier audio-video system wrote, for each clip,

    video_features (Tv, 4096 or 512)   audio_features (Ta, 89)       emotion_label ()
    video_timestamps (Tv)              audio_timestamps (Ta)         params (a pickled dict)

and, in other versions, `valid_frames`, `original_emotion` (CREMA-D's code), or `video_features`
with `timestamps` and no label. The 89 are openSMILE's CSV but for its name: `frameTime`, which is
always 0, then the 88 functionals of eGeMAPSv02, one row repeated at 100 Hz.

We write `features`, `columns`, `frame_rate`, `clip_id`, `emotion`, `speaker`.

**Source:** the NPY format, versions 1.0 and 2.0 (numpy.lib.format); a .npz is a zip of such files.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from affectus.errors import ConfigError, FeatureFileError
from affectus.feature_files.contents import Contents

_MAX_BYTES = 1 << 30  # of one array, unpacked
_LABELS = ("emotion_label", "label")
_WORDS = ("original_emotion", "emotion")


class Header(NamedTuple):
    """What a member says of its array before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def choose_key(path: Path) -> str:
    """Return the one array of a file that can be frames.

    Raises ConfigError if there are several, FeatureFileError if there is none.
    """
    with _archive(path) as archive:
        headers = _headers(archive, path.name)
    shapes = {
        name: list(header.shape)
        for name, header in headers.items()
        if header.dtype.kind in "fiu" and len(header.shape) == 2
    }
    if len(shapes) == 1:
        return next(iter(shapes))
    told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if shapes:
        raise ConfigError(f"{path.name}: holds {told}; expected one to be chosen. Say which: --key")
    raise FeatureFileError(
        "E1702", path.name, f"holds {', '.join(headers) or 'nothing'}; expected frames [T, D]."
    )


def read_npz(path: Path, key: str) -> Contents:
    """Read the frames called `key`, and what the file says of them.

    Raises FeatureFileError.
    """
    name = path.name
    with _archive(path) as archive:
        headers = _headers(archive, name)
        if key not in headers:
            text = f"no array '{key}'; it holds: {', '.join(headers) or 'nothing'}. Choose a --key."
            raise FeatureFileError("E1702", name, text)
        shape, dtype = headers[key]
        if dtype.hasobject:
            raise FeatureFileError(
                "E1702", name, f"'{key}' is a pickled object, which is never opened; expected "
                f"numbers. Save it again as float32."
            )  # fmt: skip
        if dtype.kind not in "fiu" or len(shape) not in (1, 2):
            raise FeatureFileError(
                "E1702", name, f"'{key}' is {dtype} {list(shape)}; expected numbers [T, D]."
            )  # fmt: skip

        def read(*members: str) -> NDArray[Any] | None:
            for member in members:
                if member in headers and not headers[member].dtype.hasobject:
                    return _read(archive, member)
            return None

        with np.errstate(over="ignore"):  # what is too large for float32 becomes inf: not finite
            frames = np.asarray(_read(archive, key), np.float32)
        stream = key.removesuffix("_features")
        times = read(f"{stream}_timestamps", "timestamps")
        valid = read("valid_frames") if stream == "video" else None
        columns = read("columns")
        rate = read("frame_rate")
        return Contents(
            frames=frames[None] if frames.ndim == 1 else frames,
            times=None if times is None else np.asarray(times, np.float64).reshape(-1),
            valid=None if valid is None else np.asarray(valid, np.bool_).reshape(-1),
            label=_number(read(*_LABELS)),
            emotion=_word(read(*_WORDS)),
            columns=() if columns is None or columns.dtype.kind != "U" else tuple(columns.tolist()),
            frame_rate=_rate(rate),
            passed_over=tuple(n for n, header in headers.items() if header.dtype.hasobject),
        )


def _headers(archive: zipfile.ZipFile, name: str) -> dict[str, Header]:
    """Return every array's header; nothing is unpacked but these few bytes."""
    headers = {}
    for info in archive.infolist():
        if not info.filename.endswith(".npy"):
            continue
        with archive.open(info) as file:
            shape, dtype = _read_header(file)
        size = prod(shape) * dtype.itemsize
        if not dtype.hasobject and (size > info.file_size or size > _MAX_BYTES):
            raise FeatureFileError(
                "E1701", name, f"'{info.filename}' claims {size:,} bytes; it has "
                f"{info.file_size:,}, and the limit is {_MAX_BYTES:,}."
            )  # fmt: skip
        headers[info.filename.removesuffix(".npy")] = Header(shape, dtype)
    return headers


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"NPY version {version}")
    return shape, dtype


def _read(archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    with archive.open(f"{member}.npy") as file:
        array: NDArray[Any] = npy.read_array(file)  # refuses pickles, as is numpy's default
    return array


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip, and turn whatever is wrong with it into FeatureFileError."""
    try:
        if not path.is_file():  # a pipe would be waited for, without end
            raise FeatureFileError("E1701", path.name, "no such file; expected a .npz.")
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error,
        zipfile.BadZipFile,
    ) as error:  # fmt: skip
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise FeatureFileError("E1701", path.name, f"{text}; expected a .npz.") from None


def _number(array: NDArray[Any] | None) -> int | None:
    if array is None or array.size != 1 or array.dtype.kind not in "iu":
        return None
    return int(array.reshape(-1)[0])


def _word(array: NDArray[Any] | None) -> str:
    if array is None or array.size != 1 or array.dtype.kind != "U":
        return ""
    return str(array.reshape(-1)[0])


def _rate(array: NDArray[Any] | None) -> float | None:
    if array is None or array.size != 1 or array.dtype.kind not in "fiu":
        return None
    rate = float(array.reshape(-1)[0])
    return rate if 0 < rate < float("inf") else None
