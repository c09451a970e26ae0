"""The store's index: its tables, how they are opened and locked, and which key gets which shard."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import TextIO

from affectus.errors import StoreError
from affectus.store.shards import disk_errors

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
VERSION = 2  # 1 had no fingerprints; it is read, and becomes 2 when it is written


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


def open_index(folder: Path) -> sqlite3.Connection:
    """Open a store's index, or make it.

    Raises StoreError for one of a version that is not known.
    """
    path = folder / "index.sqlite"
    uri = path.absolute().as_uri()
    if not os.access(folder, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        # Read-only, and nobody writes: SQLite need make no files beside it.
        uri += "?immutable=1"
    # Transactions are written out (isolation_level None), so that each is seen in the code.
    index = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
    try:
        (version,) = index.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= VERSION:
            raise StoreError(
                f"{folder}: store version {version}; expected {VERSION} or 1. "
                f"Use the version of Affectus that made it, or extract again."
            )
        if version == 0:
            index.execute("PRAGMA journal_mode = WAL")
            index.executescript(
                f"BEGIN; {_SCHEMA} {_FINGERPRINTS} PRAGMA user_version = {VERSION}; COMMIT;"
            )
        index.execute("PRAGMA synchronous = FULL")
        index.execute("PRAGMA foreign_keys = ON")
    except (sqlite3.Error, StoreError):
        index.close()
        raise
    return index


def version_of(index: sqlite3.Connection) -> int:
    """Return the version that an index was written as."""
    return int(index.execute("PRAGMA user_version").fetchone()[0])


def bring_up(index: sqlite3.Connection) -> None:
    """Make an index of version 1 one of this version."""
    if version_of(index) == 1:
        index.executescript(f"BEGIN; {_FINGERPRINTS} PRAGMA user_version = {VERSION}; COMMIT;")


@contextmanager
def transaction(index: sqlite3.Connection, folder: Path) -> Iterator[sqlite3.Connection]:
    """Do all of it or nothing."""
    with disk_errors(folder):
        index.execute("BEGIN IMMEDIATE")
        try:
            yield index
            index.execute("COMMIT")
        except BaseException:
            if index.in_transaction:  # a full disk has rolled it back already
                index.execute("ROLLBACK")
            raise


def want(index: sqlite3.Connection, items: Iterable[tuple[str, str]]) -> None:
    """Fill the temporary table `wanted`, so that a million keys are joined and not held."""
    index.execute(
        "CREATE TEMP TABLE IF NOT EXISTS wanted (place INTEGER PRIMARY KEY, "
        "key TEXT NOT NULL UNIQUE, clip_id TEXT NOT NULL)"
    )
    index.execute("DELETE FROM temp.wanted")
    index.executemany("INSERT OR IGNORE INTO temp.wanted (key, clip_id) VALUES (?, ?)", items)


def place_wanted(index: sqlite3.Connection, name: str, shard_size: int) -> None:
    """Give what is wanted and new its shard, in the order in which it is wanted."""
    unknown = "FROM wanted WHERE key NOT IN (SELECT key FROM items WHERE name = ?)"
    (n_new,) = index.execute(f"SELECT COUNT(*) {unknown}", (name,)).fetchone()
    if not n_new:
        return
    # The lowest free numbers: a shard that was lost with the index gets its own again.
    used = {
        row[0]
        for row in index.execute(
            "SELECT shard FROM items WHERE name = ? UNION SELECT shard FROM shards WHERE name = ?",
            (name, name),
        )
    }
    free = islice((n for n in count() if n not in used), -(-n_new // shard_size))
    index.execute("CREATE TEMP TABLE IF NOT EXISTS free (n INTEGER PRIMARY KEY, shard INTEGER)")
    index.execute("DELETE FROM temp.free")
    index.executemany("INSERT INTO temp.free VALUES (?, ?)", enumerate(free))
    index.execute(
        "INSERT INTO items (name, key, clip_id, shard) "
        "SELECT ?, key, clip_id, free.shard FROM "
        f"(SELECT key, clip_id, (ROW_NUMBER() OVER (ORDER BY place) - 1) / ? AS n {unknown}) "
        "JOIN free USING (n)",
        (name, shard_size, name),
    )
