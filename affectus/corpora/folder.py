"""Users' own folders: one sub-folder an emotion, or recordings with a metadata file.

A folder for each side may stand around the emotions: `train/happy/a.wav`. Where there is a
`metadata.csv` or `metadata.jsonl` (in the folder, or in one for each side), it says everything,
and the folders' names only the side.

**Source:** Hugging Face, 'Create an audio dataset' (audiofolder) and 'Structure your repository'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from affectus.corpora.columns import SIDES
from affectus.corpora.labels import Labels
from affectus.corpora.speakers import SpeakerPattern, speaker_notes
from affectus.corpora.table import TableClips, add_rows
from affectus.errors import AffectusError, CorpusError
from affectus.manifest import Clip, Manifest, natural_key
from affectus.media import list_media

_METADATA = ("metadata.csv", "metadata.jsonl")


def read_folder(
    folder: Path,
    name: str | None = None,
    *,
    speaker: str | None = None,
    spellings: Mapping[str, str | None] | None = None,
) -> Manifest:
    """Read a folder whose sub-folders are named for emotions, or one with a metadata file.

    `speaker` is a regular expression with one group that finds the speaker in a file's path below
    the folder, e.g. `(spk\\d+)_`. Without it no speaker is known. `spellings` says what labels
    mean that are not known.

    Raises CorpusError for a folder without recordings, LabelError for a sub-folder whose name may
    be a misspelt emotion.
    """
    pattern = SpeakerPattern(speaker) if speaker else None
    files = list_media(folder)
    if not files:
        raise CorpusError(f"{folder}: no recordings; expected sub-folders named for emotions.")
    corpus, labels = name or folder.resolve().name, Labels(spellings or {})
    tables = sorted(path for file in _METADATA for path in folder.absolute().rglob(file))
    if tables:
        return _read_metadata(folder, files, tables, corpus, labels, pattern)
    clips = [_class_clip(path, folder, corpus, labels, pattern) for path in files]
    notes = labels.notes(folder)
    clips.sort(key=lambda clip: natural_key(clip.clip_id))
    paths = [clip.clip_id.removeprefix(f"{corpus}/") for clip in clips]
    remedy = "Say where the names tell who speaks:"
    return Manifest(tuple(clips), (*notes, *speaker_notes(clips, paths, remedy)))


def _class_clip(
    path: Path, folder: Path, corpus: str, labels: Labels, pattern: SpeakerPattern | None
) -> Clip:
    inside = path.relative_to(folder.absolute())
    *folders, _ = inside.parts
    side = SIDES.get(folders[0].lower(), "") if folders else ""
    if side:
        folders = folders[1:]
    if not folders:
        raise CorpusError(
            f"{folder}: '{inside}' lies beside the class folders; expected each recording in a "
            f"folder named for its emotion. Move it."
        )
    try:
        emotion = labels.read(folders[0])
        speaker = pattern.find(inside.as_posix()) if pattern else ""
    except AffectusError as error:
        raise type(error)(f"{folder}: {error.message}") from None
    return Clip(
        clip_id=f"{corpus}/{inside.as_posix()}",
        corpus=corpus,
        file=str(path),
        speaker=f"{corpus}:{speaker}" if speaker else "",
        emotion=emotion,
        source_label=folders[0],
        split=side,
    )


def _read_metadata(
    folder: Path,
    files: list[Path],
    tables: list[Path],
    corpus: str,
    labels: Labels,
    pattern: SpeakerPattern | None,
) -> Manifest:
    """Read the metadata files of a folder as one corpus; paths in each begin where it lies."""
    found = TableClips()
    folder = folder.absolute()
    if len({table.parent for table in tables}) < len(tables):
        raise CorpusError(
            f"{folder}: metadata.csv and metadata.jsonl in one folder; expected one of them. "
            f"Remove the other."
        )
    for table in tables:
        place = table.parent.relative_to(folder).as_posix()
        prefix = "" if place == "." else f"{place}/"
        add_rows(
            found, table, corpus, labels, root=folder, pattern=pattern, prefix=prefix,
            sides_by_folder=True,
        )  # fmt: skip
    remedy = f"Add a column 'speaker' to {tables[0].name}, or say where the file names tell it:"
    manifest = found.finish(labels, folder, remedy)
    named = {clip.file for clip in manifest}
    left = sorted(file.relative_to(folder) for file in files if str(file) not in named)
    if not left:
        return manifest
    note = (
        f"{len(left):,} recordings are not named in {tables[0].name} and were passed over (the "
        f"first: {left[0]})."
    )
    return Manifest(manifest.clips, (*manifest.notes, note))
