"""CREMA-D's tables: who the actors are, and what raters took each performance for.

`tabulatedVotes.csv` has three rows a performance. Its unnamed first column is 100,000 for those who
heard the voice, 200,000 for those who saw the face, 300,000 for those who did both, plus the number
of the performance in `SentenceFilenames.csv`. Columns A, D, F, H, N and S count the votes; -1, too,
means that nobody chose it.

**Source:** the README of the corpus, and the tables themselves.
"""

from __future__ import annotations

import csv
from pathlib import Path

from msgspec.structs import replace

from affectus.corpora.corpus import Ratings
from affectus.errors import CorpusError
from affectus.manifest import Clip, Manifest

Votes = dict[str, int]  # by emotion

VOTES = "tabulatedVotes.csv"
PEOPLE = "VideoDemographics.csv"
_RATERS = {1: "voice", 2: "face", 3: "both"}
_LETTERS = {
    "N": "neutral", "H": "happy", "S": "sad", "A": "angry", "F": "fearful", "D": "disgust",
}  # fmt: skip


def add_tables(manifest: Manifest, folder: Path, ratings: Ratings) -> Manifest:
    """Return the manifest with age, sex, ethnicity and votes from the tables below `folder`.

    A clip gets the votes of those who judged what its file holds, or of `ratings.raters`. With
    the label 'perceived' its emotion is the one that more raters chose than any other; where two
    are level it has none.

    Raises CorpusError for a table that cannot be read, or that is not there but needed.
    """
    people = _read_people(folder)
    votes = _read_votes(folder)
    perceived = ratings.label == "perceived"
    if not votes and ratings != Ratings():
        raise CorpusError(
            f"{folder}: no {VOTES}; expected it for the votes of raters. Give the folder that "
            f"holds processedResults too."
        )
    clips, n_ties, n_unrated = [], 0, 0
    for clip in manifest:
        if clip.fault:
            clips.append(clip)
            continue
        raters = ratings.raters or _raters_of(clip)
        counts = votes.get((clip.take.removeprefix("cremad/"), raters), {})
        person = people.get(clip.speaker.removeprefix("cremad:"), {})
        emotion = clip.emotion
        if perceived:
            emotion = find_plurality(counts)
            n_ties += bool(counts) and emotion is None
            n_unrated += not counts
        clips.append(replace(clip, emotion=emotion, votes=counts or None, **person))
    notes = list(manifest.notes)
    if perceived:
        whose = ratings.raters or "those who heard or saw the same"
        notes.append(
            f"labels are what most raters chose (raters: {whose}); {n_ties:,} clips are ties and "
            f"{n_unrated:,} have no votes: kept without an emotion, never trained on"
        )
    return Manifest(tuple(clips), tuple(notes))


def find_plurality(votes: Votes) -> str | None:
    """Return the emotion with more votes than any other, None for a tie or without votes."""
    most = max(votes.values(), default=0)
    first = [emotion for emotion, count in votes.items() if count == most]
    return first[0] if most > 0 and len(first) == 1 else None


def _raters_of(clip: Clip) -> str:
    return "both" if len(clip.channels) > 1 else clip.channels[0]


def _read_votes(folder: Path) -> dict[tuple[str, str], Votes]:
    """Return the votes by performance and raters; empty where there is no table."""
    found: dict[tuple[str, str], Votes] = {}
    for place, row in _read_rows(folder, VOTES, ("", "fileName", *_LETTERS)):
        try:
            raters = _RATERS[int(row[""]) // 100_000]
            counts = {emotion: int(row[letter]) for letter, emotion in _LETTERS.items()}
        except (ValueError, KeyError):
            raise CorpusError(
                f"{place}: row '{row['']}' of {row['fileName']}; expected a number of 100001 or "
                f"more and whole votes. Get the table again."
            ) from None
        key = row["fileName"], raters
        found[key] = {emotion: count for emotion, count in counts.items() if count > 0}
    return found


def _read_people(folder: Path) -> dict[str, dict[str, str]]:
    """Return age, sex and ethnicity by actor; empty where there is no table."""
    columns = ("ActorID", "Age", "Sex", "Race", "Ethnicity")
    return {
        row["ActorID"]: {
            "age": row["Age"],
            "sex": row["Sex"].lower(),
            "ethnicity": f"{row['Race']}, {row['Ethnicity']}",
        }
        for _, row in _read_rows(folder, PEOPLE, columns)
    }


def _read_rows(
    folder: Path, name: str, columns: tuple[str, ...]
) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of the first table of a name below `folder`, each with its place."""
    paths = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path.parts))
    if not paths:
        return []
    path = paths[0]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            header = reader.fieldnames or ()
            missing = [column for column in columns if column not in header]
            if missing:
                found = f"no column '{missing[0]}' in it"
                if str(header[:1]).count("git-lfs"):
                    found = "a Git LFS pointer, not the table"
                wanted = ", ".join(column or "''" for column in columns)
                raise CorpusError(
                    f"{path}: {found}; expected the columns {wanted}. Get it with: git lfs pull"
                )
            return [(f"{path}:{reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: {error}; expected a CSV in UTF-8. Get it again.") from None
