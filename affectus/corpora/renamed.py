"""Corpora that somebody has joined by hand under RAVDESS's names.

Such sets are made so that one rule reads several corpora. Of the seven fields the emotion is what a
name still says, and the actor, where numbers were kept apart (then they run beyond 24). Nobody can
tell any more who the person is in the corpus that the file came from, which sentence it is or what
the file was called: read the corpora themselves where you can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from affectus.corpora.corpus import Corpus, choose_field, read_corpus
from affectus.corpora.ravdess import split_name
from affectus.emotions import EMOTIONS
from affectus.errors import LabelError
from affectus.manifest import Clip, Manifest

_EMOTIONS = {f"{code:02d}": emotion for code, emotion in enumerate(EMOTIONS, 1)}
_CHANNELS = {"01": ("voice", "face"), "02": ("face",), "03": ("voice",)}
_LOST = (
    "the names were given by hand: original names, sentences, sex and intensity are lost, and one "
    "number may be several people (or one person several numbers), so scores may not be "
    "speaker-independent. Read the corpora themselves, with a reader each, where you can."
)


def read_renamed(folder: Path, name: str | None = None) -> Manifest:
    """Read a folder of files with RAVDESS's names, of any corpora, as a corpus of its own.

    `name` is the corpus's name; the folder's by default. Any actor number will do. Where a file
    lies in the folder is part of its id: the same name in two folders may be two recordings.

    Raises CorpusError if there is no such file.
    """
    corpus = name or folder.resolve().name
    root = folder.absolute()

    def read_clip(path: Path) -> Clip:
        fields = split_name(path)
        emotion = choose_field(fields[2], _EMOTIONS, "emotion", path.name)
        if fields[0] not in _CHANNELS:
            raise LabelError(f"name '{path.name}': modality is '{fields[0]}'; expected 01 to 03")
        if not (fields[6].isdecimal() and int(fields[6]) > 0):
            raise LabelError(f"name '{path.name}': actor is '{fields[6]}'; expected 01 or more")
        return Clip(
            clip_id=f"{corpus}/{path.relative_to(root).with_suffix('').as_posix()}",
            corpus=corpus,
            file=str(path),
            speaker=f"{corpus}:{int(fields[6]):02d}",
            emotion=emotion,
            source_label=fields[2],
            repetition=fields[5],
            channels=_CHANNELS[fields[0]],
        )

    def list_names(part: str) -> Iterator[str]:
        yield from ()

    form = Corpus(
        name=corpus,
        title="RAVDESS",
        citation="",
        licence="",
        url="",
        layout="files named like 03-01-05-01-02-01-25.wav",
        language="",
        n_speakers=0,
        n_clips=0,
        read_clip=read_clip,
        list_names=list_names,
        names_known=False,
    )
    manifest = read_corpus(form, folder)
    return Manifest(manifest.clips, (*manifest.notes, _LOST))
