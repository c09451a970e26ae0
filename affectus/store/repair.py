"""What is wrong with a store, and how it is mended without losing what is sound.

Nothing is deleted: what is damaged is moved to `STORE/quarantine`. What it held is planned anew, in
the same shard, so that the next extraction makes that alone, with the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from affectus.errors import StoreError
from affectus.store import FeatureStore, Note, locked
from affectus.store.index import transaction, version_of
from affectus.store.shards import disk_errors, read_shard, shard_path

_INDEX = ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm")
_SHARD = re.compile(r"(?P<name>.+)-(?P<shard>\d{6})\.safetensors")


@dataclass(frozen=True)
class StoreHealth:
    """What was found: sound and damaged shards, files that belong to none, the state of the index.

    `missing` counts, by feature set, the items that are to be made again.
    """

    index_sound: bool
    n_sound: int
    damaged: tuple[str, ...]
    strays: tuple[str, ...]
    missing: dict[str, int]
    mended: bool

    @property
    def ok(self) -> bool:
        """Whether the store is sound and nothing waits to be made."""
        return self.index_sound and not (self.damaged or self.strays or any(self.missing.values()))


def examine_store(folder: Path | str, *, mend: bool = True) -> StoreHealth:
    """Check the index and the hash of every shard, and mend what is wrong if `mend`.

    A damaged index is made again from the shards' notes. Raises StoreError if the folder is no
    store or is being written, DiskError if it cannot be written.
    """
    folder = Path(folder)
    if not (folder / "index.sqlite").exists() and not _shards_in(folder):
        raise StoreError(
            f"{folder}: no feature store; expected a folder with index.sqlite or shards. Give one."
        )
    if not mend:
        return _look(folder)
    with locked(folder):
        health = _look(folder)
        if not health.index_sound:
            _rebuild(folder)
        with FeatureStore(folder) as store:
            store.tidy()
            if health.index_sound:
                for name in health.damaged:
                    _plan_again(store, folder / name)
                for name in (*health.damaged, *health.strays):
                    _set_aside(folder / name)
            return replace(health, missing=_missing(store), mended=True)


def _shards_in(folder: Path) -> list[Path]:
    """Return the files of shards, by set and number."""
    return sorted(path for path in folder.glob("*.safetensors") if _SHARD.fullmatch(path.name))


def _look(folder: Path) -> StoreHealth:
    """Say what is wrong with a store. Each shard is read once, twice where the index is damaged."""
    files = _shards_in(folder)
    with suppress(StoreError, sqlite3.Error, ValueError, TypeError), FeatureStore(folder) as store:
        damaged = _find_damaged(store)
        if damaged is not None:
            (n_shards,) = store._query("SELECT COUNT(*) FROM shards")[0]
            strays = _find_strays(store, files)
            n_sound = n_shards - len(damaged)
            return StoreHealth(True, n_sound, damaged, strays, _missing(store), False)
    bad = tuple(path.name for path in files if _read(path)[1] is None)
    return StoreHealth(False, len(files) - len(bad), bad, (), {}, False)


def _find_damaged(store: FeatureStore) -> tuple[str, ...] | None:
    """Return the shards that are damaged or gone; None if the index is not to be trusted.

    It is not where SQLite says so, or where it says of a sound shard's items another thing than
    their note.
    """
    if store._query("PRAGMA integrity_check")[0] != ("ok",):
        return None
    records = {name: store.record(name) for name in store.features()}
    damaged = []
    for name, shard, sha256 in store._query("SELECT name, shard, sha256 FROM shards"):
        path = shard_path(store.folder, name, shard)
        found, note = _read(path)
        if found != sha256:
            damaged.append(path.name)
        elif note is not None and (
            records.get(name) != note.record or not _agrees(store, name, shard, note)
        ):
            return None
    return tuple(sorted(damaged))


def _read(path: Path) -> tuple[str, Note | None]:
    """Return a shard's SHA-256, '' if it is gone, and its note, None if it has no sound one."""
    try:
        return read_shard(path)
    except StoreError:  # damaged, or of before there were notes
        try:
            with path.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest(), None
        except OSError:
            return "", None


def _agrees(store: FeatureStore, name: str, shard: int, note: Note) -> bool:
    """Whether the index says of a shard's items what its note does."""
    heard, join = ("fingerprint", "LEFT JOIN fingerprints USING (name, key)")
    if version_of(store._index) == 1:  # which had none
        heard, join = "NULL", ""
        note = note._replace(items=[(i, r._replace(fingerprint=None)) for i, r in note.items])
    said = {
        (clip_id, "failed" if result.code else "done", *result) for clip_id, result in note.items
    }
    entered = store._query(
        f"SELECT clip_id, state, key, n_frames, audio_sha256, code, reason, {heard} FROM items "
        f"{join} WHERE name = ? AND shard = ? AND state != 'planned'",
        name,
        shard,
    )
    return said.issuperset(map(tuple, entered))


def _find_strays(store: FeatureStore, files: list[Path]) -> tuple[str, ...]:
    """Return files that are no shard of the index."""
    # A run killed between writing a shard and entering it leaves one; the next run makes it again.
    known = {
        shard_path(store.folder, name, shard).name
        for name, shard in store._query(
            "SELECT name, shard FROM shards UNION "
            "SELECT name, shard FROM items WHERE state = 'planned'"
        )
    }
    return tuple(sorted({path.name for path in files} - known))


def _plan_again(store: FeatureStore, path: Path) -> None:
    """Take a shard out of the index and plan its items anew, in their place."""
    found = _SHARD.fullmatch(path.name)
    assert found is not None
    place = (found["name"], int(found["shard"]))
    with transaction(store._index, store.folder) as index:
        index.execute("DELETE FROM shards WHERE name = ? AND shard = ?", place)
        index.execute(
            "DELETE FROM fingerprints WHERE name = ? AND key IN "
            "(SELECT key FROM items WHERE name = ? AND shard = ?)",
            (found["name"], *place),
        )
        index.execute(
            "UPDATE items SET state = 'planned', code = '', reason = '', n_frames = 0, "
            "audio_sha256 = '' WHERE name = ? AND shard = ?",
            place,
        )


def _rebuild(folder: Path) -> None:
    """Make the index again from the notes of the shards, and put aside those without."""
    for name in _INDEX:
        _set_aside(folder / name)
    with FeatureStore(folder, create=True) as store:
        for path in _shards_in(folder):  # what was tried again later stands in a later one
            sha256, note = _read(path)
            if note is None:
                _set_aside(path)
                continue
            found = _SHARD.fullmatch(path.name)
            assert found is not None
            store.adopt(found["name"], int(found["shard"]), sha256, note)


def _set_aside(path: Path) -> None:
    """Move a file to the quarantine, under a name that is free there."""
    if not path.exists():
        return
    quarantine = path.parent / "quarantine"
    with disk_errors(path.parent):
        quarantine.mkdir(exist_ok=True)
        target, number = quarantine / path.name, 1
        while target.exists():
            number += 1
            target = quarantine / f"{path.name}.{number}"
        path.rename(target)


def _missing(store: FeatureStore) -> dict[str, int]:
    return {name: store.count(name)["planned"] for name in store.features()}
