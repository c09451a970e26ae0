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

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import StoreError
from affectus.store.index import (
    bring_up,
    locked,
    open_index,
    place_wanted,
    transaction,
    version_of,
    want,
)
from affectus.store.shards import (
    Note,
    Result,
    disk_errors,
    map_arrays,
    read_shard,
    shard_path,
    write_shard,
)
from affectus.store.spool import Spool, Spooled

__all__ = [
    "SHARD_SIZE",
    "FeatureStore",
    "Item",
    "Note",
    "Result",
    "Spool",
    "Spooled",
    "disk_errors",
    "locked",
    "read_shard",
    "shard_path",
    "write_shard",
]

SHARD_SIZE = 256  # arrays


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
            self._index = open_index(self.folder)

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
        with disk_errors(self.folder):
            if version_of(self._index) == 1:
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
            bring_up(self._index)

    def define(self, name: str, record: Mapping[str, Any]) -> None:
        """Record a feature set's extractor, or check that it is the one recorded before.

        Raises StoreError naming each parameter that differs.
        """
        if name not in self.features():  # a reader that only checks need not be able to write
            text = json.dumps(dict(record), sort_keys=True)
            with transaction(self._index, self.folder) as index:
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
        with transaction(self._index, self.folder) as index:
            want(index, items)
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
            place_wanted(index, name, SHARD_SIZE)
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
            want(self._index, ((key, "") for key in keys))
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
        with transaction(self._index, self.folder) as index:
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
        with transaction(self._index, self.folder) as index:
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
        """Enter a shard that was found with its note, when the index was lost.

        An item that another shard has an array of stays done: where it failed, it was tried again.
        """
        self.define(name, note.record)
        keys = {result.key for _, result in note.items if result.code}
        done = keys - self.lacking(name, keys).keys()
        note = note._replace(items=[item for item in note.items if item[1].key not in done])
        with transaction(self._index, self.folder) as index:
            index.executemany(
                "INSERT OR REPLACE INTO items (name, key, clip_id, shard) VALUES (?, ?, ?, ?)",
                [(name, result.key, clip_id, shard) for clip_id, result in note.items],
            )
        self.commit(name, shard, sha256, [result for _, result in note.items])

    # --- inside ---

    def _query(self, sql: str, *values: object) -> list[Any]:
        with disk_errors(self.folder):
            return self._index.execute(sql, values).fetchall()

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
