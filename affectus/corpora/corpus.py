"""What a corpus reader is: a form, filled in by one file for each corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affectus.errors import CorpusError, LabelError, nearest
from affectus.manifest import Clip, Manifest, hash_file
from affectus.media import list_media

WHOLE = "whole"  # the one part of a corpus that has no parts


@dataclass(frozen=True)
class Ratings:
    """Which label a clip gets where a corpus has votes of raters, and whose votes.

    `label` is 'intended' (what the actor was told) or 'perceived' (what most raters chose).
    `raters` heard the voice, saw the face, or both; None takes those of what the file holds.
    """

    label: str = "intended"
    raters: str | None = None


@dataclass(frozen=True)
class Corpus:
    """A published corpus: where it comes from, what it should hold, how its files are read.

    `read_clip` turns one file into a clip or raises LabelError with the fault of its name.
    `list_names` gives the published file names of a part, with their folders; none where the names
    are not known (`names_known`), but only how many they are.

    `parts` groups the kinds of file that are alternatives: each row holds the same performances,
    the first of a row is read where nothing else is asked for. `find_part` says which part a clip
    is of. `add_tables` adds what lies in the corpus's own tables: people, votes.

    `unmapped` are labels that are none of our emotions, and what they mean: such clips are kept
    without an emotion. `cautions` are clips known to be faulty, and how.
    """

    name: str
    title: str
    citation: str
    licence: str
    url: str
    layout: str
    language: str
    n_speakers: int
    n_clips: int
    read_clip: Callable[[Path], Clip]
    list_names: Callable[[str], Iterable[str]]
    names_known: bool = True
    parts: tuple[tuple[str, ...], ...] = ((WHOLE,),)
    find_part: Callable[[Clip], str] = lambda clip: WHOLE
    add_tables: Callable[[Manifest, Path, Ratings], Manifest] | None = None
    unmapped: Mapping[str, str] = field(default_factory=dict)
    cautions: Mapping[str, str] = field(default_factory=dict)

    def expected(self, manifest: Manifest) -> tuple[Clip, ...]:
        """Return the published clips, for the parts that a manifest has any of.

        Their `file` is the published name. Empty where the names are not known.
        """
        parts = self._present(manifest)
        names = (name for part in sorted(parts) for name in self.list_names(part))
        return tuple(self.read_clip(Path(name)) for name in names)

    def n_expected(self, manifest: Manifest) -> int:
        """Return how many clips the parts hold that a manifest has any of, names known or not."""
        if self.names_known:
            return sum(1 for part in self._present(manifest) for _ in self.list_names(part))
        return self.n_clips if self._present(manifest) else 0

    def _present(self, manifest: Manifest) -> set[str]:
        found = set()
        for clip in manifest:
            if clip.corpus == self.name and not clip.fault:
                try:  # a user's table may name any file as of this corpus
                    found.add(self.find_part(self.read_clip(clip.path)))
                except LabelError:
                    continue
        return found


def read_corpus(
    corpus: Corpus,
    folder: Path,
    parts: Sequence[str] | None = None,
    ratings: Ratings = Ratings(),
) -> Manifest:
    """Read every media file below `folder`, at any depth, in the order of clip ids.

    A file whose name is not the corpus's stays in the manifest with its `fault`. A second file of
    the same clip is passed over where its bytes are the same (a nested second copy), and kept as
    a fault where they differ. `parts` names the parts that are wanted; without it each performance
    is taken once, see `Corpus.parts`. What was passed over stands in the manifest's notes.

    Raises CorpusError if the folder holds no file of the corpus, or for a part or rating that the
    corpus does not have.
    """
    _expect_ratings(corpus, ratings)
    wanted = _expect_parts(corpus, parts)
    files = list_media(folder)
    root = folder.absolute()  # as the files' paths are
    clips: dict[str, Clip] = {}
    faults: list[Clip] = []
    n_copies = 0
    for path in files:
        try:
            clip = corpus.read_clip(path)
        except LabelError as error:
            faults.append(_faulty(corpus, path, root, error.message))
            continue
        first = clips.setdefault(clip.clip_id, clip)
        if first is clip:
            continue
        if _same_bytes(first.path, path):
            n_copies += 1
        else:
            text = f"second file of {clip.clip_id} with other bytes than {first.path.name}"
            faults.append(_faulty(corpus, path, root, text))
    if not clips:
        found = f"{len(files)} media files, none with a name of {corpus.title}"
        if files:
            found += f" (the first is '{files[0].name}')"
        raise CorpusError(
            f"{folder}: {found}; expected {corpus.layout}. Give the folder that holds them."
        )
    kept, notes = _choose_parts(corpus, tuple(clips.values()), wanted, folder)
    if n_copies:
        notes.append(f"{n_copies:,} second copies with the same name and bytes were passed over")
    kept.sort(key=lambda clip: clip.clip_id)
    faults.sort(key=lambda clip: clip.clip_id)
    notes += _describe_labels(corpus, kept)
    manifest = Manifest((*kept, *faults), tuple(notes))
    return corpus.add_tables(manifest, folder, ratings) if corpus.add_tables else manifest


def choose_field(value: str, known: Mapping[str, str], what: str, name: str) -> str:
    """Return what a code in a file name stands for, or raise LabelError naming the field."""
    if value not in known:
        raise LabelError(f"name '{name}': {what} is '{value}'; expected {_span(known)}")
    return known[value]


def _span(codes: Iterable[str]) -> str:
    ordered = sorted(codes)
    return f"{ordered[0]} to {ordered[-1]}" if len(ordered) > 3 else " or ".join(ordered)


def _expect_ratings(corpus: Corpus, ratings: Ratings) -> None:
    known = (("label", ratings.label, ("intended", "perceived")),
             ("raters", ratings.raters, ("voice", "face", "both", None)))  # fmt: skip
    for what, value, choices in known:
        if value not in choices:
            names = [choice for choice in choices if choice]
            raise CorpusError(
                f"{what} is '{value}'; expected {' or '.join(names)}.{nearest(str(value), names)}"
            )
    if ratings != Ratings() and corpus.add_tables is None:
        raise CorpusError(
            f"{corpus.name}: has no votes of raters; expected the intended label. Leave --label "
            f"and --raters out."
        )


def _expect_parts(corpus: Corpus, parts: Sequence[str] | None) -> Sequence[str]:
    known = [part for row in corpus.parts for part in row]
    for part in parts or ():
        if part not in known:
            raise CorpusError(f"{corpus.name}: no part '{part}'; expected {', '.join(known)}."
                              f"{nearest(part, known)}")  # fmt: skip
    return parts or ()


def _choose_parts(
    corpus: Corpus, clips: Sequence[Clip], wanted: Sequence[str], folder: Path
) -> tuple[list[Clip], list[str]]:
    """Return the clips of the wanted parts, and what there is to say about the others."""
    part_of = {clip.clip_id: corpus.find_part(clip) for clip in clips}
    counts = Counter(part_of.values())
    # Without a wish, the first part that is there of each row: every performance once.
    firsts = [next((part for part in row if counts[part]), "") for row in corpus.parts]
    chosen = [part for part in (wanted or firsts) if counts[part]]
    if not chosen:
        raise CorpusError(f"{folder}: nothing of part {', '.join(wanted)}; it holds "
                          f"{_counted(counts, counts)}. Ask for another part.")  # fmt: skip
    notes = []
    over = [part for row in corpus.parts for part in row if counts[part] and part not in chosen]
    kept = [clip for clip in clips if part_of[clip.clip_id] in chosen]
    if over:
        why = "not asked for" if wanted else "other forms of the same performances"
        takes = {clip.take for clip in kept}
        n_alone = sum(clip.take not in takes for clip in clips if part_of[clip.clip_id] in over)
        if n_alone and not wanted:
            why += f", but {n_alone:,} are of performances that the files taken do not hold"
        notes.append(
            f"{_counted(over, counts)} files were passed over ({why}); to have them: --parts "
            f"{','.join([*chosen, *over])}"
        )
    if len(chosen) > 1 and not wanted:
        notes.append(f"{_counted(chosen, counts)} files were taken; to have one part only: --parts "
                     f"{chosen[0]}")  # fmt: skip
    return kept, notes


def _counted(parts: Iterable[str], counts: Mapping[str, int]) -> str:
    return " and ".join(f"{counts[part]:,} {part}" for part in parts)


def _describe_labels(corpus: Corpus, clips: Sequence[Clip]) -> list[str]:
    """Say which labels have no emotion of ours, and which clips are known to be faulty."""
    notes = []
    for label, meaning in corpus.unmapped.items():
        n = sum(clip.source_label == label for clip in clips)
        if n:
            notes.append(f"{n:,} clips are {meaning} ('{label}'), none of our emotions: kept "
                         f"without an emotion, never trained on")  # fmt: skip
    known = {clip.clip_id: clip for clip in clips}
    notes += [
        f"known to be faulty: {clip_id} ({fault})"
        for clip_id, fault in corpus.cautions.items()
        if clip_id in known
    ]
    return notes


def _same_bytes(first: Path, second: Path) -> bool:
    try:
        return hash_file(first) == hash_file(second)
    except OSError:  # a link to nowhere; `with_hashes` says so of the first
        return False


def _faulty(corpus: Corpus, path: Path, folder: Path, fault: str) -> Clip:
    return Clip(
        clip_id=f"{corpus.name}/{path.relative_to(folder).as_posix()}",
        corpus=corpus.name,
        file=str(path),
        language=corpus.language,
        fault=fault,
    )
