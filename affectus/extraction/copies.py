"""What a store knows of sounds that are the same, or nearly so, for the leak guard."""

from __future__ import annotations

from collections.abc import Mapping

from affectus.fingerprint import find_near_identical
from affectus.manifest import Manifest
from affectus.store import FeatureStore


def sound_hashes(manifest: Manifest, store: FeatureStore, name: str) -> Mapping[str, str]:
    """Return the hash of each clip's decoded sound, by clip id, for the leak guard."""
    by_key = {item.key: item.audio_sha256 for item in store.ledger(name)}
    return {clip.clip_id: by_key.get(clip.content_key, "") for clip in manifest}


def near_pairs(
    manifest: Manifest, fingerprints: Mapping[str, bytes], sounds: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the pairs of clip ids whose sound is nearly, but not exactly, the same.

    `fingerprints` are a store's, by content; `sounds` are the hashes of `sound_hashes`: what has
    the same content or the same decoded sound is told by them.
    """
    clip_ids: dict[str, list[str]] = {}
    for clip in manifest:
        clip_ids.setdefault(clip.content_key, []).append(clip.clip_id)
    return [
        (one, other)
        for first, second, _ in find_near_identical(
            {key: fingerprints[key] for key in clip_ids if key in fingerprints}
        )
        for one in clip_ids[first]
        for other in clip_ids[second]
        if sounds[one] != sounds[other]
    ]


def count_without_fingerprint(manifest: Manifest, fingerprints: Mapping[str, bytes]) -> int:
    """Return of how many clips the sound was never compared: imported, or of an older store."""
    return sum(clip.content_key not in fingerprints for clip in manifest if not clip.fault)
