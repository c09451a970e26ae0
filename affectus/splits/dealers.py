"""How each kind of protocol puts clips on sides: one function a kind, from a Dealing to folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import fsum

import numpy as np

from affectus.errors import SplitError
from affectus.manifest import natural_key
from affectus.splits.dealing import Dealing, Folds, name_some
from affectus.splits.protocols import parse_speakers
from affectus.splits.split import SIDES


def deal_sequence(dealing: Dealing) -> Folds:
    """Cut the speakers into folds, in order; dev are the first speakers after the test fold."""
    protocol, groups = dealing.protocol, dealing.speakers()
    n_folds, n_dev = protocol.folds or len(groups), int(protocol.n_dev)
    dealing.expect_speakers(groups, n_folds, n_dev)
    folds = [[groups[i] for i in f] for f in np.array_split(range(len(groups)), n_folds)]
    found = []
    for number, test in enumerate(folds):
        following = [group for fold in folds[number + 1 :] + folds[:number] for group in fold]
        sides = dealing.collect_by_speaker(_sides(groups, following[:n_dev], test))
        found.append((number + 1, sides))
    return found


def deal_grouped(dealing: Dealing) -> Folds:
    """Deal the speakers into folds that are alike in clips of each corpus and in all.

    The largest first, each to the fold where it makes the sum of squared shares, of the clips of
    each corpus and of all clips, grow least.
    """
    groups, n_folds = dealing.speakers(), dealing.protocol.folds
    dealing.expect_speakers(groups, n_folds, 1)
    corpus_of = _corpora(dealing)
    number_of = {name: number for number, group in enumerate(groups) for name in group}
    counts: list[Counter[str]] = [Counter() for _ in groups]
    for clip in dealing.clips:
        counts[number_of[clip.speaker]].update((clip.corpus, ""))  # '' counts all
    totals = sum(counts, Counter[str]())
    loads: list[Counter[str]] = [Counter() for _ in range(n_folds)]
    folds: list[list[int]] = [[] for _ in range(n_folds)]

    def growth(fold: int, own: Counter[str]) -> float:
        # fsum: the same to the last bit on every machine
        return fsum((2 * loads[fold][c] + n) * n / totals[c] ** 2 for c, n in own.items())

    for number in sorted(range(len(groups)), key=lambda number: (-counts[number][""], number)):
        chosen = min(range(n_folds), key=lambda fold: (growth(fold, counts[number]), fold))
        loads[chosen].update(counts[number])
        folds[chosen].append(number)
    found = []
    for place, fold in enumerate(folds):
        following = [groups[i] for i in sorted(folds[(place + 1) % n_folds])]
        # Every third, not second: where odd numbers are men, that would be all men or all women.
        dev = [g for part in _by_corpus(following, corpus_of) for g in part[1::3]]
        side_of = _sides(groups, dev or following[:1], [groups[i] for i in fold])
        found.append((place + 1, dealing.collect_by_speaker(side_of)))
    return found


def deal_corpora(dealing: Dealing) -> Folds:
    """Test each corpus; of each of the others, every ninth speaker is dev.

    Speakers who are in the tested corpus, too, or share a recording with it, are left out.
    """
    groups = dealing.speakers()
    corpora = sorted({clip.corpus for clip in dealing.clips})
    if len(corpora) < 2:
        raise SplitError(
            f"one corpus ({corpora[0]}); '{dealing.protocol.name}' expected two or more. Import "
            f"others, too, or take another protocol: affectus split --list"
        )
    corpus_of = _corpora(dealing)
    found = []
    for number, tested in enumerate(corpora, 1):
        heard = {clip.speaker for clip in dealing.clips if clip.corpus == tested}
        free = [group for group in groups if heard.isdisjoint(group)]
        parts = _by_corpus(free, corpus_of)
        dev = [group for part in parts for group in part[8::9]]
        side_of = _sides(free, dev or max(parts, key=len, default=[])[:1], [])
        sides = [
            "test" if clip.corpus == tested else side_of.get(clip.speaker, "")
            for clip in dealing.clips
        ]
        if "" in sides:
            dealing.remarks.append(
                f"fold {number} leaves out {sides.count(''):,} clips whose speaker or recording is "
                f"in {tested}, too"
            )
        found.append((number, dealing.collect(sides)))
    tests = ", ".join(f"{number} {name}" for number, name in enumerate(corpora, 1))
    dealing.remarks.insert(0, f"the folds test {tests}")
    return dealing.drop_empty(found)


def deal_listed(dealing: Dealing) -> Folds:
    """Test the speakers that the protocol names; say who of its corpus is missing."""
    protocol = dealing.protocol
    dealing.expect_corpus()
    dealing.speakers()  # or refuse clips without one
    name_of = {clip.speaker: _plain(clip.speaker) for clip in dealing.clips}
    known, present = parse_speakers(protocol.speakers), set(name_of.values())
    strange = sorted((s for s, name in name_of.items() if name not in known), key=natural_key)
    if strange:
        raise SplitError(
            f"speakers {name_some(strange)}: not of {protocol.corpus}; '{protocol.name}' expected "
            f"{protocol.speakers}. Correct the table, or take another protocol: affectus split "
            f"--list"
        )
    missing = [name for name in parse_speakers(protocol.speakers) if name not in present]
    if missing:
        dealing.remarks.append(
            f"INCOMPLETE: {len(missing)} of the {len(known)} speakers have no clips "
            f"({name_some(missing)})"
        )
    found = []
    for number, (test, dev) in enumerate(zip(protocol.test, protocol.dev, strict=True), 1):
        side_of = dict.fromkeys(known, "train")
        side_of |= dict.fromkeys(parse_speakers(dev), "dev")
        side_of |= dict.fromkeys(parse_speakers(test), "test")
        sides = [side_of[name_of[clip.speaker]] for clip in dealing.clips]
        found.append((number, dealing.collect_apart(number, sides)))
    return dealing.drop_empty(found)


def deal_crossed(dealing: Dealing) -> Folds:
    """Train on one of two speakers and test the other; dev are words of the training speaker."""
    dealing.expect_corpus()
    dealing.speakers()  # or refuse clips without one
    speakers = sorted({clip.speaker for clip in dealing.clips}, key=natural_key)
    if len(speakers) != 2:
        raise SplitError(
            f"{len(speakers)} speakers ({name_some(speakers)}); '{dealing.protocol.name}' expected "
            f"two, one to train on and one to test. Take another protocol: affectus split --list"
        )
    found = []
    for number, tested in enumerate(speakers, 1):
        words = {clip.sentence for clip in dealing.clips if clip.speaker != tested}
        if len(words) < 2:
            raise SplitError(
                f"all clips of one speaker have the sentence '{min(words)}'; "
                f"'{dealing.protocol.name}' expected the word of each clip. Import again."
            )
        dev = set(sorted(words, key=lambda word: (natural_key(word), word))[::10])
        sides = [
            "test" if clip.speaker == tested else "dev" if clip.sentence in dev else "train"
            for clip in dealing.clips
        ]
        found.append((number, dealing.collect_apart(number, sides)))
    return dealing.drop_empty(found)


def deal_random(dealing: Dealing) -> Folds:
    """Deal clips of each emotion in turn into folds, and a share of the others to dev.

    Further clips of a recording follow the one that is dealt first.
    """
    clips, n_folds = dealing.clips, dealing.protocol.folds
    rng = np.random.default_rng(dealing.seed)
    order = [int(place) for place in rng.permutation(len(clips))]
    order.sort(key=lambda place: clips[place].emotion or "")  # stable: random within an emotion
    leader: dict[int, int] = {}  # by recording
    for place in order:
        leader.setdefault(dealing.recordings[place], place)
    leads = [leader[recording] for recording in dealing.recordings]
    fold_of = {place: turn % n_folds for turn, place in enumerate(order)}
    found = []
    for fold in range(n_folds):
        rest = [place for place in order if fold_of[place] != fold]
        dev = set(rest[:: round(1 / dealing.protocol.n_dev)])
        sides = [
            "test" if fold_of[lead] == fold else "dev" if lead in dev else "train" for lead in leads
        ]
        found.append((fold + 1, dealing.collect(sides)))
    return found


def take_own(dealing: Dealing) -> Folds:
    """Take the sides that the clips have; whether they leak is for the guard to say."""
    counts = Counter(clip.split for clip in dealing.clips)
    strange = next((clip for clip in dealing.clips if clip.split not in (*SIDES, "")), None)
    if strange:
        raise SplitError(
            f"clip '{strange.clip_id}': split is '{strange.split}'; expected train, dev or test. "
            f"Correct column 'split' of the table and import again."
        )
    empty = [side for side in SIDES if not counts[side]]
    if empty:
        numbers = ", ".join(f"{counts[side]:,} {side}" for side in SIDES)
        raise SplitError(
            f"the table's own sides hold {numbers} clips; expected some on each. Write "
            f"'{empty[0]}' in column 'split' for all clips of some speakers, and import again."
        )
    if counts[""]:
        dealing.remarks.append(f"{counts['']:,} clips are on no side")
    return [(1, dealing.collect([clip.split for clip in dealing.clips]))]


DEALERS: Mapping[str, Callable[[Dealing], Folds]] = {
    "sequence": deal_sequence,
    "listed": deal_listed,
    "grouped": deal_grouped,
    "corpus": deal_corpora,
    "crossed": deal_crossed,
    "random": deal_random,
    "own": take_own,
}


def _sides(
    groups: Sequence[Sequence[str]], dev: Sequence[Sequence[str]], test: Sequence[Sequence[str]]
) -> dict[str, str]:
    """Return the side of each speaker."""
    side_of = {name: "train" for group in groups for name in group}
    side_of |= {name: "dev" for group in dev for name in group}
    side_of |= {name: "test" for group in test for name in group}
    return side_of


def _corpora(dealing: Dealing) -> dict[str, str]:
    """Return the corpus of each speaker."""
    return {clip.speaker: clip.corpus for clip in dealing.clips}


def _by_corpus(groups: Sequence[list[str]], corpus_of: Mapping[str, str]) -> list[list[list[str]]]:
    """Part groups of speakers by corpus; one of several corpora counts as of the first's."""
    parts: dict[str, list[list[str]]] = {}
    for group in groups:
        parts.setdefault(corpus_of[group[0]], []).append(group)
    return list(parts.values())


def _plain(speaker: str) -> str:
    """Return a speaker's name as protocols have it: '1' of 'ravdess:01', 'dc' of 'savee:DC'."""
    (name,) = parse_speakers(speaker.rpartition(":")[2]) or ("",)
    return name
