"""What is wrong with a store, and how it is mended without losing what is sound.

Nothing is deleted: what is damaged is moved to `STORE/quarantine`. What it held is planned anew, in
the same shard, so that the next extraction makes that alone, with the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from affectus.errors import StoreError
from affectus.store import FeatureStore
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
    files = sorted(path for path in folder.glob("*.safetensors") if _SHARD.fullmatch(path.name))
    if not files and not (folder / "index.sqlite").exists():
        raise StoreError(
            f"{folder}: no feature store; expected a folder with index.sqlite or shards. Give one."
        )
    index_sound = _index_is_sound(folder)
    if not index_sound and mend:
        _rebuild(folder, files)
    if not index_sound and not mend:
        bad = tuple(path.name for path in files if not _has_sound_note(path))
        return StoreHealth(False, len(files) - len(bad), bad, (), {}, False)
    with FeatureStore(folder) as store:
        if not mend:
            damaged, strays, n_sound = _look(store, files)
            return StoreHealth(True, n_sound, damaged, strays, _missing(store), False)
        with store.writing():
            damaged, strays, n_sound = _look(store, files)
            for name in damaged:
                _plan_again(store, folder / name)
            for name in (*damaged, *strays):
                _set_aside(folder / name)
        return StoreHealth(index_sound, n_sound, damaged, strays, _missing(store), True)


def _index_is_sound(folder: Path) -> bool:
    if not (folder / "index.sqlite").exists():
        return False
    try:
        with FeatureStore(folder) as store:
            (health,) = store._query("PRAGMA integrity_check")[0]
            list(store.features())
            return bool(health == "ok") and all(
                _agrees(store, *row)
                for row in store._query("SELECT name, shard, sha256 FROM shards")
            )
    except (StoreError, sqlite3.Error, ValueError, TypeError):
        return False


def _agrees(store: FeatureStore, name: str, shard: int, sha256: str) -> bool:
    """Whether the index says of a shard's items what its note does; true of a damaged shard."""
    try:
        found, note = read_shard(shard_path(store.folder, name, shard))
    except StoreError:
        return True
    if found != sha256:
        return True
    said = {
        (clip_id, "failed" if result.code else "done", *result) for clip_id, result in note.items
    }
    entered = store._query(
        "SELECT clip_id, state, key, n_frames, audio_sha256, code, reason, fingerprint FROM items "
        "LEFT JOIN fingerprints USING (name, key) "
        "WHERE name = ? AND shard = ? AND state != 'planned'",
        name,
        shard,
    )
    return store.record(name) == note.record and said.issuperset(map(tuple, entered))


def _look(store: FeatureStore, files: list[Path]) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return shards that are damaged or gone, files that are no shard of the index, sound ones."""
    entered = {
        shard_path(store.folder, name, shard).name: sha256
        for name, shard, sha256 in store._query("SELECT name, shard, sha256 FROM shards")
    }
    # A run killed between writing a shard and entering it leaves one; the next run makes it again.
    waiting = {
        shard_path(store.folder, name, shard).name
        for name, shard in store._query("SELECT name, shard FROM items WHERE state = 'planned'")
    }
    there = {path.name for path in files}
    strays = tuple(sorted(there - entered.keys() - waiting))
    damaged = []
    for file, sha256 in sorted(entered.items()):
        try:
            with (store.folder / file).open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            found = ""
        if found != sha256:
            damaged.append(file)
    return tuple(damaged), strays, len(entered) - len(damaged)


def _plan_again(store: FeatureStore, path: Path) -> None:
    """Take a shard out of the index and plan its items anew, in their place."""
    found = _SHARD.fullmatch(path.name)
    assert found is not None
    place = (found["name"], int(found["shard"]))
    with store._transaction() as index:
        index.execute("DELETE FROM shards WHERE name = ? AND shard = ?", place)
        index.execute(
            "UPDATE items SET state = 'planned', code = '', reason = '', n_frames = 0, "
            "audio_sha256 = '' WHERE name = ? AND shard = ?",
            place,
        )


def _rebuild(folder: Path, files: list[Path]) -> None:
    """Make the index again from the notes of the shards."""
    for name in _INDEX:
        _set_aside(folder / name)
    with FeatureStore(folder, create=True) as store, store.writing():
        for path in files:  # by number: what was tried again later stands in a later one
            try:
                sha256, note = read_shard(path)
            except StoreError:
                _set_aside(path)
                continue
            found = _SHARD.fullmatch(path.name)
            assert found is not None
            store.adopt(found["name"], int(found["shard"]), sha256, note)


def _has_sound_note(path: Path) -> bool:
    try:
        read_shard(path)
    except StoreError:
        return False
    return True


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
