"""The table of clips: what every data step takes and gives.

A manifest is an ordered list of `Clip`s. On disk it is a CSV whose first columns are
`file,emotion,speaker`, so that other tools read it too; the other columns follow. Paths in the
file are relative to the folder the CSV lies in.

No step after the import looks at a corpus's file names again. A file whose name or label could
not be understood stays in the table with the reason in `fault`: it is counted, reported by the
audit, and never trained on.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec.structs import replace

from affectus.emotions import parse_emotion
from affectus.errors import LabelError, ManifestError
from affectus.files import replacing

COLUMNS = (
    "file", "emotion", "speaker", "clip_id", "corpus", "start", "end", "sex", "age", "ethnicity",
    "language", "source_label", "intensity", "sentence", "repetition", "take", "split", "votes",
    "channels", "sha256", "fault",
)  # fmt: skip


_MOST_DIGITS = 4_300  # that Python makes a number of


class Clip(msgspec.Struct, frozen=True, gc=False):
    """One recording, or one stretch of a recording, with what is known of it.

    `clip_id` is unique in a manifest and begins with the corpus; so does `speaker` ('ravdess:12'),
    so that speakers of two corpora never share a name. `file` is where the recording lies.
    `start` and `end` are seconds; an `end` of None means the end of the file. `emotion` is
    canonical, or None where it is not known; `source_label` is what the corpus calls it.

    `take` names the performance that was recorded, where several clips may come of one: the sound
    file and the video of it, a copy with noise and what it was made from. Clips of one take are
    never on two sides of a split. `split` is a side (train, dev, test) that came with the table.
    `votes` counts raters by the emotion they chose. `sha256` is the hash of the file's bytes at
    import.
    """

    clip_id: str
    corpus: str
    file: str
    speaker: str = ""
    emotion: str | None = None
    start: float = 0.0
    end: float | None = None
    sex: str = ""
    age: str = ""
    ethnicity: str = ""
    language: str = ""
    source_label: str = ""
    intensity: str = ""
    sentence: str = ""
    repetition: str = ""
    take: str = ""
    split: str = ""
    votes: Mapping[str, int] | None = None
    channels: tuple[str, ...] = ("voice",)
    sha256: str = ""
    fault: str = ""

    @property
    def path(self) -> Path:
        """Where the recording lies."""
        return Path(self.file)

    @property
    def content_key(self) -> str:
        """What identifies the clip's content: the file's hash, and the stretch taken from it."""
        if self.start == 0.0 and self.end is None:
            return self.sha256
        start, end = float(self.start) or 0.0, None if self.end is None else float(self.end)
        return f"{self.sha256}:{start!r}-{end!r}"  # -0.0 is 0.0


@dataclass(frozen=True)
class Manifest:
    """Clips in a stable order. `notes` says in words what a reader passed over; it is not saved."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if len({clip.clip_id for clip in self.clips}) < len(self.clips):
            counts = Counter(clip.clip_id for clip in self.clips)
            twice = [clip_id for clip_id, count in counts.items() if count > 1]
            raise ManifestError(
                f"manifest: clip id '{twice[0]}' stands {counts[twice[0]]} times (and {len(twice)} "
                f"ids more than once in all); expected each once. Rename or remove the copies."
            )

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    @cached_property
    def sha256(self) -> str:
        """Hash of the content: ids, labels, speakers and file hashes, but not where files lie."""
        digest = hashlib.sha256()
        for clip in self.clips:
            row = (clip.clip_id, clip.speaker, clip.emotion or "", clip.content_key, clip.fault,
                   clip.take)  # fmt: skip
            digest.update("\x1f".join(row).encode("utf-8", "surrogatepass") + b"\n")
        return digest.hexdigest()

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora present, sorted."""
        return tuple(sorted({clip.corpus for clip in self.clips}))

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers present, in natural order (2 before 12)."""
        return tuple(sorted({c.speaker for c in self.clips if c.speaker}, key=natural_key))

    def filter(self, keep: Callable[[Clip], bool]) -> Manifest:
        """Return the clips for which `keep(clip)` is true, in the same order."""
        return Manifest(tuple(clip for clip in self.clips if keep(clip)))

    def excluding(self, reasons: Mapping[str, str]) -> Manifest:
        """Return the manifest with a fault 'excluded: reason' for each clip id of `reasons`.

        So everything downstream leaves these clips out, and counts them. A fault that was there
        stays.

        Raises ManifestError for an id that no clip has.
        """
        known = {clip.clip_id for clip in self.clips}
        unknown = [clip_id for clip_id in reasons if clip_id not in known]
        if unknown:
            raise ManifestError(
                f"exclusions: {len(unknown)} clips are not in the manifest (the first: "
                f"{unknown[0]}); expected clips of it. Make the list anew: affectus audit "
                f"--exclusions"
            )
        clips = (
            replace(clip, fault=f"excluded: {reasons[clip.clip_id]}")
            if clip.clip_id in reasons and not clip.fault
            else clip
            for clip in self.clips
        )
        return Manifest(tuple(clips), self.notes)

    def write(self, path: Path | str) -> None:
        """Write the CSV. Complete or not at all: a temporary file is renamed at the end."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent.resolve()
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            _write_rows(file, self.clips, folder, path)

    @classmethod
    def read(cls, path: Path | str) -> Manifest:
        """Read a CSV written by `write`. A user's own table goes through `import table`.

        Raises ManifestError with the line and column of the first fault.
        """
        path = Path(path)
        folder = path.parent.resolve()
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, [])
                missing = [column for column in COLUMNS if column not in header]
                if missing:
                    raise ManifestError(
                        f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}. "
                        f"Import your own table with: affectus import table {path.name}"
                    )
                return cls(tuple(_read_rows(reader, header, folder, path)))
        except FileNotFoundError:
            raise ManifestError(
                f"{path}: no such file; expected a manifest. Make one with: affectus import"
            ) from None
        except csv.Error as error:
            raise ManifestError(f"{path}:{reader.line_num}: {error}; expected a CSV.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: {error}; expected a CSV in UTF-8.") from None


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 'ravdess:2' before 'ravdess:12', and '01' before '1'."""
    parts: list[tuple[int, int | str]] = []
    word = ""
    for char in text + "\0":
        if word and (char.isdecimal() != word[0].isdecimal() or char == "\0"):
            number = word[0].isdecimal() and len(word) <= _MOST_DIGITS
            parts.append((0, int(word)) if number else (1, word))
            word = ""
        word += char
    return (*parts, (-1, text))  # -1: a name goes before the longer ones that begin with it


