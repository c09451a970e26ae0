"""How the study divides clips: as the package does, and as the careless do."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from affectus.errors import SplitError
from affectus.splits import Split, check_split, make_splits
from experiments.leaks.data import Clips

N_FOLDS, N_DEV = 5, 10  # folds; one of so many of the clips that do not test is dev


def by_name(protocol: str, clips: Clips) -> tuple[Split, ...]:
    """Return the folds of a named protocol."""
    return make_splits(clips.manifest, protocol)


def at_random(clips: Clips) -> tuple[Split, ...]:
    """Deal rows at random into five folds, whoever speaks and whatever they are copies of."""
    ids = [clip.clip_id for clip in clips.manifest]
    order = np.random.default_rng(0).permutation(len(ids)).tolist()
    folds = []
    for number in range(N_FOLDS):
        test = order[number::N_FOLDS]
        rest = [place for place in order if place not in set(test)]
        sides = (
            [place for turn, place in enumerate(rest) if turn % N_DEV],
            rest[::N_DEV],
            test,
        )
        train, dev, tested = (tuple(ids[place] for place in side) for side in sides)
        folds.append(
            Split(
                fold=f"fold-{number + 1}",
                train=train,
                dev=dev,
                test=tested,
                protocol="own",
                version=1,
                text="rows dealt at random",
                leaky=False,
                seed=0,
                manifest_sha256=clips.manifest.sha256,
            )
        )
    return tuple(folds)


def with_copies_of_training(clips: Clips, protocol: str) -> tuple[Split, ...]:
    """Divide the recordings by a named protocol; copies go along with what they were made from.

    This is how copies ought to be made: of training clips alone.
    """
    copies: dict[str, list[str]] = {}
    for clip in clips.manifest:
        stem, _, kind = clip.clip_id.rpartition("-")
        if kind in ("noisy", "faster"):
            copies.setdefault(stem, []).append(clip.clip_id)
    originals = clips.manifest.filter(lambda clip: not clip.clip_id.endswith(("-noisy", "-faster")))
    return tuple(
        replace(
            split,
            train=(*split.train, *(copy for one in split.train for copy in copies[one])),
            manifest_sha256=clips.manifest.sha256,
        )
        for split in make_splits(originals, protocol)
    )


def choosing_on_test(splits: tuple[Split, ...]) -> tuple[Split, ...]:
    """Make each fold's test side its dev side, too: what is chosen is chosen by the answer."""
    return tuple(replace(split, dev=split.test, protocol="own") for split in splits)


def ask_guard(clips: Clips, split: Split) -> str:
    """Return what the guard says of a fold that nobody asked to be leaky; '': nothing.

    Without the names of clips and speakers, and of the test side alone. A named protocol that is
    leaky is stamped by its name.
    """
    if split.leaky:
        return "stamped by the protocol's name"
    try:
        check_split(clips.manifest, split, audio=clips.audio, near=clips.near)
    except SplitError as error:
        return (
            f"refused: {shorten(error.args[0])}"  # all of it: what is shown of a long one is less
        )
    return ""


def shorten(message: str) -> str:
    """Return the first and the last leak of a message that reach the test side, without names."""
    leaks = message.partition(": ")[2].partition("; expected none")[0].split("; ")
    worst = [leak for leak in leaks if "train and test" in leak] or [
        leak for leak in leaks if "dev and test" in leak
    ]
    return "; ".join(
        re.sub(r" \([^)]*\)", "", leak) for leak in dict.fromkeys([worst[0], worst[-1]])
    )
