"""The doctor: what a store lost is made again, as far as there are recordings to make it from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from affectus.extraction.engine import extract_features
from affectus.features import restore_extractor
from affectus.manifest import Manifest
from affectus.store import FeatureStore
from affectus.store.repair import StoreHealth, examine_store


@dataclass(frozen=True)
class Mended:
    """A store as it was found, and as it is `now`.

    `imported` are feature sets that lack something which only another import can bring.
    """

    found: StoreHealth
    now: StoreHealth
    imported: tuple[str, ...] = ()


def mend_store(
    folder: Path | str,
    manifest: Manifest | None = None,
    *,
    on_progress: Callable[[str, int, int, int], None] = lambda name, done, failed, total: None,
) -> Mended:
    """Mend a store as `examine_store` does, and make again what it then lacks of the clips given.

    `on_progress` is told the feature set, and what `extract_features` tells. Raises what that and
    `examine_store` raise.
    """
    found = examine_store(folder)
    # An index that was made again knows nothing of what damaged shards held.
    lacking = [name for name, n in found.missing.items() if n or not found.index_sound]
    if manifest is None or not lacking:
        return Mended(found, found)
    with FeatureStore(folder) as store:
        records = {name: store.record(name) for name in lacking}
    imported = [name for name, record in records.items() if record.get("kind") == "imported"]
    for name, record in records.items():
        if name not in imported:
            extractor = restore_extractor({k: v for k, v in record.items() if k != "decoder"})
            extract_features(manifest, extractor, folder, on_progress=partial(on_progress, name))
    return Mended(found, examine_store(folder), tuple(imported))
