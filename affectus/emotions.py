"""Emotion names: the eight canonical ones, every known spelling of each, and label schemes.

A *scheme* is the ordered list of labels a model answers with, and a stated policy for the two
emotions that not every corpus has: `calm` (keep, merge into neutral, drop) and `surprised` (keep,
drop). The policy is part of the scheme, so it is stored and printed with every model. No policy
maps any emotion to another one, except calm to neutral.

Spellings are those of the corpora and tools themselves: RAVDESS, CREMA-D, SAVEE, TESS, EMO-DB,
nEMO, IEMOCAP, EmoBox, nkululeko, emotion2vec, deepface, py-feat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from affectus.errors import LabelError, nearest

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

_SPELLINGS = {
    "neutral": "neutral neu neutrality",
    "calm": "calm calmness relaxed",
    "happy": "happy happiness hap joy joyful happily",
    "sad": "sad sadness",
    "angry": "angry anger ang",
    "fearful": "fearful fear fea scared anxiety anxious",
    "disgust": "disgust disgusted dis disgusting",
    "surprised": "surprised surprise sur ps pleasant_surprise pleasant_surprised",
}
_CANONICAL = {spelling: emotion for emotion, row in _SPELLINGS.items() for spelling in row.split()}

CalmPolicy = Literal["keep", "merge", "drop"]
SurprisedPolicy = Literal["keep", "drop"]

# name: (calm, surprised). What is neither kept nor merged is dropped.
_SCHEMES: dict[str, tuple[CalmPolicy, SurprisedPolicy]] = {
    "six": ("merge", "drop"),  # common to RAVDESS, CREMA-D, SAVEE and TESS
    "seven": ("merge", "keep"),
    "eight": ("keep", "keep"),
    "four": ("merge", "drop"),
}
_FOUR = ("neutral", "happy", "sad", "angry")


def parse_emotion(spelling: str) -> str:
    """Return the canonical emotion for any known spelling, in any case.

    Raises LabelError, with the known emotions and the nearest spelling, for anything else.

    >>> parse_emotion("HAP"), parse_emotion("Fear"), parse_emotion("pleasant surprise")
    ('happy', 'fearful', 'surprised')
    """
    key = "_".join(spelling.strip().lower().replace("-", " ").replace("_", " ").split())
    if key in _CANONICAL:
        return _CANONICAL[key]
    raise LabelError(
        f"emotion '{spelling}' is not known; known emotions: {', '.join(EMOTIONS)} and their "
        f"common spellings.{nearest(key, _CANONICAL)}"
    )


@dataclass(frozen=True)
class LabelScheme:
    """The labels of a model, in order, and what becomes of calm and surprised.

    `labels` holds K emotions in canonical order.
    """

    name: str
    labels: tuple[str, ...]
    calm: CalmPolicy
    surprised: SurprisedPolicy

    def label(self, emotion: str | None) -> str | None:
        """Return the label for a canonical emotion, or None where the scheme drops it."""
        if emotion == "calm" and self.calm == "merge":
            return "neutral"
        return emotion if emotion in self.labels else None

    def describe(self) -> str:
        """Say in words what happens to calm and surprised, and what else is left out."""
        calm = {"keep": "calm is its own label", "merge": "calm counts as neutral"}
        surprised = {"keep": "surprised is its own label", "drop": "surprised clips are left out"}
        others = [e for e in EMOTIONS if e not in (*self.labels, "calm", "surprised")]
        left_out = f"; so are {' and '.join(others)}" if others else ""
        return (
            f"{len(self.labels)} labels ({', '.join(self.labels)}); "
            f"{calm.get(self.calm, 'calm clips are left out')}; {surprised[self.surprised]}"
            f"{left_out}"
        )


def label_scheme(
    name: str = "eight",
    calm: CalmPolicy | None = None,
    surprised: SurprisedPolicy | None = None,
) -> LabelScheme:
    """Return the scheme `four`, `six`, `seven` or `eight`, its policy changed where given.

    A policy that contradicts the name (a `six` that keeps calm) is refused: LabelError.
    """
    if name not in _SCHEMES:
        raise LabelError(
            f"no label scheme '{name}'; known schemes: {', '.join(_SCHEMES)}."
            f"{nearest(name, _SCHEMES)}"
        )
    keeps_calm, keeps_surprised = _SCHEMES[name]
    chosen_calm = calm or keeps_calm
    chosen_surprised = surprised or keeps_surprised
    if chosen_calm not in get_args(CalmPolicy):
        raise LabelError(
            f"scheme '{name}': calm is '{chosen_calm}'; expected {', '.join(get_args(CalmPolicy))}."
            f"{nearest(str(chosen_calm), get_args(CalmPolicy))}"
        )
    if (chosen_calm == "keep") != (keeps_calm == "keep") or chosen_surprised != keeps_surprised:
        raise LabelError(
            f"scheme '{name}': calm={chosen_calm}, surprised={chosen_surprised} would change its "
            f"labels; expected calm={keeps_calm} or, without calm, merge or drop, and "
            f"surprised={keeps_surprised}. Choose another scheme."
        )
    if name == "four":
        labels: tuple[str, ...] = _FOUR
    else:
        kept = {"calm": chosen_calm == "keep", "surprised": chosen_surprised == "keep"}
        labels = tuple(emotion for emotion in EMOTIONS if kept.get(emotion, True))
    return LabelScheme(name, labels, chosen_calm, chosen_surprised)
