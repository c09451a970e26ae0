"""What a corpus reader is: a form, filled in by one file for each corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from affectus.errors import CorpusError, LabelError
from affectus.manifest import Clip, Manifest, hash_file
from affectus.media import list_media


@dataclass(frozen=True)
class Corpus:
    """A published corpus: where it comes from, what it should hold, how its files are read.

    `read_clip` turns one file into a clip or raises LabelError with the fault of its name.
    `expected` lists the clips that the published corpus holds, for the parts (speech, song, video)
    that a manifest has any of; their `path` is the published file name.
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
    expected: Callable[[Manifest], tuple[Clip, ...]]


def read_corpus(corpus: Corpus, folder: Path) -> Manifest:
    """Read every media file below `folder`, at any depth, in the order of clip ids.

    A file whose name is not the corpus's stays in the manifest with its `fault`. A second file of
    the same clip is passed over where its bytes are the same (a nested second copy), and kept as
    a fault where they differ.

    Raises CorpusError if the folder holds no file of the corpus.
    """
    files = list_media(folder)
    clips: dict[str, Clip] = {}
    faults: list[Clip] = []
    n_copies = 0
    for path in files:
        try:
            clip = corpus.read_clip(path)
        except LabelError as error:
            faults.append(_faulty(corpus, path, folder, error.message))
            continue
        first = clips.setdefault(clip.clip_id, clip)
        if first is clip:
            continue
        if _same_bytes(first.path, path):
            n_copies += 1
        else:
            text = f"second file of {clip.clip_id} with other bytes than {first.path.name}"
            faults.append(_faulty(corpus, path, folder, text))
    if not clips:
        found = f"{len(files)} media files, none with a name of {corpus.title}"
        if files:
            found += f" (the first is '{files[0].name}')"
        raise CorpusError(
            f"{folder}: {found}; expected {corpus.layout}. Give the folder that holds them."
        )
    notes: tuple[str, ...] = ()
    if n_copies:
        notes = (f"{n_copies:,} second copies with the same name and bytes were passed over",)
    ordered = sorted(clips.values(), key=lambda clip: clip.clip_id)
    return Manifest((*ordered, *sorted(faults, key=lambda clip: clip.clip_id)), notes)


def choose_field(value: str, known: dict[str, str], what: str, name: str) -> str:
    """Return what a code in a file name stands for, or raise LabelError naming the field."""
    if value not in known:
        raise LabelError(f"name '{name}': {what} is '{value}'; expected {_span(known)}")
    return known[value]


def _span(codes: Iterable[str]) -> str:
    ordered = sorted(codes)
    return f"{ordered[0]} to {ordered[-1]}" if len(ordered) > 3 else " or ".join(ordered)


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
