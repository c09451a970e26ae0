"""What a split is, and its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from affectus.errors import SplitError
from affectus.files import decode_json, replacing

SIDES = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One fold: the clip ids of each side, and where they come from.

    `protocol` is a name of protocols.toml, or 'own' for a split made elsewhere. `text` says it in
    words, with what was special about these clips. `leaky` stamps all that is made with it. `seed`
    matters to random protocols only.
    """

    fold: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    protocol: str
    version: int
    text: str
    leaky: bool
    seed: int
    manifest_sha256: str

    def side(self, name: str) -> tuple[str, ...]:
        """Return the clip ids of a side."""
        ids: tuple[str, ...] = getattr(self, name)
        return ids


class _SplitsFile(msgspec.Struct):
    """What splits are written as."""

    version: int
    folds: tuple[Split, ...]


def write_splits(splits: Sequence[Split], path: Path | str) -> None:
    """Write splits as JSON, complete or not at all."""
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(b'{\n"version": 1,\n"folds": [')
        for place, split in enumerate(splits):  # a fold at a time: each may name a million clips
            file.write(b",\n" if place else b"\n")
            file.write(msgspec.json.format(msgspec.json.encode(split), indent=1))
        file.write(b"\n]\n}\n")


def read_splits(path: Path | str) -> tuple[Split, ...]:
    """Read splits written by `write_splits`, or made by hand in the same form.

    Raises SplitError with the place of the first fault.
    """
    try:
        found: _SplitsFile = decode_json(Path(path).read_bytes(), _SplitsFile)
    except OSError as error:
        raise SplitError(f"{path}: {error.strerror}; expected splits in JSON.") from None
    except ValueError as error:
        raise SplitError(f"{path}: {error}; expected splits as 'affectus split' writes.") from None
    if found.version != 1:
        raise SplitError(
            f"{path}: version {found.version}; expected 1. Use the Affectus that made it."
        )
    names = Counter(split.fold for split in found.folds)  # each is the name of a folder in a run
    for name, count in names.items():
        if count > 1 or not name or "/" in name or name.startswith("."):
            raise SplitError(
                f"{path}: {count} folds are called '{name}'; expected plain names, each once."
            )
    if not names:
        raise SplitError(f"{path}: no folds; expected one or more.")
    return found.folds
