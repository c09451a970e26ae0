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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from affectus.errors import ManifestError
from affectus.files import replacing
from affectus.manifest.clip import Clip
from affectus.manifest.exclusions import read_exclusions, write_exclusions
from affectus.manifest.rows import COLUMNS, read_rows, write_rows

__all__ = [
    "COLUMNS",
    "Clip",
    "Manifest",
    "hash_file",
    "join_manifests",
    "natural_key",
    "read_exclusions",
    "with_hashes",
    "write_exclusions",
]

_MOST_DIGITS = 4_300  # that Python makes a number of


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
            write_rows(file, self.clips, folder, path)

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
                return cls(tuple(read_rows(reader, header, folder, path)))
        except FileNotFoundError:
            raise ManifestError(
                f"{path}: no such file; expected a manifest. Make one with: affectus import"
            ) from None
        except csv.Error as error:
            raise ManifestError(f"{path}:{reader.line_num}: {error}; expected a CSV.") from None
        except (OSError, UnicodeDecodeError) as error:
            found = error.strerror if isinstance(error, OSError) else error
            raise ManifestError(
                f"{path}: {found}; expected a manifest, a CSV in UTF-8. Make one with: affectus "
                f"import"
            ) from None


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
