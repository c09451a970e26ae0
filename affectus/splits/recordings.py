"""Which clips are of one recording, and which speakers cannot be told apart because of it."""

from __future__ import annotations

from collections.abc import Sequence

from affectus.manifest import Clip, natural_key


def group_recordings(clips: Sequence[Clip]) -> list[int]:
    """Return, for each clip, the place of the first clip of its recording.

    Clips are of one recording if they are (stretches of) one file, if they share a take, or if one
    is the take of the other, as a noisy copy names what it was made from; also through others.
    """
    files = [clip.sha256 or clip.file or clip.clip_id for clip in clips]
    first_of = dict(zip(reversed(files), range(len(files) - 1, -1, -1), strict=True))
    root = [first_of[file] for file in files]
    named = {clip.take for clip in clips if clip.take}
    takes: dict[str, int] = {}
    for place, clip in enumerate(clips if named else ()):
        if clip.take:
            _join(root, place, takes.setdefault(clip.take, place))
        if clip.clip_id in named:
            _join(root, place, takes.setdefault(clip.clip_id, place))
    for place, first in enumerate(root):  # a root stands before what it is the root of
        root[place] = root[first]
    return root


def group_speakers(clips: Sequence[Clip], recordings: Sequence[int]) -> list[list[str]]:
    """Return the speakers in natural order; those who share a recording are one group.

    They may be one person under two names. A group stands where its first speaker does.
    """
    # Natural order; names that count as equal in it ('1', '01') in the order of their letters.
    names = sorted({c.speaker for c in clips}, key=lambda name: (natural_key(name), name))
    place_of = {name: place for place, name in enumerate(names)}
    root = list(range(len(names)))
    first_of: dict[int, int] = {}
    for clip, recording in zip(clips, recordings, strict=True):
        speaker = place_of[clip.speaker]
        _join(root, speaker, first_of.setdefault(recording, speaker))
    groups: dict[int, list[str]] = {}
    for place, name in enumerate(names):
        groups.setdefault(_find(root, place), []).append(name)
    return list(groups.values())


def _find(root: list[int], place: int) -> int:
    while root[place] != place:
        root[place] = root[root[place]]
        place = root[place]
    return place


def _join(root: list[int], one: int, other: int) -> None:
    """Make two groups one; its root is the first place of both."""
    if one != other:
        first, second = _find(root, one), _find(root, other)
        root[max(first, second)] = min(first, second)
