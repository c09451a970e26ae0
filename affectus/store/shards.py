"""Shards: immutable files of up to a few hundred arrays, complete or not there at all.

A shard is a safetensors file. Beside its arrays it carries a *note*, from which the index can be
made again: the record of its feature set, what became of each of its items, and a hash of its
arrays. The note begins with its own SHA-256, since without an index nothing else vouches for it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.errors import DiskError, StoreError
from affectus.store.spool import Spooled

# What an array may be of: numbers, or the bytes of pictures.
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_NOTE = "affectus"  # the one entry of the metadata: with more, their order would be by chance

Array = NDArray[Any] | Spooled


class Result(NamedTuple):
    """What became of one item of a shard: an array made (`code` empty), or why not.

    `fingerprint` is None where none was taken, which is another thing than b"", silence.
    """

    key: str
    n_frames: int = 0
    audio_sha256: str = ""
    code: str = ""
    reason: str = ""
    fingerprint: bytes | None = None


class Note(NamedTuple):
    """What a shard says of itself: the record, and each item's clip id and result."""

    record: dict[str, Any]
    items: list[tuple[str, Result]]


def map_arrays(data: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a shard's bytes without copying them.

    **Source:** the safetensors format: eight bytes with the header's length, the header in JSON
    (name, type, shape, begin and end), the arrays. Only for bytes whose hash was checked.
    """
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    arrays = {}
    header.pop("__metadata__", None)
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        if start + end > len(data):
            raise ValueError(f"array '{key}' ends beyond the file")
        array = data[start + begin : start + end].view(_TYPES[entry["dtype"]])
        arrays[key] = array.reshape(entry["shape"])
    return arrays


def read_shard(path: Path) -> tuple[str, Note]:
    """Return a shard's SHA-256 and its note, when its arrays are those that it was written with.

    Raises StoreError if the file is damaged or has no note.
    """
    try:
        data = np.fromfile(path, np.uint8)
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        vouched, _, text = json.loads(data[8:start].tobytes())["__metadata__"][_NOTE].partition(" ")
        if vouched != _hash_text(text):
            raise ValueError("its note is not the one it was written with")
        note = json.loads(text)
        items = []
        for clip_id, key, n_frames, sound, code, reason, heard in note["items"]:
            mark = None if heard is None else base64.b64decode(heard)
            items.append((clip_id, Result(key, n_frames, sound, code, reason, mark)))
        arrays = map_arrays(data)
        found = _hash_arrays(arrays)
        if found != note["arrays"]:
            raise ValueError("its arrays are not those it was written with")
        if arrays.keys() != {result.key for _, result in items if not result.code}:
            raise ValueError("its arrays are not those of its note")
    except (AttributeError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: {error}; expected a shard with its note.") from None
    return hashlib.sha256(data.data).hexdigest(), Note(note["record"], items)


def _hash_arrays(arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key}{arrays[key].shape}".encode())
        for piece in _pieces(arrays[key]):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(array: Array) -> Iterable[bytes | memoryview]:
    """Return an array's bytes, row by row."""
    if isinstance(array, Spooled):
        return array.pieces()
    return (np.ascontiguousarray(array).data,)


def shard_path(folder: Path, name: str, shard: int) -> Path:
    """Return where a shard lies."""
    return folder / f"{name}-{shard:06d}.safetensors"


def write_shard(
    folder: Path,
    name: str,
    shard: int,
    arrays: Mapping[str, Array],
    note: Note | None = None,
) -> str:
    """Write one shard, complete or not at all, and return its SHA-256.

    With neither array nor note there is nothing to write, and '' is returned. The bytes depend on
    what is given alone. Any process may write any shard.
    """
    if not arrays and note is None:
        return ""
    arrays = {key: _storable(array) for key, array in arrays.items()}
    digest = hashlib.sha256()
    path = shard_path(folder, name, shard)
    # A worker that outlives its killed parent for a moment must not share a file with the next one.
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    with disk_errors(folder):
        try:
            with temporary.open("wb") as file:
                for piece in _lay_out(arrays, _metadata(arrays, note) if note else {}):
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)  # half a shard would keep a full disk full
            raise
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return digest.hexdigest()


def _lay_out(
    arrays: Mapping[str, Array], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """Yield a safetensors file piece by piece: its own writer would hold all of it, twice.

    **Source:** as for `map_arrays`; wide types first and then by name, the header filled up with
    spaces to eight bytes, as the library has it.
    """
    names = sorted(arrays, key=lambda key: (-arrays[key].dtype.itemsize, key))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key in names:
        start, end = end, end + arrays[key].nbytes
        header[key] = {
            "dtype": _NAMES[arrays[key].dtype],
            "shape": list(arrays[key].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for key in names:
        yield from _pieces(arrays[key])


def _storable(array: Array) -> Array:
    """Return an array of bytes as it is, any other as float32."""
    if isinstance(array, Spooled):
        return array
    return np.ascontiguousarray(array, "u1" if array.dtype == np.uint8 else "<f4")


def _metadata(arrays: Mapping[str, Array], note: Note) -> dict[str, str]:
    items = []
    for clip_id, (*rest, heard) in note.items:
        text = None if heard is None else base64.b64encode(heard).decode()
        items.append((clip_id, *rest, text))
    content = {"record": note.record, "items": items, "arrays": _hash_arrays(arrays)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {_NOTE: f"{_hash_text(text)} {text}"}


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into one line: DiskError (exit 5) or StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            remedy = "Free some space; what was committed is safe. Then run the command again."
        else:
            remedy = "Check the folder and its rights; what was committed is safe."
        raise DiskError(f"{folder}: {error.strerror}; expected a folder to write. {remedy}") from (
            error
        )
    except sqlite3.OperationalError as error:
        raise DiskError(
            f"{folder}/index.sqlite: {error}; expected a store that can be written. "
            f"Check space and rights; what was committed is safe."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{folder}/index.sqlite: {error}; expected a feature store. Use another folder."
        ) from error
