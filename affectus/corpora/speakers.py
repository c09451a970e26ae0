"""Who speaks in somebody's own data: found in file names, or missed in words that help."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from affectus.corpora.columns import SIDES
from affectus.errors import CorpusError
from affectus.manifest import Clip

_GENERIC = (
    "--speaker '(spk[0-9]+)' finds spk7 in sad/spk7_03.wav, --speaker '/([^/]+)/' finds anna in "
    "sad/anna/03.wav"
)
# Where names usually tell it: a folder around the file, the first part of its name, the last; both
# also where spaces stand around the stroke, as in 'Anna - take 1.wav'.
_USUAL = (
    r"/([^/]+)/[^/]+$",
    r"([^/_-]+)[_-][^/]*$",
    r"([^/_-]+?) *[_-][^/]*$",
    r"[_-]([^/_-]+)\.\w+$",
    r"[_-] *([^/_-]+)\.\w+$",
)


class SpeakerPattern:
    """A regular expression with one group that finds the speaker in a path.

    Raises CorpusError for an expression that is none, or has no group or several.
    """

    def __init__(self, text: str) -> None:
        try:
            self._pattern = re.compile(text)
        except re.error as error:
            raise CorpusError(
                f"--speaker '{text}': {error}; expected a regular expression with one group, such "
                f"as (spk[0-9]+)."
            ) from None
        if self._pattern.groups != 1:
            raise CorpusError(
                f"--speaker '{text}': {self._pattern.groups} groups; expected one, as (…): what "
                f"stands in the brackets is the speaker."
            )

    def find(self, path: str) -> str:
        """Return the speaker, or raise CorpusError naming the path it is not found in."""
        found = self._pattern.search(path)
        if not found or not found.group(1):
            raise CorpusError(
                f"--speaker '{self._pattern.pattern}' finds nobody in '{path}'; expected "
                f"one speaker a file. Change the expression."
            )
        return str(found.group(1))


def speaker_notes(clips: Sequence[Clip], paths: Sequence[str], remedy: str) -> tuple[str, ...]:
    """Say in words what it means that clips have no speaker, and what to do; nothing if all have.

    `paths` are the files of the first clips as `--speaker` sees them: an expression that would do
    is proposed.
    """
    unknown = sum(not clip.speaker for clip in clips)
    if not unknown:
        return ()
    count = "" if unknown == len(clips) else f"{unknown:,} of {len(clips):,} clips: "
    not_people = set(SIDES)
    for clip in clips[: len(paths)]:
        not_people.update((clip.source_label.lower(), clip.emotion or ""))
    proposed = _propose(paths, not_people)
    example = f"for example, if that is who speaks, {proposed}" if proposed else _GENERIC
    return (
        f"{count}no speaker is known. Where one person is heard in training and in test, a model "
        f"can recognise the person instead of the emotion, and its score says nothing about people "
        f"it has never heard (speaker leakage). So these clips can only be split at random, and "
        f"every report then says that it is leaky. {remedy} {example}.",
    )


def _propose(paths: Sequence[str], not_people: Set[str]) -> str:
    """Return an expression that finds a speaker in every path, with what it finds, or nothing.

    What it finds must repeat as a speaker's name does: two names or more, two clips or more each
    on average, and none of them a class or a side. Names go before numbers, which may count takes.
    """
    numbers = ""
    for text in _USUAL:
        pattern = re.compile(text)
        found = [pattern.search(path) for path in paths]
        names = [match.group(1) for match in found if match]
        speakers = set(names)
        if len(names) < len(paths) or not 2 <= len(speakers) <= len(paths) / 2:
            continue
        if any(name.lower() in not_people or name != name.strip() for name in speakers):
            continue
        proposal = f"--speaker '{text}' finds {names[0]} in {paths[0]}, {len(speakers):,} in all"
        if not all(name.isdecimal() for name in speakers):
            return proposal
        numbers = numbers or proposal
    return numbers
