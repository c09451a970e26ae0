"""The feature store: arrays on disk, by content. The only file that writes arrays.

    STORE/index.sqlite             what is planned, done, failed; the one truth
    STORE/logmel-000000.safetensors   an immutable shard of up to 256 arrays

An array is found by its *key*, the hash of the recording it was made from, within a *feature set*
('logmel'), whose extractor and every parameter are recorded: a store made with other settings is
refused in words. Planning fixes which key goes to which shard, so a killed run, resumed, writes the
same bytes. A shard is written to a temporary name, synced, renamed and only then committed to the
index, in one transaction: a key that is `done` has its array on disk, always.

It knows nothing of clips, sound or extractors.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from affectus.errors import DiskError, StoreError

SHARD_SIZE = 256  # arrays

_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    name TEXT PRIMARY KEY, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (
    name TEXT NOT NULL REFERENCES features, shard INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (name, shard)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    name TEXT NOT NULL REFERENCES features, key TEXT NOT NULL, clip_id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done', 'failed')),
    code TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    n_frames INTEGER NOT NULL DEFAULT 0, audio_sha256 TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_shard ON items (name, shard, state);
"""
_VERSION = 1


class Result(NamedTuple):
    """What became of one item of a shard: an array made (`code` empty), or why not."""

    key: str
    n_frames: int = 0
    audio_sha256: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Item:
    """One row of the ledger. `state` is planned, done or failed."""

    key: str
    clip_id: str
    state: str
    code: str
    reason: str
    n_frames: int
    audio_sha256: str


