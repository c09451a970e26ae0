"""Which sounds of a feature set were found to be near copies, so that no two are compared twice.

It lies in the index, beside the fingerprints, and goes with them: what is known of a recording ends
when its fingerprint does. Without it nothing is lost but time.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from affectus.store import FeatureStore
from affectus.store.index import transaction

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS compared (
        name TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (name, key), FOREIGN KEY (name, key) REFERENCES fingerprints ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS copies (
        name TEXT NOT NULL, key TEXT NOT NULL, other TEXT NOT NULL, similarity REAL NOT NULL,
        PRIMARY KEY (name, key, other),
        FOREIGN KEY (name, key) REFERENCES compared ON DELETE CASCADE,
        FOREIGN KEY (name, other) REFERENCES compared ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS copies_by_other ON copies (name, other)",
)

Pair = tuple[str, str, float]  # two keys and their similarity


class Copies(NamedTuple):
    """The keys of which each was compared with each, and the pairs that are near copies."""

    compared: frozenset[str]
    pairs: list[Pair]


def read_copies(store: FeatureStore, name: str, version: int) -> Copies:
    """Return what is known; `version` is that of the comparison, and that of another is not."""
    if not store._query("SELECT 1 FROM sqlite_master WHERE name = 'copies'"):
        return Copies(frozenset(), [])
    keys = store._query("SELECT key FROM compared WHERE name = ? AND version = ?", name, version)
    pairs = store._query(
        "SELECT key, other, similarity FROM copies JOIN compared USING (name, key) "
        "WHERE name = ? AND version = ?",
        name,
        version,
    )
    return Copies(frozenset(key for (key,) in keys), pairs)


def enter_copies(
    store: FeatureStore,
    name: str,
    version: int,
    before: Set[str],
    new: Iterable[str],
    pairs: Iterable[Pair],
) -> bool:
    """Enter that the keys `new` were compared with each other and with those known `before`.

    Nothing is entered, and False returned, if others are known now: with those that somebody else
    entered meanwhile, `new` was not compared. Raises DiskError if the store cannot be written.
    """
    with transaction(store._index, store.folder) as index:
        for statement in _SCHEMA:
            index.execute(statement)
        index.execute("DELETE FROM compared WHERE name = ? AND version != ?", (name, version))
        if before != {
            key for (key,) in index.execute("SELECT key FROM compared WHERE name = ?", (name,))
        }:
            return False
        # Not what was forgotten meanwhile, with its fingerprint.
        index.executemany(
            "INSERT INTO compared SELECT name, key, ? FROM fingerprints WHERE name = ? AND key = ?",
            [(version, name, key) for key in new],
        )
        index.executemany(
            "INSERT INTO copies SELECT ?1, ?2, ?3, ?4 WHERE 2 = "
            "(SELECT COUNT(*) FROM compared WHERE name = ?1 AND key IN (?2, ?3))",
            [(name, *pair) for pair in pairs],
        )
    return True
