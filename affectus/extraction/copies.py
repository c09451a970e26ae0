"""What a store knows of sounds that are the same, or nearly so, for the leak guard."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from affectus.errors import DiskError
from affectus.fingerprint import VERSION, find_near_identical
from affectus.manifest import Manifest
from affectus.store import FeatureStore
from affectus.store.copies import enter_copies, read_copies


def sound_hashes(manifest: Manifest, store: FeatureStore, name: str) -> Mapping[str, str]:
    """Return the hash of each clip's decoded sound, by clip id, for the leak guard."""
    by_key = {item.key: item.audio_sha256 for item in store.ledger(name)}
    return {clip.clip_id: by_key.get(clip.content_key, "") for clip in manifest}


def near_pairs(
    manifest: Manifest,
    store: FeatureStore,
    name: str,
    fingerprints: Mapping[str, bytes],
    sounds: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Return the pairs of clip ids whose sound is nearly, but not exactly, the same.

    `fingerprints` are the store's, by content; `sounds` are the hashes of `sound_hashes`: what has
    the same content or the same decoded sound is told by them. What was found is kept in the store,
    where it can be written: the next time, only what is new is compared.
    """
    clip_ids: dict[str, list[str]] = {}
    for clip in manifest:
        clip_ids.setdefault(clip.content_key, []).append(clip.clip_id)
    known, pairs = read_copies(store, name, VERSION)
    new = [key for key in clip_ids if key in fingerprints and key not in known]
    if new:
        taken = {key: fingerprints[key] for key in (*known, *new)}
        found = find_near_identical(taken, known=known)
        pairs = sorted(pairs + found, key=lambda pair: (-pair[2], pair[0], pair[1]))
        with suppress(DiskError):  # to be found again is all that it costs
            enter_copies(store, name, VERSION, known, new, found)
    return [
        (one, other)
        for first, second, _ in pairs
        for one in clip_ids.get(first, ())
        for other in clip_ids.get(second, ())
        if sounds[one] != sounds[other]
    ]


def count_without_fingerprint(manifest: Manifest, fingerprints: Mapping[str, bytes]) -> int:
    """Return of how many clips the sound was never compared: imported, or of an older store."""
    return sum(clip.content_key not in fingerprints for clip in manifest if not clip.fault)
