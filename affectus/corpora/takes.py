"""Copies and what they were made from: clips of one performance get one take."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from affectus.errors import ManifestError
from affectus.manifest import Clip

_LISTED = 3


def recording_of(clip: Clip) -> str:
    """Return the name of the recording that a clip is a stretch of: its id without the stretch."""
    whole = clip.start == 0.0 and clip.end is None
    return clip.clip_id if whole else clip.clip_id.rpartition("@")[0]


def fill_in_takes(clips: list[Clip], parents: Mapping[str, str], place: object) -> tuple[str, ...]:
    """Give each copy the take of what it was made from; a copy of a copy gets that of the first.

    `parents` says of which recording ('own/a.wav') another one is a copy. All clips of a recording
    with copies get the take, too: a noisy copy of the whole is related to each stretch. Changes
    `clips`.

    Returns a note on originals that are not among the clips. Raises ManifestError for copies that
    are made from each other.
    """
    roots = {name: _root(name, parents, place) for name in (*parents, *parents.values())}
    if not roots:
        return ()
    takes: dict[str, str] = {}  # that the table gives itself, by recording
    absent = set(parents.values())
    for clip in clips:
        recording = recording_of(clip)
        absent.discard(recording)
        if clip.take and recording in roots:
            takes.setdefault(recording, clip.take)
    for number, clip in enumerate(clips):
        root = roots.get(recording_of(clip))
        if root is not None and not clip.take:
            clips[number] = replace(clip, take=takes.get(root, root))
    if not absent:
        return ()
    more = f" and {len(absent) - _LISTED:,} more" if len(absent) > _LISTED else ""
    return (
        f"{len(absent):,} recordings that copies were made from are not in the table "
        f"({', '.join(sorted(absent)[:_LISTED])}{more}); the copies of each are kept together. If "
        f"a name is misspelt, correct it: a copy and its original must not be on two sides of a "
        f"split.",
    )


def _root(name: str, parent_of: Mapping[str, str], place: object) -> str:
    seen = [name]
    while name in parent_of:
        name = parent_of[name]
        if name in seen:
            raise ManifestError(
                f"{place}: {' is a copy of '.join([*seen, name])}; expected an original at the "
                f"end. Correct column 'parent'."
            )
        seen.append(name)
    return name
