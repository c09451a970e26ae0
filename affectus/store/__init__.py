"""The feature store: arrays on disk, by content. The only file that writes arrays.

    STORE/index.sqlite             what is planned, done, failed; the one truth
    STORE/logmel-000000.safetensors   an immutable shard of up to 256 arrays, and its note

An array is found by its *key*, the hash of the recording it was made from, within a *feature set*
('logmel'), whose extractor and every parameter are recorded: a store made with other settings is
refused in words. Planning fixes which key goes to which shard, so a killed run, resumed, writes the
same bytes. A shard is written to a temporary name, synced, renamed and only then committed to the
index, in one transaction: a key that is `done` has its array on disk, always.

It knows nothing of clips, sound or extractors.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from affectus.errors import StoreError
from affectus.store.shards import (
    Note,
    Result,
    disk_errors,
    map_arrays,
    read_shard,
    shard_path,
    write_shard,
)

__all__ = [
    "SHARD_SIZE",
    "FeatureStore",
    "Item",
    "Note",
    "Result",
    "disk_errors",
    "locked",
    "read_shard",
    "shard_path",
    "write_shard",
]

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
# Apart from the ledger, which is read from end to end often, and they are a hundred times as large.
_FINGERPRINTS = """
CREATE TABLE fingerprints (
    name TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL,
    PRIMARY KEY (name, key), FOREIGN KEY (name, key) REFERENCES items ON DELETE CASCADE
) WITHOUT ROWID;
"""
_VERSION = 2  # 1 had no fingerprints; it is read, and becomes 2 when it is written


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from writing the store at `folder`; its index need not be sound for that.

    Raises StoreError if somebody writes it.
    """
    with disk_errors(folder):
        lock = (folder / "lock").open("a+")
    with lock:
        with disk_errors(folder):
            _take(lock, folder)
        yield