def join_manifests(manifests: Iterable[Manifest]) -> Manifest:
    """Return one manifest of all clips, in the order given."""
    joined = list(manifests)
    return Manifest(
        tuple(clip for manifest in joined for clip in manifest.clips),
        tuple(note for manifest in joined for note in manifest.notes),
    )


def write_exclusions(reasons: Mapping[str, str], path: Path | str) -> None:
    """Write clips to be left out, and why, as CSV `clip_id,reason`; complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(("clip_id", "reason"))
        writer.writerows(reasons.items())


def read_exclusions(path: Path | str) -> dict[str, str]:
    """Read a CSV `clip_id,reason`: as `write_exclusions` writes it, or made by hand.

    Raises ManifestError with the line of the first fault.
    """
    reasons: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            if header != ["clip_id", "reason"]:
                raise ManifestError(
                    f"{path}:1: columns {', '.join(header) or 'none'}; expected clip_id,reason. "
                    f"Make the list with: affectus audit --exclusions"
                )
            for row in reader:
                if row and (len(row) != 2 or not row[0]):
                    raise ManifestError(
                        f"{path}:{reader.line_num}: {len(row)} cells; expected a clip id and a "
                        f"reason. Put a cell that holds a comma in quotes."
                    )
                if row:
                    reasons[row[0]] = row[1] or "no reason given"
    except csv.Error as error:
        raise ManifestError(f"{path}:{reader.line_num}: {error}; expected a CSV.") from None
    except (OSError, UnicodeDecodeError) as error:
        text = getattr(error, "strerror", None) or error
        raise ManifestError(f"{path}: {text}; expected a CSV clip_id,reason in UTF-8.") from None
    return reasons


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces; OSError if it has no end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_hashes(
    manifest: Manifest, on_progress: Callable[[int, int], None] = lambda hashed, total: None
) -> Manifest:
    """Return the manifest with each file's SHA-256 filled in; a file that is gone gets a fault.

    `on_progress` is told after each clip how many are hashed, of how many.
    """
    hashes: dict[str, str] = {}
    clips = []
    for number, clip in enumerate(manifest.clips, 1):
        try:
            if clip.file not in hashes:
                hashes[clip.file] = hash_file(clip.path)
        except OSError as error:
            fault = clip.fault or f"file cannot be read: {error.strerror}"
            clips.append(replace(clip, fault=fault))
        else:
            clips.append(replace(clip, sha256=hashes[clip.file]))
        on_progress(number, len(manifest))
    return Manifest(tuple(clips), manifest.notes)


def _write_rows(file: TextIO, clips: Sequence[Clip], folder: Path, path: Path) -> None:
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


def _read_rows(reader: Any, header: Sequence[str], folder: Path, path: Path) -> Iterator[Clip]:
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
