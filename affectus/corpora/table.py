"""Users' own recordings: a CSV with one row a clip, or a folder with one sub-folder a class."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from affectus.emotions import parse_emotion
from affectus.errors import CorpusError, LabelError, ManifestError, nearest
from affectus.manifest import Clip, Manifest, natural_key
from affectus.media import list_media

# our column: the names other tools give it
_COLUMNS = {
    "file": ("file", "path", "filename", "file_name", "wav", "audio"),
    "emotion": ("emotion", "label", "emo", "class"),
    "speaker": ("speaker", "spk", "speaker_id", "subject", "actor"),
    "start": ("start",),
    "end": ("end",),
    "sex": ("sex", "gender"),
    "language": ("language", "lang"),
    "intensity": ("intensity",),
    "sentence": ("sentence", "text_id"),
    "corpus": ("corpus", "database", "dataset"),
}
_NO_SPEAKER = (
    "no speaker is known: scores cannot be speaker-independent, and only splits labelled leaky "
    "can be made. {remedy}"
)


def read_table(path: Path, name: str | None = None) -> Manifest:
    """Read a CSV `file,emotion,speaker[,start,end,sex,language,intensity,sentence,corpus]`.

    Paths are relative to the CSV's folder. `name` is the corpus's name; the CSV's stem by default,
    a `corpus` column above both. Rows without an emotion are kept for prediction.

    Raises ManifestError naming line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(
            f"{path}: no such file; expected a CSV file,emotion,speaker. Check the path."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}; expected a CSV in UTF-8.") from None
    if "\0" in text:
        raise ManifestError(f"{path}: holds NUL characters; expected a CSV in UTF-8.")
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header = reader.fieldnames or ()
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        line = reader.reader.line_num
        raise ManifestError(f"{path}:{line}: {error}; expected a CSV.") from None
    names = _find_columns([column or "" for column in header], path)
    clips = []
    for line, row in rows:
        if None in row or None in row.values():
            raise ManifestError(
                f"{path}:{line}: not {len(header)} cells; expected one a column. Put a cell that "
                f"holds a comma in quotes."
            )
        cells = {ours: row[theirs].strip() for ours, theirs in names.items()}
        clips.append(_table_clip(cells, path, line, name or path.stem))
    if not clips:
        raise ManifestError(f"{path}: no rows; expected one a clip.")
    remedy = f"Add a column 'speaker' to {path.name}."
    return Manifest(tuple(clips), _speaker_notes(clips, remedy))


def read_folder(folder: Path, name: str | None = None, speaker: str | None = None) -> Manifest:
    """Read a folder whose sub-folders are named for emotions.

    `speaker` is a regular expression with one group that finds the speaker in a file's path below
    the folder, e.g. `(spk\\d+)_`. Without it no speaker is known.

    Raises CorpusError for a folder without recordings, LabelError for a sub-folder whose name is
    no emotion.
    """
    try:
        pattern = re.compile(speaker) if speaker else None
    except re.error as error:
        raise CorpusError(f"--speaker '{speaker}': {error}; expected a regular expression.") from (
            None
        )
    if pattern is not None and pattern.groups != 1:
        raise CorpusError(f"--speaker '{speaker}': {pattern.groups} groups; expected one, as (…).")
    corpus = name or folder.resolve().name
    clips = []
    for path in list_media(folder):
        inside = path.relative_to(folder)
        if len(inside.parts) < 2:
            raise CorpusError(
                f"{folder}: '{path.name}' lies beside the class folders; expected each recording "
                f"in a folder named for its emotion. Move it."
            )
        emotion = parse_emotion(inside.parts[0])
        found = pattern.search(inside.as_posix()) if pattern else None
        if pattern and not found:
            raise CorpusError(
                f"{folder}: --speaker '{speaker}' finds nobody in '{inside}'; expected one speaker "
                f"a file. Change the expression."
            )
        clips.append(
            Clip(
                clip_id=f"{corpus}/{inside.as_posix()}",
                corpus=corpus,
                file=str(path),
                speaker=f"{corpus}:{found.group(1)}" if found else "",
                emotion=emotion,
                source_label=inside.parts[0],
            )
        )
    if not clips:
        raise CorpusError(f"{folder}: no recordings; expected sub-folders named for emotions.")
    clips.sort(key=lambda clip: natural_key(clip.clip_id))
    remedy = "Say where the name tells it: --speaker REGEX."
    return Manifest(tuple(clips), _speaker_notes(clips, remedy))


def _find_columns(header: list[str], path: Path) -> dict[str, str]:
    """Return ours -> theirs for the columns that are there; `file` and `emotion` must be."""
    lower = {column.strip().lower(): column for column in header}
    found = {}
    for ours, theirs in _COLUMNS.items():
        match = next((lower[t] for t in theirs if t in lower), None)
        if match is not None:
            found[ours] = match
    for needed in ("file", "emotion"):
        if needed not in found:
            raise ManifestError(
                f"{path}: no column '{needed}' among {', '.join(lower) or 'none'}; expected "
                f"file,emotion,speaker.{nearest(needed, lower)}"
            )
    return found


def _table_clip(cells: dict[str, str], path: Path, line: int, name: str) -> Clip:
    if not cells["file"]:
        raise ManifestError(f"{path}:{line}: column 'file' is empty; expected a file name.")
    corpus = cells.get("corpus") or name
    start, end = _seconds(cells, "start", path, line), _seconds(cells, "end", path, line)
    if start is not None and end is not None and end <= start:
        raise ManifestError(f"{path}:{line}: end {end:g} s; expected more than start {start:g} s.")
    try:
        emotion = parse_emotion(cells["emotion"]) if cells["emotion"] else None
    except LabelError as error:
        raise LabelError(f"{path}:{line}: {error.message}") from None
    span = (
        "" if start is None and end is None else f"@{start or 0:.12g}-{'' if end is None else end}"
    )
    speaker = cells.get("speaker", "")
    return Clip(
        clip_id=f"{corpus}/{Path(cells['file']).as_posix()}{span}",
        corpus=corpus,
        file=str(path.parent.resolve() / cells["file"]),
        speaker=f"{corpus}:{speaker}" if speaker else "",
        emotion=emotion,
        start=start or 0.0,
        end=end,
        sex=cells.get("sex", "").lower(),
        language=cells.get("language", ""),
        source_label=cells["emotion"],
        intensity=cells.get("intensity", ""),
        sentence=cells.get("sentence", ""),
    )


def _seconds(cells: dict[str, str], column: str, path: Path, line: int) -> float | None:
    text = cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ManifestError(f"{path}:{line}: {column} is '{text}'; expected seconds, 0 or more.")
    return value


def _speaker_notes(clips: list[Clip], remedy: str) -> tuple[str, ...]:
    unknown = sum(not clip.speaker for clip in clips)
    if not unknown:
        return ()
    note = _NO_SPEAKER.format(remedy=remedy)
    return (note if unknown == len(clips) else f"{unknown} of {len(clips)} clips: {note}",)