class FeatureStore:
    """A folder of feature arrays; see the module's text. Use as a context manager, or `close`.

    Raises StoreError if `folder` holds something else, DiskError if it cannot be written.
    """

    def __init__(self, folder: Path | str, *, create: bool = False) -> None:
        self.folder = Path(folder)
        self._shards: dict[str, dict[str, NDArray[np.float32]]] = {}
        with _disk(self.folder):
            index = self.folder / "index.sqlite"
            if not create and not (index.is_file() and index.stat().st_size):
                raise StoreError(
                    f"{self.folder}: no feature store; expected a folder with index.sqlite. "
                    f"Make one with: affectus extract MANIFEST --store {self.folder}"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._index = self._connect()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index and of every open shard."""
        self._shards.clear()
        self._index.close()

    # --- reading ---

    def features(self) -> tuple[str, ...]:
        """Return the names of the feature sets in the store."""
        return tuple(name for (name,) in self._query("SELECT name FROM features ORDER BY name"))

    def record(self, name: str) -> dict[str, Any]:
        """Return the extractor's name, version and parameters, as recorded."""
        rows = self._query("SELECT record FROM features WHERE name = ?", name)
        if not rows:
            raise StoreError(
                f"{self.folder}: no features '{name}'; the store holds: "
                f"{', '.join(self.features()) or 'nothing'}. Run: affectus extract"
            )
        try:
            record: dict[str, Any] = json.loads(rows[0][0])
        except ValueError as error:
            raise StoreError(
                f"{self.folder}/index.sqlite: the record of '{name}' is damaged ({error}); "
                f"expected JSON. Delete the store and extract again."
            ) from None
        return record

    def get(self, name: str, key: str) -> NDArray[np.float32]:
        """Return the array [T, D] of a key. Its shard's hash is checked when first opened."""
        rows = self._query("SELECT shard, state FROM items WHERE name = ? AND key = ?", name, key)
        if not rows or rows[0][1] != "done":
            state = rows[0][1] if rows else "not planned"
            raise StoreError(
                f"{self.folder}: '{name}' of {key[:12]}… is {state}; expected it done. "
                f"Run: affectus extract"
            )
        return np.array(self._shard(name, rows[0][0])[key])

    def ledger(self, name: str) -> Iterator[Item]:
        """Yield every item of a feature set, by key."""
        rows = self._query(
            "SELECT key, clip_id, state, code, reason, n_frames, audio_sha256 "
            "FROM items WHERE name = ? ORDER BY key",
            name,
        )
        return (Item(*row) for row in rows)

    # --- writing ---

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store for writing; a second writer is refused in words, not kept waiting."""
        with _disk(self.folder):
            lock = (self.folder / "lock").open("a+")
        with lock:
            with _disk(self.folder):
                self._lock(lock)
                for orphan in self.folder.glob(".*.tmp"):
                    orphan.unlink(missing_ok=True)
            yield

    def define(self, name: str, record: Mapping[str, Any]) -> None:
        """Record a feature set's extractor, or check that it is the one recorded before.

        Raises StoreError naming each parameter that differs.
        """
        if name not in self.features():  # a reader that only checks need not be able to write
            text = json.dumps(dict(record), sort_keys=True)
            with self._transaction() as index:
                index.execute("INSERT OR IGNORE INTO features VALUES (?, ?)", (name, text))
        stored = self.record(name)
        differing = [
            f"{key} is {stored.get(key)!r} there and {record.get(key)!r} here"
            for key in sorted({*stored, *record})
            if stored.get(key) != record.get(key)
        ]
        if differing:
            raise StoreError(
                f"{self.folder}: '{name}' was made with other parameters: {'; '.join(differing)}; "
                f"expected the same. Use another --store folder, or the same parameters."
            )

    def plan(
        self, name: str, items: Iterable[tuple[str, str]], *, retry_failed: bool = False
    ) -> list[tuple[int, list[str]]]:
        """Give each (key, clip id) that is new a place in a shard; return the shards to be made.

        Each is (number, keys) in a fixed order. What is done is left alone; those of `items` that
        failed are planned anew, in new shards, if `retry_failed`. Shards that an earlier call
        planned of other items too and that were never made are planned anew, of `items` alone.
        """
        wanted = dict(items)
        with self._transaction() as index:
            if retry_failed:
                index.executemany(
                    "DELETE FROM items WHERE name = ? AND key = ? AND state = 'failed'",
                    [(name, key) for key in wanted],
                )
            for shard, keys in self._planned(name):
                if 0 < len(wanted.keys() & keys) < len(keys):
                    index.execute(
                        "DELETE FROM items WHERE name = ? AND shard = ? AND state = 'planned'",
                        (name, shard),
                    )
            known = {row[0] for row in self._query("SELECT key FROM items WHERE name = ?", name)}
            new = {key: clip_id for key, clip_id in wanted.items() if key not in known}
            (last,) = self._query("SELECT MAX(shard) FROM items WHERE name = ?", name)[0]
            first = 0 if last is None else last + 1
            index.executemany(
                "INSERT INTO items (name, key, clip_id, shard) VALUES (?, ?, ?, ?)",
                [
                    (name, key, clip_id, first + place // SHARD_SIZE)
                    for place, (key, clip_id) in enumerate(new.items())
                ],
            )
        return [(shard, keys) for shard, keys in self._planned(name) if keys[0] in wanted]

    def commit(self, name: str, shard: int, sha256: str, results: Sequence[Result]) -> None:
        """Enter a written shard, and what became of each of its items, in one transaction."""
        rows = [
            ("failed" if r.code else "done", r.code, r.reason, r.n_frames, r.audio_sha256,
             name, r.key)
            for r in results
        ]  # fmt: skip
        with self._transaction() as index:
            if sha256:
                index.execute("INSERT INTO shards VALUES (?, ?, ?)", (name, shard, sha256))
            index.executemany(
                "UPDATE items SET state = ?, code = ?, reason = ?, n_frames = ?, audio_sha256 = ? "
                "WHERE name = ? AND key = ?",
                rows,
            )

    # --- inside ---

    def _lock(self, lock: TextIO) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StoreError(
                f"{self.folder}: being written by process {lock.read().strip() or '?'}; "
                f"expected nobody. Wait for it, or use another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

    def _planned(self, name: str) -> list[tuple[int, list[str]]]:
        shards: dict[int, list[str]] = {}
        for shard, key in self._query(
            "SELECT shard, key FROM items WHERE name = ? AND state = 'planned' ORDER BY shard, key",
            name,
        ):
            shards.setdefault(shard, []).append(key)
        return list(shards.items())

    def _connect(self) -> sqlite3.Connection:
        path = self.folder / "index.sqlite"
        uri = path.absolute().as_uri()
        if not os.access(self.folder, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
            # Read-only, and nobody writes: SQLite need make no files beside it.
            uri += "?immutable=1"
        # Transactions are written out (isolation_level None), so that each is seen in the code.
        index = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        try:
            (version,) = index.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise StoreError(
                    f"{self.folder}: store version {version}; expected {_VERSION}. "
                    f"Use the version of Affectus that made it, or extract again."
                )
            if version == 0:
                index.execute("PRAGMA journal_mode = WAL")
                index.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            index.execute("PRAGMA synchronous = FULL")
            index.execute("PRAGMA foreign_keys = ON")
        except (sqlite3.Error, StoreError):
            index.close()
            raise
        return index

    def _query(self, sql: str, *values: object) -> list[Any]:
        with _disk(self.folder):
            return self._index.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _disk(self.folder):
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield self._index
                self._index.execute("COMMIT")
            except BaseException:
                if self._index.in_transaction:  # a full disk has rolled it back already
                    self._index.execute("ROLLBACK")
                raise

    def _shard(self, name: str, shard: int) -> dict[str, NDArray[np.float32]]:
        """Return a shard's arrays, mapped from disk; its hash is checked the first time."""
        path = shard_path(self.folder, name, shard)
        if path.name not in self._shards:
            rows = self._query(
                "SELECT sha256 FROM shards WHERE name = ? AND shard = ?", name, shard
            )
            try:
                data = np.memmap(path, np.uint8, "r")
            except (OSError, ValueError) as error:  # gone; empty
                raise StoreError(
                    f"{path}: {getattr(error, 'strerror', error)}; expected a shard of {name}. "
                    f"Delete the store and extract again."
                ) from None
            if not rows or rows[0][0] != hashlib.sha256(data.data).hexdigest():
                raise StoreError(
                    f"{path}: its bytes have changed since they were written; expected SHA-256 "
                    f"{rows[0][0][:12] if rows else '?'}…. Delete the store and extract again."
                )
            self._shards[path.name] = _map_arrays(data)
        return self._shards[path.name]


def _map_arrays(data: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a shard's bytes without copying them.

    **Source:** the safetensors format: eight bytes with the header's length, the header in JSON
    (name, shape, begin and end), the arrays. Only for bytes whose hash was checked.
    """
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    arrays = {}
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        array = data[start + begin : start + end].view(np.float32)
        arrays[key] = array.reshape(entry["shape"])
    return arrays


def shard_path(folder: Path, name: str, shard: int) -> Path:
    """Return where a shard lies."""
    return folder / f"{name}-{shard:06d}.safetensors"


def write_shard(
    folder: Path, name: str, shard: int, arrays: Mapping[str, NDArray[np.float32]]
) -> str:
    """Write one shard, complete or not at all, and return its SHA-256; '' if there is no array.

    The bytes depend on names and arrays alone. Any process may write any shard.
    """
    if not arrays:
        return ""
    data = safetensors.numpy.save(
        {key: np.ascontiguousarray(arrays[key], np.float32) for key in arrays}
    )
    path = shard_path(folder, name, shard)
    # A worker that outlives its killed parent for a moment must not share a file with the next one.
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    with _disk(folder):
        try:
            with temporary.open("wb") as file:
                file.write(data)
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
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
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
