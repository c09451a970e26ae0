"""Columns of other tools' tables: what they are called, and what their cells mean.

**Source:** nkululeko (`file,emotion,speaker[,gender,split]`); audformat, segmented tables
(`file,start,end`, times as pandas writes a Timedelta, an end that is not known left empty);
Hugging Face audiofolder (`file_name`; names of sides from its page 'Structure your repository');
EmoBox and SpeechBrain (`wav`, `emo`, `dataset`, `start_time`, `end_time`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from affectus.emotions import read_label
from affectus.errors import LabelError, ManifestError, nearest
from affectus.manifest import COLUMNS

# our column: the names other tools give it, the usual one first
NAMES = {
    "file": ("file", "path", "filename", "file_name", "wav", "audio"),
    "emotion": ("emotion", "label", "emo", "class", "emotions", "labels"),
    "speaker": ("speaker", "spk", "speaker_id", "spk_id", "subject", "actor"),
    "start": ("start", "start_time"),
    "end": ("end", "end_time"),
    "corpus": ("corpus", "database", "dataset"),
    "sex": ("sex", "gender"),
    "age": ("age",),
    "ethnicity": ("ethnicity",),
    "language": ("language", "lang"),
    "intensity": ("intensity",),
    "sentence": ("sentence", "text_id"),
    "repetition": ("repetition",),
    "split": ("split", "split_set", "partition"),
    "votes": ("votes",),
    "take": ("take",),
    "parent": ("parent", "original"),
}
SIDES = {
    name: side
    for side, names in {
        "train": "train training",
        "dev": "dev develop development valid validation val",
        "test": "test testing eval evaluation",
    }.items()
    for name in names.split()
}
_SEXES = {"m": "male", "f": "female"}
_TIMEDELTA = re.compile(r"(?:(\d+) days?)?\s*(?:(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?))?")


def find_columns(header: Sequence[str], path: Path) -> list[int]:
    """Return where each column of `NAMES` stands in the header; len(header) for one that is not.

    Raises ManifestError where the file or the emotion is missing, and for a manifest.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        places.setdefault(name.strip().lower(), place)
    if set(COLUMNS) <= set(places):
        raise ManifestError(
            f"{path}: is a manifest already; expected a table of your own. Use it as it is: "
            f"affectus audit {path.name}"
        )
    found = []
    for ours, theirs in NAMES.items():
        place = next((places[name] for name in theirs if name in places), len(header))
        if place == len(header) and ours in ("file", "emotion"):
            raise ManifestError(
                f"{path}: no column '{ours}' among {', '.join(places) or 'none'}; expected "
                f"file,emotion,speaker.{nearest(ours, places)} Rename the column in the table's "
                f"first line."
            )
        found.append(place)
    return found


def read_seconds(text: str) -> float:
    """Return the seconds of '1.5', '0 days 00:00:01.500000' or '00:00:01.5'.

    Raises ValueError for anything else, and for what is not finite or below zero.
    """
    try:
        seconds = float(text)
    except ValueError:
        found = _TIMEDELTA.fullmatch(text)
        if not text.strip() or found is None:
            raise
        days, hours, minutes, rest = found.groups(default="0")
        seconds = int(days) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + float(rest)
    if not 0 <= seconds < math.inf:
        raise ValueError(text)
    return seconds


def read_span(start: str, end: str) -> tuple[float, float | None]:
    """Return start and end in seconds; nothing or NaT means the file's own.

    Raises ManifestError for what is no time, or an end that is not after the start.
    """
    found: list[float | None] = []
    for column, text in (("start", start), ("end", end)):
        try:
            found.append(None if text in ("", "NaT") else read_seconds(text))
        except ValueError:
            raise ManifestError(
                f"{column} is '{text}'; expected seconds, 0 or more, or a time like "
                f"'0 days 00:00:01.5'."
            ) from None
    begin, stop = found[0] or 0.0, found[1]
    if stop is not None and stop <= begin:
        raise ManifestError(f"end {stop:g} s; expected more than start {begin:g} s.")
    return begin, stop


def read_side(text: str) -> str:
    """Return train, dev or test for the names that tools give them, '' for none.

    Raises ManifestError for another name.
    """
    side = SIDES.get(text.lower(), "")
    if text and not side:
        raise ManifestError(
            f"split is '{text}'; expected train, dev or test (also valid, validation, "
            f"val).{nearest(text, SIDES)} Leave it empty for a clip of no side."
        )
    return side


def side_of(path: str) -> str:
    """Return the side that a folder of the path is named for, or ''."""
    return next((SIDES[part.lower()] for part in path.split("/")[:-1] if part.lower() in SIDES), "")


def read_sex(text: str) -> str:
    """Return 'male' or 'female' for their usual spellings, and anything else in small letters."""
    lower = text.lower()
    return _SEXES.get(lower, lower)


def read_votes(text: str) -> dict[str, int]:
    """Return how many raters chose each emotion, from 'angry:5 neutral:4'.

    Votes for what is none of our emotions ('other:1') are not counted. Raises ManifestError for
    another form.
    """
    votes: dict[str, int] = {}
    for part in text.split():
        label, _, count = part.rpartition(":")
        try:
            n, emotion = int(count), read_label(label)
        except (ValueError, LabelError) as error:
            why = f" ({error.message})" if isinstance(error, LabelError) else ""
            raise ManifestError(
                f"votes are '{text}'{why}; expected emotions with counts, such as "
                f"'angry:5 neutral:4'."
            ) from None
        if n < 0:
            raise ManifestError(f"{n} votes for {label}; expected 0 or more.")
        if emotion is not None:
            votes[emotion] = votes.get(emotion, 0) + n
    return votes
