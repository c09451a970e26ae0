"""What is known of an encoder by its name: the emotion corpora it has heard, and its licence.

The list is known.toml. A name is all there is: weights that were renamed are not recognised, and
an encoder that is not in the list is said to be unknown, not clean.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import PurePath

import msgspec

_ANY = "*"


class KnownEncoder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of known.toml. `heard` holds '*' where some corpora, not known which, were.

    `unconfirmed`: the publisher's own page was not seen to say so.
    """

    match: tuple[str, ...]
    heard: tuple[str, ...]
    licence: str
    source: str
    unconfirmed: bool = False


def tell_licence(*names: str) -> str:
    """Return the licence of an encoder's weights in words, for a model's card."""
    known = find_known(*names)
    if known is None:
        return "as its owner says"
    return known.licence + (" (not confirmed by its publisher's page)" if known.unconfirmed else "")


def find_known(*names: str) -> KnownEncoder | None:
    """Return what is known of an encoder that goes by these names, or None.

    Of a folder only its own name counts, of a hub name all of it.
    """
    for entry in _entries():
        for name in filter(None, names):
            if any(part in _plain(name).lower() for part in entry.match):
                return entry
    return None


def check_heard(
    names: Sequence[str], corpora: Sequence[str], declared: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Return which of these corpora an encoder has heard, and cautions on what is not known.

    `declared` are corpora that the user says it has heard.
    """
    known, name = find_known(*names), _plain(next(filter(None, names), ""))
    heard = {*declared, *(known.heard if known else ())}
    found = sorted(set(corpora) & heard)
    if known is None:
        return found, [
            f"It is not known which emotion corpora the encoder '{name}' was trained on: if these "
            f"clips are among them, the score is of its memory."
        ]
    if _ANY in heard and set(corpora) - heard:
        return found, [
            f"The encoder '{name}' was trained on emotion corpora, and it is not known on which: "
            f"if these clips are among them, the score is of its memory."
        ]
    return found, []


def _plain(name: str) -> str:
    path = PurePath(name)
    return path.name if path.is_absolute() else name


@cache
def _entries() -> tuple[KnownEncoder, ...]:
    text = files("affectus.encoders").joinpath("known.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text)["encoder"], tuple[KnownEncoder, ...])
