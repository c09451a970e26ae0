"""Several corpora in one manifest."""

from __future__ import annotations

from msgspec.structs import replace

from affectus.errors import ManifestError
from affectus.manifest import Clip, Manifest

_LISTED = 3


def append_clips(manifest: Manifest, new: Manifest, place: object = "manifest") -> Manifest:
    """Return the manifest with the new clips behind its own, and notes on what was there already.

    A clip that is there with the same content is passed over: it keeps its place and its path,
    unless only the new path exists. So the same import twice changes nothing.

    Raises ManifestError, naming the clips, where an id is there with other content.
    """
    there = {clip.clip_id: clip for clip in manifest}
    changed = [
        _difference(there[clip.clip_id], clip)
        for clip in new
        if clip.clip_id in there and not _same(there[clip.clip_id], clip)
    ]
    if changed:
        more = f" and {len(changed) - _LISTED:,} more" if len(changed) > _LISTED else ""
        raise ManifestError(
            f"{place}: {len(changed):,} of the clips are there already with other content "
            f"({'; '.join(changed[:_LISTED])}{more}); expected new clips, or the same ones. Give a "
            f"corpus of your own another name (--name), or write a new manifest without --append."
        )
    moved = {
        clip.clip_id: clip.file
        for clip in new
        if clip.clip_id in there
        and clip.file != there[clip.clip_id].file
        and not there[clip.clip_id].path.exists()
    }
    old = tuple(replace(c, file=moved[c.clip_id]) if c.clip_id in moved else c for c in manifest)
    added = tuple(clip for clip in new if clip.clip_id not in there)
    notes = list(new.notes)
    if len(added) < len(new):
        notes.append(
            f"{len(new) - len(added):,} of {len(new):,} clips were in {place} already, and the same"
        )
    known = set(manifest.speakers)
    again = sorted({clip.speaker for clip in added if clip.speaker in known})
    if again:
        more = f" and {len(again) - _LISTED:,} more" if len(again) > _LISTED else ""
        notes.append(
            f"{len(again):,} speakers were in {place} already and count as the same people "
            f"({', '.join(again[:_LISTED])}{more}). If they are others, give this corpus another "
            f"name: --name."
        )
    return Manifest(old + added, tuple(notes))


def _same(one: Clip, other: Clip) -> bool:
    """Whether two clips say the same, wherever their files lie."""
    return replace(one, file=other.file) == other


def _difference(one: Clip, other: Clip) -> str:
    """Say which is the first field that two clips of one id differ in."""
    for name in one.__struct_fields__:
        before, now = getattr(one, name), getattr(other, name)
        if name != "file" and before != now:
            if name == "sha256":
                return f"{one.clip_id}: the file's bytes are others"
            return f"{one.clip_id}: {name} was '{before or ''}', is '{now or ''}'"
    return one.clip_id
