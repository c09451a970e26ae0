"""Users' own tables: CSV or JSON with one row a clip, as many tools write them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path, PurePath

from affectus.corpora.columns import (
    find_columns,
    read_sex,
    read_side,
    read_span,
    read_votes,
    side_of,
)
from affectus.corpora.labels import Labels
from affectus.corpora.rows import open_rows
from affectus.corpora.speakers import SpeakerPattern, speaker_notes
from affectus.corpora.takes import fill_in_takes, recording_of
from affectus.errors import AffectusError, ManifestError
from affectus.manifest import Clip, Manifest

_SAMPLE = 10_000  # paths that are looked at to propose an expression for speakers


@dataclass
class TableClips:
    """The clips of a table or of several, before they are a manifest.

    `parents` says of which recording ('own/a.wav') another one is a copy.
    """

    clips: list[Clip] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)

    def finish(self, labels: Labels, place: Path, remedy: str) -> Manifest:
        """Return the manifest, with notes on labels, copies and speakers."""
        if not self.clips:
            raise ManifestError(f"{place}: no rows; expected one a clip.")
        notes = labels.notes(place)
        absent = fill_in_takes(self.clips, self.parents, place)
        first = [
            recording_of(clip).removeprefix(f"{clip.corpus}/") for clip in self.clips[:_SAMPLE]
        ]
        speakers = speaker_notes(self.clips, first, remedy)
        return Manifest(tuple(self.clips), (*notes, *absent, *speakers))


def read_table(
    path: Path,
    name: str | None = None,
    *,
    root: Path | None = None,
    speaker: str | None = None,
    spellings: Mapping[str, str | None] | None = None,
) -> Manifest:
    """Read a table `file,emotion[,speaker,start,end,sex,age,split,take,parent,votes, …]`.

    Also under the names that other tools give these columns (`columns.py`); a column of another
    name is passed over. Paths begin at `root`, the table's folder by default. `name` is the
    corpus's name; the table's stem by default, a `corpus` column above both. `speaker` is an
    expression that finds the speaker in a path where no column says it. `spellings` says what
    labels mean that are not known. Rows without an emotion are kept for prediction.

    Raises ManifestError, LabelError and CorpusError naming line and column.
    """
    labels, found = Labels(spellings or {}), TableClips()
    pattern = SpeakerPattern(speaker) if speaker else None
    add_rows(found, path, name or path.stem, labels, root=root or path.parent, pattern=pattern)
    remedy = f"Add a column 'speaker' to {path.name}, or say where the file names tell it:"
    return found.finish(labels, path, remedy)


def add_rows(
    found: TableClips,
    path: Path,
    name: str,
    labels: Labels,
    *,
    root: Path,
    pattern: SpeakerPattern | None = None,
    prefix: str = "",
    sides_by_folder: bool = False,
) -> None:
    """Add a clip for each row of a table.

    `prefix` stands before every path of the table ('train/'). With `sides_by_folder` a clip in a
    folder called train, test or the like is on that side, unless the table says another.
    """
    folder = str(root.resolve())
    base = f"{folder}/".replace("//", "/")
    sexes: dict[str, str] = {}
    sides: dict[str, str] = {"": ""}
    kept: dict[str, str] = {}
    shared = kept.setdefault  # shared(cell, cell): a million rows have few different speakers
    read_emotion, add_clip = labels.read, found.clips.append

    def locate(file: str) -> tuple[str, str]:
        """Return a path as clip ids have it, and where it is."""
        # Most paths are below their folder and in their shortest form; normpath is slow.
        if not (file[0] in "/." or "./" in file or "//" in file or "\\" in file):
            return file, base + file
        place = os.path.normpath(Path(folder, file))
        inside = place.startswith(base)
        return place[len(base) :] if inside else PurePath(file).as_posix().lstrip("/"), place

    def add_row(cells: Sequence[str]) -> None:
        (
            file, label, speaker, start, end, corpus, sex, age, ethnicity, language, intensity,
            sentence, repetition, side, votes, take, parent,
        ) = cells  # fmt: skip
        if not file:
            raise ManifestError("column 'file' is empty; expected a file name. Fill it in.")
        corpus = shared(corpus or name, corpus or name)
        inside, where = locate(prefix + file)
        clip_id = f"{corpus}/{inside}"
        if parent:
            _add_parent(found, clip_id, f"{corpus}/{locate(prefix + parent)[0]}", take)
        begin, stop = 0.0, None
        if start or end:
            begin, stop = read_span(start, end)
            if begin or stop is not None:
                clip_id = f"{clip_id}@{begin:.12g}-{'' if stop is None else stop}"
        if not speaker and pattern is not None:
            speaker = pattern.find(inside)
        if speaker:
            speaker = f"{corpus}:{speaker}"
        if side not in sides:
            sides[side] = read_side(side)
        if sex not in sexes:
            sexes[sex] = read_sex(sex)
        add_clip(
            Clip(
                clip_id,
                corpus,
                where,
                shared(speaker, speaker),
                read_emotion(label),
                begin,
                stop,
                sexes[sex],
                shared(age, age),
                shared(ethnicity, ethnicity),
                shared(language, language),
                shared(label, label),
                shared(intensity, intensity),
                shared(sentence, sentence),
                shared(repetition, repetition),
                f"{corpus}/{take}" if take else "",
                sides[side] if side or not sides_by_folder else side_of(inside),
                read_votes(votes) if votes else None,
            )
        )

    with open_rows(path) as table:
        pick = itemgetter(*find_columns(table.header, path))
        for line, row in table.rows:
            row.append("")  # the place of every column that is not there
            try:
                add_row([cell.strip() for cell in pick(row)])
            except AffectusError as error:
                if any(row):  # a spreadsheet's empty row is none
                    raise type(error)(f"{path}:{line}: {error.message}") from None


def _add_parent(found: TableClips, recording: str, original: str, take: str) -> None:
    if original == recording:  # many tables say so of an original
        return
    if take:
        raise ManifestError(
            f"column 'take' and column 'parent' are both filled in ('{take}', '{original}'); "
            f"expected one of them. Leave the other empty."
        )
    known = found.parents.setdefault(recording, original)
    if known != original:
        raise ManifestError(
            f"{recording} is a copy of {original}, and of {known} above; expected one original. "
            f"Correct column 'parent', or write column 'take' instead."
        )


def missing_files_note(manifest: Manifest, root: Path) -> tuple[str, ...]:
    """Say what to do where not one file of a table was found; nothing if some were."""
    if any(clip.sha256 for clip in manifest):
        return ()
    return (
        f"none of the {len(manifest):,} recordings is where the table says; the first was looked "
        f"for at {manifest.clips[0].file}. Paths are taken to begin at {root}; if they begin "
        f"elsewhere, say where: --root FOLDER.",
    )
