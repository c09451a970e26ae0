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
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

from affectus.emotions import parse_emotion
from affectus.errors import LabelError, ManifestError

COLUMNS = (
    "file", "emotion", "speaker", "clip_id", "corpus", "start", "end", "sex", "language",
    "source_label", "intensity", "sentence", "repetition", "channels", "sha256", "fault",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording, or one stretch of a recording, with what is known of it.

    `clip_id` is unique in a manifest and begins with the corpus. `speaker` begins with the corpus
    too ('ravdess:12'), so that speakers of two corpora never share a name. `start` and `end` are
    seconds; an `end` of None means the end of the file. `emotion` is canonical, or None where it
    is not known. `sha256` is the hash of the file's bytes at import.
    """

    clip_id: str
    corpus: str
    path: Path
    speaker: str = ""
    emotion: str | None = None
    start: float = 0.0
    end: float | None = None
    sex: str = ""
    language: str = ""
    source_label: str = ""
    intensity: str = ""
    sentence: str = ""
    repetition: str = ""
    channels: tuple[str, ...] = ("voice",)
    sha256: str = ""
    fault: str = ""

    @property
    def content_key(self) -> str:
        """What identifies the clip's content: the file's hash, and the stretch taken from it."""
        if self.start == 0.0 and self.end is None:
            return self.sha256
        end = None if self.end is None else float(self.end)
        return f"{self.sha256}:{float(self.start)!r}-{end!r}"


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
            row = [clip.clip_id, clip.speaker, clip.emotion or "", clip.content_key, clip.fault]
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

    def write(self, path: Path | str) -> None:
        """Write the CSV. Complete or not at all: a temporary file is renamed at the end."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent.resolve()
        rows = [_to_row(clip, folder) for clip in self.clips]
        # Python before 3.13 leaves a lone carriage return unquoted, and reads it as a line's end.
        odd = any("\r" in cell for row in rows for cell in row)
        text = io.StringIO(newline="")
        writer = csv.writer(
            text, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
        )
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        try:
            data = text.getvalue().encode()
        except UnicodeEncodeError as error:
            found = text.getvalue()[: error.start].splitlines()[-1]
            raise ManifestError(
                f"{path}: the name that begins '{found}' is not UTF-8; expected one that is. "
                f"Rename the file."
            ) from None
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path | str) -> Manifest:
        """Read a CSV written by `write`. A user's own table goes through `import table`.

        Raises ManifestError with the line and column of the first fault.
        """
        path = Path(path)
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise ManifestError(
                f"{path}: no such file; expected a manifest. Make one with: affectus import"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: {error}; expected a CSV in UTF-8.") from None
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            rows = [(reader.line_num, row) for row in reader]
        except csv.Error as error:
            line = reader.reader.line_num
            raise ManifestError(f"{path}:{line}: {error}; expected a CSV.") from None
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ManifestError(
                f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}. "
                f"Import your own table with: affectus import table {path.name}"
            )
        folder = path.parent.resolve()
        return cls(tuple(_from_row(row, folder, f"{path}:{line}") for line, row in rows))


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 'ravdess:2' before 'ravdess:12', and '01' before '1'."""
    parts: list[tuple[int, int | str]] = []
    word = ""
    for char in text + "\0":
        if word and (char.isdecimal() != word[0].isdecimal() or char == "\0"):
            parts.append((0, int(word)) if word[0].isdecimal() else (1, word))
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


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_hashes(manifest: Manifest) -> Manifest:
    """Return the manifest with each file's SHA-256 filled in; a file that is gone gets a fault."""
    hashes: dict[Path, str] = {}
    clips = []
    for clip in manifest.clips:
        try:
            if clip.path not in hashes:
                hashes[clip.path] = hash_file(clip.path)
        except OSError as error:
            fault = clip.fault or f"file cannot be read: {error.strerror}"
            clips.append(replace(clip, fault=fault))
        else:
            clips.append(replace(clip, sha256=hashes[clip.path]))
    return Manifest(tuple(clips), manifest.notes)


def _to_row(clip: Clip, folder: Path) -> list[str]:
    values: dict[str, str] = {
        f.name: str(getattr(clip, f.name)) for f in fields(clip) if f.name not in ("path", "end")
    }
    # A link keeps its own name: what it points to may be called anything.
    values["file"] = os.path.relpath(clip.path.parent.resolve() / clip.path.name, folder)
    values["emotion"] = clip.emotion or ""
    values["start"] = repr(float(clip.start)) if clip.start else ""
    values["end"] = "" if clip.end is None else repr(float(clip.end))
    values["channels"] = "+".join(clip.channels)
    return [values[column] for column in COLUMNS]


def _from_row(row: dict[str, str | None], folder: Path, place: str) -> Clip:
    cells = {column: row[column] or "" for column in COLUMNS}
    if None in row or None in row.values():
        raise ManifestError(f"{place}: not {len(COLUMNS)} cells; expected one a column.")
    try:
        start, end = float(cells["start"] or 0.0), float(cells["end"]) if cells["end"] else None
        if not (0 <= start < math.inf and (end is None or start < end)):
            raise ValueError(f"start {start:g} s, end {end} s; expected 0 <= start < end")
        return Clip(
            clip_id=cells["clip_id"],
            corpus=cells["corpus"],
            path=Path(os.path.normpath(folder / cells["file"])),
            speaker=cells["speaker"],
            emotion=parse_emotion(cells["emotion"]) if cells["emotion"] else None,
            start=start,
            end=end,
            sex=cells["sex"],
            language=cells["language"],
            source_label=cells["source_label"],
            intensity=cells["intensity"],
            sentence=cells["sentence"],
            repetition=cells["repetition"],
            channels=tuple(cells["channels"].split("+")) if cells["channels"] else (),
            sha256=cells["sha256"],
            fault=cells["fault"],
        )
    except (ValueError, LabelError) as error:
        text = error.message if isinstance(error, LabelError) else str(error)
        raise ManifestError(f"{place}: {text}") from None
