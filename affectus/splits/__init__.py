"""Splits: which clip trains, which chooses, which judges. And the guard that keeps them apart.

Protocols are named and versioned in `protocols.toml`. Dev speakers are taken from the training
side, never from the test side, and are disjoint from both, but where a protocol says otherwise.
Clips of one recording (a file, stretches of it, its copies, the same take on film) stay together
under every protocol.
"""

from __future__ import annotations

from affectus.errors import SplitError
from affectus.manifest import Manifest
from affectus.splits.dealers import DEALERS
from affectus.splits.dealing import Dealing
from affectus.splits.guard import check_split, stamp_leaks
from affectus.splits.protocols import Protocol, find_protocol, list_protocols
from affectus.splits.recordings import group_recordings
from affectus.splits.split import SIDES, Split, read_splits, write_splits

__all__ = [
    "SIDES", "Protocol", "Split", "check_split", "find_protocol", "list_protocols", "make_splits",
    "read_splits", "stamp_leaks", "write_splits",
]  # fmt: skip


def make_splits(manifest: Manifest, protocol: str, *, seed: int = 0) -> tuple[Split, ...]:
    """Return one split for each fold of a named protocol.

    Clips with a fault or without an emotion belong to no side. Speakers go in natural order
    (ravdess:2 before ravdess:12), so folds need no seed. What is missing of a protocol's corpus,
    and what was left out to keep recordings apart, stands in each split's `text`; a fold with an
    empty side is dropped, and the others keep their numbers.

    Raises SplitError if a speaker-disjoint protocol meets clips without a speaker, too few
    speakers, or another corpus than it is for.
    """
    chosen = find_protocol(protocol)
    # Of all clips: two may be copies of a third that is itself not used.
    recordings = group_recordings(manifest.clips)
    usable = [
        (clip, recording)
        for clip, recording in zip(manifest.clips, recordings, strict=True)
        if clip.emotion is not None and not clip.fault
    ]
    if not usable:
        raise SplitError("the manifest has no clip with an emotion; expected some. Import again.")
    dealing = Dealing(chosen, [clip for clip, _ in usable], [group for _, group in usable], seed)
    folds = DEALERS[chosen.kind](dealing)
    return tuple(
        Split(
            fold=f"fold-{number}",
            train=sides["train"],
            dev=sides["dev"],
            test=sides["test"],
            protocol=chosen.name,
            version=chosen.version,
            text="; ".join((chosen.text, *dealing.remarks)),
            leaky=chosen.leaky,
            seed=seed,
            manifest_sha256=manifest.sha256,
        )
        for number, sides in folds
    )
