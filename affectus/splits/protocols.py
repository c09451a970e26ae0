"""The named protocols, as `protocols.toml` lists them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from affectus.errors import SplitError, nearest

Kind = Literal["sequence", "listed", "grouped", "corpus", "crossed", "random", "own"]


@dataclass(frozen=True)
class Protocol:
    """One entry of protocols.toml; see there."""

    name: str
    version: int
    kind: Kind
    text: str
    folds: int = 0
    n_dev: float = 0
    corpus: str = ""
    speakers: str = ""
    test: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    known_as: str = ""

    @property
    def leaky(self) -> bool:
        """Whether speakers are on both sides by design."""
        return self.kind == "random"

    @property
    def shares_dev(self) -> bool:
        """Whether dev is of the training speakers by design; test is of nobody else's."""
        return self.kind == "crossed"

    @property
    def n_folds(self) -> str:
        """How many folds it makes, in words where the clips decide."""
        each = {"sequence": "one a speaker", "corpus": "one a corpus"}
        return str(self.folds or len(self.test) or each[self.kind])

    @property
    def apart(self) -> str:
        """Whether test speakers are apart from the others, in words."""
        if self.kind == "own":
            return "as the table has it"
        return "no" if self.leaky else "test yes, dev no" if self.shares_dev else "yes"


def list_protocols() -> tuple[Protocol, ...]:
    """Return the named protocols."""
    return tuple(_protocols().values())


def find_protocol(name: str) -> Protocol:
    """Return a protocol, or raise SplitError with the known names and the nearest."""
    known = _protocols()
    if name not in known:
        raise SplitError(
            f"no protocol '{name}'; known protocols: {', '.join(known)}.{nearest(name, known)}"
        )
    return known[name]


def parse_speakers(text: str) -> tuple[str, ...]:
    """Return the names in a text such as '1 4-6 DC', without zeros in front: 1, 4, 5, 6, dc."""
    names: list[str] = []
    for word in text.split():
        first, dash, last = word.partition("-")
        if dash and first.isdecimal() and last.isdecimal():
            names += (str(number) for number in range(int(first), int(last) + 1))
        else:
            names.append(str(int(word)) if word.isdecimal() else word.casefold())
    return tuple(names)


@cache
def _protocols() -> dict[str, Protocol]:
    text = files("affectus").joinpath("protocols.toml").read_text(encoding="utf-8")
    return {
        name: msgspec.convert({"name": name, **entry}, Protocol)
        for name, entry in tomllib.loads(text).items()
    }
