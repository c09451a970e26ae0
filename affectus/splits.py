"""Splits: which clip trains, which chooses, which judges. And the guard that keeps them apart.

Protocols are named and versioned in `protocols.toml`. Dev speakers are taken from the training
side, never from the test side, and are disjoint from both.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from affectus.errors import SplitError, nearest
from affectus.manifest import Clip, Manifest, natural_key

SIDES = ("train", "dev", "test")


@dataclass(frozen=True)
class Protocol:
    """One entry of protocols.toml; see there."""

    name: str
    version: int
    speakers: bool
    folds: int
    n_dev: float
    text: str

    @property
    def leaky(self) -> bool:
        """Whether speakers are on both sides by design."""
        return not self.speakers


@dataclass(frozen=True)
class Split:
    """One fold: the clip ids of each side, and where they come from.

    `protocol` is a name of protocols.toml, or 'own' for a split made elsewhere. `seed` matters to
    random protocols only.
    """

    fold: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    protocol: str
    version: int
    text: str
    leaky: bool
    seed: int
    manifest_sha256: str

    def side(self, name: str) -> tuple[str, ...]:
        """Return the clip ids of a side."""
        ids: tuple[str, ...] = getattr(self, name)
        return ids


class _SplitsFile(msgspec.Struct):
    """What splits are written as."""

    version: int
    folds: tuple[Split, ...]


def list_protocols() -> tuple[Protocol, ...]:
    """Return the named protocols."""
    return tuple(_protocols().values())


def find_protocol(name: str) -> Protocol:
    """Return a protocol, or raise SplitError with the known names and the nearest."""
    known = _protocols()
    if name not in known:
        raise SplitError(
            f"no protocol '{name}'; known protocols: {', '.join(known)}.{nearest(name, known)}"
        )
    return known[name]


def make_splits(manifest: Manifest, protocol: str, *, seed: int = 0) -> tuple[Split, ...]:
    """Return one split for each fold of a named protocol.

    Clips with a fault or without an emotion belong to no side. Speakers go in natural order
    (ravdess:2 before ravdess:12), so folds need no seed.

    Raises SplitError if a speaker-disjoint protocol meets clips without a speaker, or too few
    speakers.
    """
    chosen = find_protocol(protocol)
    clips = [clip for clip in manifest if clip.emotion is not None and not clip.fault]
    if not clips:
        raise SplitError("the manifest has no clip with an emotion; expected some. Import again.")
    if chosen.speakers:
        sides = _by_speaker(clips, chosen)
    else:
        sides = _at_random(clips, chosen, seed)
    return tuple(
        Split(
            fold=f"fold-{number}",
            protocol=chosen.name,
            version=chosen.version,
            text=chosen.text,
            leaky=chosen.leaky,
            seed=seed,
            manifest_sha256=manifest.sha256,
            **ids,
        )
        for number, ids in enumerate(sides, 1)
    )


def check_split(
    manifest: Manifest,
    split: Split,
    *,
    audio: Mapping[str, str] | None = None,
    allow_leak: bool = False,
) -> tuple[str, ...]:
    """Refuse a split in which a speaker or a recording is on two sides, or may be.

    Recordings are told by the hash of their file, also where clips are stretches of one, and by
    `audio`, a hash of the decoded sound by clip id, where it is given. A clip without a speaker
    may be anybody's. Returns the leaks in words: none, unless the protocol is leaky by its own
    name or `allow_leak`.

    Raises SplitError naming what is shared, a clip that is not in the manifest, an empty side, or
    another manifest than the split was made from.
    """
    clips = {clip.clip_id: clip for clip in manifest}
    sides: dict[str, list[Clip]] = {}
    for name in SIDES:
        for clip_id in split.side(name):
            if clip_id not in clips:
                raise SplitError(
                    f"{split.fold}: clip '{clip_id}' is not in the manifest; expected the one the "
                    f"split was made from. Make the split again: affectus split"
                )
        sides[name] = [clips[clip_id] for clip_id in split.side(name)]
        if not sides[name]:
            raise SplitError(f"{split.fold}: no clips in {name}; expected some on every side.")
    if split.manifest_sha256 and split.manifest_sha256 != manifest.sha256:
        raise SplitError(
            f"{split.fold}: made from another manifest ({split.manifest_sha256[:12]}…, this one is "
            f"{manifest.sha256[:12]}…); expected the same labels, speakers and files. Make the "
            f"split again: affectus split"
        )
    leaks = _shared(sides, lambda clip: clip.speaker, "speaker")
    leaks += _shared(sides, lambda clip: clip.sha256 or clip.clip_id, "recording")
    heard = audio or {}
    leaks += _shared(sides, lambda clip: heard.get(clip.clip_id, ""), "sound")
    nobody = [c.clip_id for side in sides.values() for c in side if not c.speaker]
    if nobody:
        leaks.append(f"{len(nobody):,} clips without a speaker (the first: {nobody[0]})")
    if leaks and not (split.leaky or allow_leak):
        raise SplitError(
            f"{split.fold}: {'; '.join(leaks)}; expected none. Use a protocol of "
            f"'affectus split --list', or --allow-leak to run it stamped as leaky."
        )
    return tuple(leaks)


def write_splits(splits: Sequence[Split], path: Path | str) -> None:
    """Write splits as JSON, complete or not at all."""
    text = json.dumps({"version": 1, "folds": [asdict(split) for split in splits]}, indent=1)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def read_splits(path: Path | str) -> tuple[Split, ...]:
    """Read splits written by `write_splits`, or made by hand in the same form.

    Raises SplitError with the place of the first fault.
    """
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_SplitsFile)
    except OSError as error:
        raise SplitError(f"{path}: {error.strerror}; expected splits in JSON.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SplitError(f"{path}: {error}; expected splits as 'affectus split' writes.") from None
    if found.version != 1:
        raise SplitError(
            f"{path}: version {found.version}; expected 1. Use the Affectus that made it."
        )
    names = Counter(split.fold for split in found.folds)  # each is the name of a folder in a run
    for name, count in names.items():
        if count > 1 or not name or "/" in name or name.startswith("."):
            raise SplitError(
                f"{path}: {count} folds are called '{name}'; expected plain names, each once."
            )
    if not names:
        raise SplitError(f"{path}: no folds; expected one or more.")
    return found.folds


@cache
def _protocols() -> dict[str, Protocol]:
    text = files("affectus").joinpath("protocols.toml").read_text(encoding="utf-8")
    return {name: Protocol(name, **entry) for name, entry in tomllib.loads(text).items()}


def _by_speaker(clips: Sequence[Clip], protocol: Protocol) -> list[dict[str, tuple[str, ...]]]:
    unknown = [clip.clip_id for clip in clips if not clip.speaker]
    if unknown:
        raise SplitError(
            f"{len(unknown):,} clips have no speaker (the first: {unknown[0]}); '{protocol.name}' "
            f"expected one each. Add a speaker column, or take a random protocol, which is leaky."
        )
    # Natural order; names that count as equal in it ('1', '01') in the order of their letters.
    speakers = sorted({c.speaker for c in clips}, key=lambda name: (natural_key(name), name))
    n_folds = protocol.folds or len(speakers)
    n_dev = int(protocol.n_dev)
    smallest_rest = len(speakers) - -(-len(speakers) // n_folds) - n_dev
    if len(speakers) < n_folds or smallest_rest < 1:
        raise SplitError(
            f"{len(speakers)} speakers; '{protocol.name}' expected at least "
            f"{max(n_folds, n_dev + 2)}, to fill test, dev ({n_dev}) and train. "
            f"Take another protocol: affectus split --list"
        )
    folds = [[speakers[i] for i in f] for f in np.array_split(range(len(speakers)), n_folds)]
    sides = []
    for number, test in enumerate(folds):
        following = [s for fold in folds[number + 1 :] + folds[:number] for s in fold]
        side = dict.fromkeys(speakers, "train")
        side.update(dict.fromkeys(test, "test"))
        side.update(dict.fromkeys(following[:n_dev], "dev"))
        sides.append(
            {name: tuple(c.clip_id for c in clips if side[c.speaker] == name) for name in SIDES}
        )
    return sides


def _at_random(
    clips: Sequence[Clip], protocol: Protocol, seed: int
) -> list[dict[str, tuple[str, ...]]]:
    """Deal clips of each emotion in turn into folds, and a share of the others to dev."""
    rng = np.random.default_rng(seed)
    order = [clips[i] for i in rng.permutation(len(clips))]
    order.sort(key=lambda clip: clip.emotion or "")  # stable: random within an emotion
    fold_of = {clip.clip_id: place % protocol.folds for place, clip in enumerate(order)}
    sides = []
    for fold in range(protocol.folds):
        rest = [clip.clip_id for clip in order if fold_of[clip.clip_id] != fold]
        dev = set(rest[:: round(1 / protocol.n_dev)])
        sides.append(
            {
                "train": tuple(c.clip_id for c in clips
                               if fold_of[c.clip_id] != fold and c.clip_id not in dev),
                "dev": tuple(c.clip_id for c in clips if c.clip_id in dev),
                "test": tuple(c.clip_id for c in clips if fold_of[c.clip_id] == fold),
            }
        )  # fmt: skip
    return sides


def _shared(sides: Mapping[str, Sequence[Clip]], trait: Any, what: str) -> list[str]:
    """Return, for each pair of sides, which traits (speakers, recordings) are on both."""
    found = {name: {trait(clip) for clip in clips} - {""} for name, clips in sides.items()}
    leaks = []
    for one, other in (("train", "test"), ("train", "dev"), ("dev", "test")):
        shared = sorted(found[one] & found[other])
        if not shared:
            continue
        if what == "speaker":
            names = ", ".join(shared[:4])
        else:
            clips = [c.clip_id for c in (*sides[one], *sides[other]) if trait(c) == shared[0]]
            names = " = ".join(clips[:4])
        more = f" and {len(shared) - 4} more" if len(shared) > 4 else ""
        plural = "" if len(shared) == 1 else "s"
        leaks.append(f"{len(shared)} {what}{plural} ({names}{more}) in both {one} and {other}")
    return leaks
