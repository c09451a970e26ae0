"""The labels of somebody's own data: which emotion each stands for, and how many stand for none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from affectus.emotions import EMOTIONS, parse_emotion, read_label
from affectus.errors import LabelError

_LISTED = 8
_NONE = "other"  # what --map calls an emotion that is none of ours


@dataclass
class Labels:
    """What is made of the labels of one import.

    `spellings` says what labels mean that are not known, or are known to be no emotion of ours:
    {'exc': 'happy', 'unhappy': None}. `n_none` counts clips by label where no emotion came of it.
    """

    spellings: Mapping[str, str | None] = field(default_factory=dict)
    n_none: Counter[str] = field(default_factory=Counter)
    _read: dict[str, str | None] = field(default_factory=dict)

    def read(self, label: str) -> str | None:
        """Return the emotion of a clip with this label and count it; no label, no emotion.

        Raises LabelError for what may be a misspelling.
        """
        try:
            emotion = self._read[label]
        except KeyError:
            emotion = self._read[label] = self._find(label)
        if emotion is None and label:
            self.n_none[label] += 1
        return emotion

    def _find(self, label: str) -> str | None:
        if not label:
            return None
        key = label.strip().lower()
        if key in self.spellings:
            return self.spellings[key]
        try:
            return read_label(label)
        except LabelError as error:
            raise LabelError(
                f"{error.message} Correct it, or say what it means: --map '{label}=EMOTION', or "
                f"--map '{label}={_NONE}' for none of them."
            ) from None

    def notes(self, place: object) -> tuple[str, ...]:
        """Say in words how many clips are left without an emotion, by label.

        Raises LabelError if no label at all was understood, or if one of `spellings` is nobody's.
        """
        found = {label.strip().lower() for label in self._read}
        for label in self.spellings:
            if label not in found:
                raise LabelError(
                    f"{place}: --map '{label}=…': no clip has this label; expected one of "
                    f"{_in_words(sorted(filter(None, self._read)))}. Check the spelling."
                )
        if not self.n_none:
            return ()
        counts = _in_words(f"{label} {n:,}" for label, n in self.n_none.most_common())
        if all(emotion is None for emotion in self._read.values()) and not self.spellings:
            first = next(iter(self.n_none))
            raise LabelError(
                f"{place}: no label is an emotion that is known: {counts}; expected "
                f"{', '.join(EMOTIONS)} or their common spellings. Say what each means: "
                f"--map '{first}=EMOTION' and so on."
            )
        n = self.n_none.total()
        return (
            f"{n:,} clip{' has' if n == 1 else 's have'} a label that is none of the eight "
            f"emotions ({counts}); they are kept without an emotion and not trained on. If one of "
            f"them is meant to count, say as what: --map '{next(iter(self.n_none))}=EMOTION'.",
        )


def parse_spellings(texts: Iterable[str]) -> dict[str, str | None]:
    """Return what labels mean, from texts like 'exc=happy' and 'unhappy=other'.

    Raises LabelError for another form, for an emotion that is not known, and for a known spelling
    that would become another emotion.
    """
    spellings: dict[str, str | None] = {}
    for text in texts:
        label, equals, meaning = text.rpartition("=")
        label = label.strip().lower()
        if not equals or not label:
            raise LabelError(f"--map '{text}': no label and emotion; expected e.g. exc=happy.")
        emotion = None if meaning.strip().lower() in ("", _NONE) else parse_emotion(meaning)
        if spellings.setdefault(label, emotion) != emotion:
            raise LabelError(f"--map '{text}': '{label}' is mapped twice; expected it once.")
        try:
            known = parse_emotion(label)
        except LabelError:
            continue
        if emotion not in (None, known):
            raise LabelError(
                f"--map '{text}': '{label}' is a spelling of {known}; expected a label that is not "
                f"known. Change the table if its labels are wrong."
            )
    return spellings


def _in_words(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(every[:_LISTED]) + more
