"""The clips that a protocol deals onto sides, and what every way of dealing needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from affectus.errors import SplitError
from affectus.manifest import Clip
from affectus.splits.protocols import Protocol
from affectus.splits.recordings import group_speakers
from affectus.splits.split import SIDES

Sides = dict[str, tuple[str, ...]]  # clip ids by side
Folds = list[tuple[int, Sides]]  # with the number that the protocol gives each

_LISTED = 8  # names in a message


@dataclass
class Dealing:
    """The clips to deal, the recording that each is of (a number), and by what protocol.

    `remarks` say what a reader must know of these clips: who is missing, what was left out.
    """

    protocol: Protocol
    clips: Sequence[Clip]
    recordings: Sequence[int]
    seed: int
    remarks: list[str] = field(default_factory=list)

    def speakers(self) -> list[list[str]]:
        """Return the speakers in natural order, in groups that share no recording.

        Raises SplitError for clips without a speaker.
        """
        unknown = [clip.clip_id for clip in self.clips if not clip.speaker]
        if unknown:
            raise SplitError(
                f"{len(unknown):,} clips have no speaker (the first: {unknown[0]}); "
                f"'{self.protocol.name}' expected one each. Add a speaker column, or take a random "
                f"protocol, which is leaky."
            )
        return group_speakers(self.clips, self.recordings)

    def expect_speakers(self, groups: Sequence[list[str]], n_folds: int, n_dev: int) -> None:
        """Refuse fewer speakers than fill the folds, or the sides of one fold."""
        n = len(groups)
        if n_folds <= n and n - -(-n // n_folds) - n_dev >= 1:
            return
        found = f"{n} speakers"
        together = next((group for group in groups if len(group) > 1), None)
        if together:
            found = (
                f"{sum(map(len, groups))} speakers, {n} if those who share recordings count as one "
                f"({name_some(together)})"
            )
        raise SplitError(
            f"{found}; '{self.protocol.name}' expected at least {max(n_folds, n_dev + 2)}, to fill "
            f"test, dev ({n_dev}) and train. Take another protocol: affectus split --list"
        )

    def expect_corpus(self) -> None:
        """Refuse clips of other corpora than the protocol is for."""
        corpus, counts = self.protocol.corpus, Counter(clip.corpus for clip in self.clips)
        others = [f"{counts[name]:,} clips of {name}" for name in sorted(counts) if name != corpus]
        if others:
            raise SplitError(
                f"the manifest holds {name_some(others)}; '{self.protocol.name}' expected "
                f"{corpus} alone. Give that corpus's own manifest, or take another protocol: "
                f"affectus split --list"
            )

    def collect(self, sides: Sequence[str]) -> Sides:
        """Return the clip ids of each side, from the side of each clip ('' for none)."""
        ids: dict[str, list[str]] = {name: [] for name in SIDES}
        for clip, side in zip(self.clips, sides, strict=True):
            if side:
                ids[side].append(clip.clip_id)
        return {name: tuple(found) for name, found in ids.items()}

    def collect_by_speaker(self, side_of: Mapping[str, str]) -> Sides:
        """Return the clip ids of each side, from the side of each speaker."""
        return self.collect([side_of[clip.speaker] for clip in self.clips])

    def collect_apart(self, number: int, sides: Sequence[str]) -> Sides:
        """Return the clip ids of each side of a fold; a recording on two sides stays on one.

        Test keeps it before dev, and dev before train: the other clips of it are left out.
        """
        keeps: dict[int, int] = {}
        ranks = {"test": 0, "dev": 1, "train": 2, "": 3}
        for side, recording in zip(sides, self.recordings, strict=True):
            keeps[recording] = min(ranks[side], keeps.get(recording, 3))
        kept = [
            side if ranks[side] == keeps[recording] else ""
            for side, recording in zip(sides, self.recordings, strict=True)
        ]
        n_out = sum(map(bool, sides)) - sum(map(bool, kept))
        if n_out:
            self.remarks.append(
                f"fold {number} leaves out {n_out:,} clips whose recording is on another side, too"
            )
        return self.collect(kept)

    def drop_empty(self, folds: Folds) -> Folds:
        """Drop the folds that have an empty side, and say so; refuse if none is left."""
        kept, dropped = [], []
        for number, sides in folds:
            empty = [side for side in SIDES if not sides[side]]
            if empty:
                dropped.append(f"fold {number} is dropped: no clips for {' and '.join(empty)}")
            else:
                kept.append((number, sides))
        if not kept:
            raise SplitError(
                f"'{self.protocol.name}': {'; '.join((*self.remarks, *dropped))}; expected clips "
                f"on every side of one fold at least. Complete the clips, or take another "
                f"protocol: affectus split --list"
            )
        self.remarks += dropped
        return kept


def name_some(names: Sequence[str]) -> str:
    """Return the first names of many, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
