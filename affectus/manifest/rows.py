"""The table on disk: clips as the rows of a CSV, and back."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from affectus.emotions import parse_emotion
from affectus.errors import LabelError, ManifestError
from affectus.manifest.clip import Clip

COLUMNS = (
    "file", "emotion", "speaker", "clip_id", "corpus", "start", "end", "sex", "age", "ethnicity",
    "language", "source_label", "intensity", "sentence", "repetition", "take", "split", "votes",
    "channels", "sha256", "fault",
)  # fmt: skip


def write_rows(file: TextIO, clips: Sequence[Clip], folder: Path, path: Path) -> None:
    """Write the clips as CSV, their files relative to `folder`."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    places: dict[str, str] = {}  # by folder: a million clips lie in few
    for clip in clips:
        parent, name = os.path.split(clip.file)
        if parent not in places:
            # A link keeps its own name: what it points to may be called anything.
            places[parent] = os.path.relpath(Path(parent).resolve(), folder)
        place = places[parent]
        row = (
            name if place == "." else f"{place}/{name}",
            clip.emotion or "",
            clip.speaker,
            clip.clip_id,
            clip.corpus,
            repr(float(clip.start)) if clip.start else "",
            "" if clip.end is None else repr(float(clip.end)),
            clip.sex,
            clip.age,
            clip.ethnicity,
            clip.language,
            clip.source_label,
            clip.intensity,
            clip.sentence,
            clip.repetition,
            clip.take,
            clip.split,
            " ".join(f"{emotion}:{n}" for emotion, n in (clip.votes or {}).items()),
            "+".join(clip.channels),
            clip.sha256,
            clip.fault,
        )
        # Python before 3.13 leaves a lone carriage return unquoted, and reads it as a line's end.
        writer = quoted if "\r" in "".join(row) else plain
        try:
            writer.writerow(row)
        except UnicodeEncodeError:
            readable = clip.file.encode(errors="replace").decode()
            raise ManifestError(
                f"{path}: the name '{readable}' is not UTF-8; expected one that is. Rename the "
                f"file."
            ) from None


def read_rows(reader: Any, header: Sequence[str], folder: Path, path: Path) -> Iterator[Clip]:
    """Yield the clip of each row. Cells that many rows share are kept once: see `shared`."""
    order = [header.index(column) for column in COLUMNS]
    kept: dict[str, str] = {}
    emotions: dict[str, str | None] = {"": None}
    channels: dict[str, tuple[str, ...]] = {"": ()}
    root = f"{folder}/".replace("//", "/")

    def shared(cell: str) -> str:
        return kept.setdefault(cell, cell)

    def plain(file: str) -> bool:  # most are, and normpath costs more than all the rest
        return not (file.startswith(("/", ".")) or "./" in file or "//" in file)

    for row in reader:
        if not row:  # a blank line
            continue
        place = f"{path}:{reader.line_num}"
        if len(row) != len(header):
            raise ManifestError(f"{place}: not {len(header)} cells; expected one a column.")
        (
            file, emotion, speaker, clip_id, corpus, start, end, sex, age, ethnicity, language,
            source_label, intensity, sentence, repetition, take, split, votes, channel, sha256,
            fault,
        ) = (row[i] for i in order)  # fmt: skip
        try:
            if emotion not in emotions:
                emotions[emotion] = parse_emotion(emotion)
            if channel not in channels:
                channels[channel] = tuple(channel.split("+"))
            begin, stop = float(start or 0.0), float(end) if end else None
            if not (0 <= begin < math.inf and (stop is None or begin < stop)):
                raise ValueError(f"start {begin:g} s, end {stop} s; expected 0 <= start < end")
            yield Clip(
                clip_id,
                shared(corpus),
                root + file if plain(file) else os.path.normpath(folder / file),
                shared(speaker),
                emotions[emotion],
                begin,
                stop,
                shared(sex),
                shared(age),
                shared(ethnicity),
                shared(language),
                shared(source_label),
                shared(intensity),
                shared(sentence),
                shared(repetition),
                take,
                shared(split),
                _read_votes(votes) if votes else None,
                channels[channel],
                sha256,
                fault,
            )
        except (ValueError, LabelError) as error:
            text = error.message if isinstance(error, LabelError) else str(error)
            raise ManifestError(f"{place}: {text}") from None


def _read_votes(cell: str) -> dict[str, int]:
    """Return the counts of a cell like 'angry:5 neutral:4'."""
    counts = {}
    for part in cell.split():
        emotion, _, count = part.rpartition(":")
        if not (emotion and count.isdecimal() and len(count) < 10):
            raise ValueError(
                f"votes are '{cell}'; expected emotions with counts, such as 'angry:5 neutral:4'"
            )
        counts[parse_emotion(emotion)] = int(count)
    return counts
