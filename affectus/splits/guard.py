"""The leak guard: nobody and nothing of one side may be on another."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from affectus.errors import SplitError
from affectus.manifest import Manifest
from affectus.splits.protocols import list_protocols
from affectus.splits.recordings import group_recordings
from affectus.splits.split import SIDES, Split

_NAMED = 4  # of what is shared
_PAIRS = (("train", "test"), ("train", "dev"), ("dev", "test"))

Shared = dict[tuple[str, str], list[tuple[int, int]]]  # by pair of sides: places of two clips


def check_split(
    manifest: Manifest,
    split: Split,
    *,
    audio: Mapping[str, str] | None = None,
    near: Iterable[tuple[str, str]] = (),
    allow_leak: bool = False,
) -> tuple[str, ...]:
    """Refuse a split in which a speaker or a recording is on two sides, or may be.

    Recordings are told by the hash of their file, also where clips are stretches of one; by their
    take, which copies and the film of a sound share; by `audio`, a hash of the decoded sound by
    clip id; and by `near`, pairs of clips that sound alike. A clip without a speaker may be
    anybody's. Where a named protocol takes dev from the training speakers, these two sides may
    share speakers, and nothing else.

    Returns the leaks in words: none, unless the split is stamped as leaky or `allow_leak`.

    Raises SplitError naming what is shared, a clip that is not in the manifest, an empty side, or
    another manifest than the split was made from.
    """
    clips, sides = manifest.clips, _find_sides(manifest, split)
    takes = group_recordings(clips)
    speakers = _find_shared(sides, [clip.speaker for clip in clips])
    if _takes_dev_from_train(split):
        speakers["train", "dev"] = []
    files = _find_shared(sides, [clip.sha256 or clip.file or clip.clip_id for clip in clips])
    copies = _find_shared(sides, takes)
    for pair, found in copies.items():  # a file is a take as well, and has been told as a file
        told = {takes[one] for one, _ in files[pair]}
        copies[pair] = [(one, other) for one, other in found if takes[one] not in told]
    heard = [audio.get(clip.clip_id, "") for clip in clips] if audio else []
    sounds = _find_shared(sides, heard) if audio else {}
    leaks = [
        *_in_words(
            "speaker",
            {pair: [clips[one].speaker for one, _ in found] for pair, found in speakers.items()},
        ),
        *(
            text
            for what, shared in (("recording", files), ("take", copies), ("sound", sounds))
            for text in _in_words(
                what,
                {
                    pair: [f"{clips[one].clip_id} = {clips[other].clip_id}" for one, other in found]
                    for pair, found in shared.items()
                },
            )
        ),
        *_in_words("near-identical sound", _find_alike(split, near)),
    ]
    nobody = [clips[i].clip_id for places in sides.values() for i in places if not clips[i].speaker]
    if nobody:
        leaks.append(f"{len(nobody):,} clips without a speaker (the first: {nobody[0]})")
    if leaks and not (split.leaky or allow_leak):
        raise SplitError(
            f"{split.fold}: {'; '.join(leaks)}; expected none. Use a protocol of "
            f"'affectus split --list', or --allow-leak to run it stamped as leaky."
        )
    return tuple(leaks)


def stamp_leaks(split: Split, leaks: Sequence[str]) -> Split:
    """Return the split marked as leaky, with the leaks in its text; unchanged if there are none.

    Whatever is made with it says so.
    """
    if not leaks or split.leaky:
        return split
    return replace(split, leaky=True, text=f"LEAKY: {'; '.join(leaks)}; {split.text}")


def _find_sides(manifest: Manifest, split: Split) -> dict[str, list[int]]:
    """Return the places in the manifest of each side's clips; refuse what does not fit it."""
    ids = [clip.clip_id for clip in manifest.clips]
    place_of = dict(zip(ids, range(len(ids)), strict=True))
    sides: dict[str, list[int]] = {}
    for name in SIDES:
        try:
            sides[name] = [place_of[clip_id] for clip_id in split.side(name)]
        except KeyError as error:
            raise SplitError(
                f"{split.fold}: clip '{error.args[0]}' is not in the manifest; expected the one "
                f"the split was made from. Make the split again: affectus split"
            ) from None
        if not sides[name]:
            raise SplitError(f"{split.fold}: no clips in {name}; expected some on every side.")
    if split.manifest_sha256 and split.manifest_sha256 != manifest.sha256:
        raise SplitError(
            f"{split.fold}: made from another manifest ({split.manifest_sha256[:12]}…, this one is "
            f"{manifest.sha256[:12]}…); expected the same labels, speakers and files. Make the "
            f"split again: affectus split"
        )
    return sides


def _takes_dev_from_train(split: Split) -> bool:
    """Whether the split is by a named protocol whose dev side is of the training speakers."""
    return any(
        (known.name, known.version) == (split.protocol, split.version) and known.shares_dev
        for known in list_protocols()
    )


def _find_shared(sides: Mapping[str, Sequence[int]], of: Sequence[Hashable]) -> Shared:
    """Return, for each trait on two sides, a clip of either; `of` gives the trait by place."""
    traits = {name: {of[place] for place in places} - {""} for name, places in sides.items()}
    found: Shared = {}
    for pair in _PAIRS:
        both = traits[pair[0]] & traits[pair[1]]
        first, second = (
            {
                of[place]: place
                for place in reversed(sides[name] if both else ())
                if of[place] in both
            }
            for name in pair
        )
        found[pair] = sorted((first[trait], second[trait]) for trait in both)
    return found


def _find_alike(split: Split, near: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Return, for each pair of sides, the clips of `near` that are on both."""
    known = {tuple(sorted(pair)) for pair in near}
    named = {clip_id for pair in known for clip_id in pair}
    on = {name: named.intersection(split.side(name)) for name in SIDES}
    return {
        (one, other): [
            f"{a} ~ {b}"
            for a, b in sorted(known)
            if (a in on[one] and b in on[other]) or (b in on[one] and a in on[other])
        ]
        for one, other in _PAIRS
    }


def _in_words(what: str, names: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """Return a sentence for each pair of sides that share something."""
    texts = []
    for (one, other), shared in names.items():
        if shared:
            listed = ", ".join(shared[:_NAMED])
            more = f" and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
            plural = "" if len(shared) == 1 else "s"
            texts.append(
                f"{len(shared):,} {what}{plural} ({listed}{more}) in both {one} and {other}"
            )
    return texts