def _take(lock: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise StoreError(
            f"{folder}: being written by process {lock.read().strip() or '?'}; "
            f"expected nobody. Wait for it, or use another folder."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


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
        self._shards: dict[str, dict[str, NDArray[Any]]] = {}
        with disk_errors(self.folder):
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

    def get(self, name: str, key: str) -> NDArray[Any]:
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

    def fingerprints(self, name: str) -> dict[str, bytes]:
        """Return the fingerprints of what is done, by key; of a store of version 1, none."""
        if self._version() == 1:
            return {}
        return dict(self._query("SELECT key, fingerprint FROM fingerprints WHERE name = ?", name))

    def count(self, name: str) -> dict[str, int]:
        """Return how many items of a feature set are planned, done and failed."""
        rows = self._query("SELECT state, COUNT(*) FROM items WHERE name = ? GROUP BY state", name)
        return {"planned": 0, "done": 0, "failed": 0, **dict(rows)}

    def walk(self, name: str) -> Iterator[tuple[Item, NDArray[Any]]]:
        """Yield every item that is done with its array [T, D], a shard at a time.

        However many there are, one shard is held. The arrays are views of its bytes: to be read.
        """
        for (shard,) in self._query(
            "SELECT DISTINCT shard FROM items WHERE name = ? AND state = 'done' ORDER BY shard",
            name,
        ):
            rows = self._query(
                "SELECT key, clip_id, state, code, reason, n_frames, audio_sha256 "
                "FROM items WHERE name = ? AND shard = ? AND state = 'done' ORDER BY key",
                name,
                shard,
            )
            arrays = self._shard(name, shard)
            for row in rows:
                yield Item(*row), arrays[row[0]]
            self._shards.pop(shard_path(self.folder, name, shard).name, None)

    # --- writing ---

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store for writing; a second writer is refused in words, not kept waiting."""
        with locked(self.folder):
            self.tidy()
            yield

    def tidy(self) -> None:
        """Delete what a killed run left half written, and bring the index to this version."""
        with disk_errors(self.folder):
            for orphan in self.folder.glob(".*.tmp"):
                orphan.unlink(missing_ok=True)
            if self._version() == 1:
                self._index.executescript(
                    f"BEGIN; {_FINGERPRINTS} PRAGMA user_version = {_VERSION}; COMMIT;"
                )

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
        with self._transaction() as index:
            self._want(index, items)
            if retry_failed:
                index.execute(
                    "DELETE FROM items WHERE name = ? AND state = 'failed' "
                    "AND key IN (SELECT key FROM wanted)",
                    (name,),
                )
            index.execute(
                "DELETE FROM items WHERE name = ? AND state = 'planned' AND shard IN "
                "(SELECT shard FROM items LEFT JOIN wanted USING (key) "
                "WHERE name = ? AND state = 'planned' GROUP BY shard "
                "HAVING COUNT(wanted.key) BETWEEN 1 AND COUNT(*) - 1)",
                (name, name),
            )
            self._place(index, name)
        shards: dict[int, list[str]] = {}
        for shard, key in self._query(
            "SELECT shard, key FROM items JOIN wanted USING (key) "
            "WHERE name = ? AND state = 'planned' ORDER BY shard, key",
            name,
        ):
            shards.setdefault(shard, []).append(key)
        return list(shards.items())

    def lacking(self, name: str, keys: Iterable[str]) -> dict[str, Item]:
        """Return those of the keys that are not done: planned, failed, or '' where not known."""
        with disk_errors(self.folder):
            self._index.execute("BEGIN")
            self._want(self._index, ((key, "") for key in keys))
            self._index.execute("COMMIT")
        rows = self._query(
            "SELECT wanted.key, items.clip_id, state, code, reason, n_frames, audio_sha256 "
            "FROM wanted LEFT JOIN items ON items.name = ? AND items.key = wanted.key "
            "WHERE state IS NULL OR state != 'done'",
            name,
        )
        unknown = ("", "", "", "", 0, "")
        return {key: Item(key, *(row if row[1] else unknown)) for key, *row in rows}

    def forget(self, name: str, keys: Iterable[str]) -> None:
        """Take items out of the ledger, and delete the shards that then hold none of them."""
        with self._transaction() as index:
            index.executemany(
                "DELETE FROM items WHERE name = ? AND key = ?", [(name, key) for key in keys]
            )
            empty = index.execute(
                "DELETE FROM shards WHERE name = ? AND shard NOT IN "
                "(SELECT shard FROM items WHERE name = ?) RETURNING shard",
                (name, name),
            ).fetchall()
        for (shard,) in empty:
            path = shard_path(self.folder, name, shard)
            self._shards.pop(path.name, None)
            path.unlink(missing_ok=True)

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
            index.executemany(
                "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)",
                [(name, r.key, r.fingerprint) for r in results if r.fingerprint is not None],
            )

    def adopt(self, name: str, shard: int, sha256: str, note: Note) -> None:
        """Enter a shard that was found with its note, when the index was lost."""
        self.define(name, note.record)
        with self._transaction() as index:
            index.executemany(
                "INSERT OR REPLACE INTO items (name, key, clip_id, shard) VALUES (?, ?, ?, ?)",
                [(name, result.key, clip_id, shard) for clip_id, result in note.items],
            )
        self.commit(name, shard, sha256, [result for _, result in note.items])

    # --- inside ---

    @staticmethod
    def _want(index: sqlite3.Connection, items: Iterable[tuple[str, str]]) -> None:
        """Fill the temporary table `wanted`, so that a million keys are joined and not held."""
        index.execute(
            "CREATE TEMP TABLE IF NOT EXISTS wanted (place INTEGER PRIMARY KEY, "
            "key TEXT NOT NULL UNIQUE, clip_id TEXT NOT NULL)"
        )
        index.execute("DELETE FROM temp.wanted")
        index.executemany("INSERT OR IGNORE INTO temp.wanted (key, clip_id) VALUES (?, ?)", items)

    @staticmethod
    def _place(index: sqlite3.Connection, name: str) -> None:
        """Give what is wanted and new its shard, in the order in which it is wanted."""
        unknown = "FROM wanted WHERE key NOT IN (SELECT key FROM items WHERE name = ?)"
        (n_new,) = index.execute(f"SELECT COUNT(*) {unknown}", (name,)).fetchone()
        if not n_new:
            return
        # The lowest free numbers: a shard that was lost with the index gets its own again.
        used = {
            row[0]
            for row in index.execute(
                "SELECT shard FROM items WHERE name = ? UNION SELECT shard FROM shards "
                "WHERE name = ?",
                (name, name),
            )
        }
        free = islice((n for n in count() if n not in used), -(-n_new // SHARD_SIZE))
        index.execute("CREATE TEMP TABLE IF NOT EXISTS free (n INTEGER PRIMARY KEY, shard INTEGER)")
        index.execute("DELETE FROM temp.free")
        index.executemany("INSERT INTO temp.free VALUES (?, ?)", enumerate(free))
        index.execute(
            "INSERT INTO items (name, key, clip_id, shard) "
            "SELECT ?, key, clip_id, free.shard FROM "
            f"(SELECT key, clip_id, (ROW_NUMBER() OVER (ORDER BY place) - 1) / ? AS n {unknown}) "
            "JOIN free USING (n)",
            (name, SHARD_SIZE, name),
        )

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
            if not 0 <= version <= _VERSION:
                raise StoreError(
                    f"{self.folder}: store version {version}; expected {_VERSION} or 1. "
                    f"Use the version of Affectus that made it, or extract again."
                )
            if version == 0:
                index.execute("PRAGMA journal_mode = WAL")
                index.executescript(
                    f"BEGIN; {_SCHEMA} {_FINGERPRINTS} PRAGMA user_version = {_VERSION}; COMMIT;"
                )
            index.execute("PRAGMA synchronous = FULL")
            index.execute("PRAGMA foreign_keys = ON")
        except (sqlite3.Error, StoreError):
            index.close()
            raise
        return index

    def _version(self) -> int:
        return int(self._query("PRAGMA user_version")[0][0])

    def _query(self, sql: str, *values: object) -> list[Any]:
        with disk_errors(self.folder):
            return self._index.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self.folder):
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield self._index
                self._index.execute("COMMIT")
            except BaseException:
                if self._index.in_transaction:  # a full disk has rolled it back already
                    self._index.execute("ROLLBACK")
                raise

    def _shard(self, name: str, shard: int) -> dict[str, NDArray[Any]]:
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
                    f"Mend it: affectus doctor {self.folder}"
                ) from None
            if not rows or rows[0][0] != hashlib.sha256(data.data).hexdigest():
                raise StoreError(
                    f"{path}: its bytes have changed since they were written; expected SHA-256 "
                    f"{rows[0][0][:12] if rows else '?'}…. Mend it: affectus doctor {self.folder}"
                )
            self._shards[path.name] = map_arrays(data)
        return self._shards[path.name]
