"""Emotion names: the eight canonical ones, every known spelling of each, and label schemes.

A *scheme* is the ordered list of labels a model answers with, and a stated policy for the two
emotions that not every corpus has: `calm` (keep, merge into neutral, drop) and `surprised` (keep,
drop). The policy is part of the scheme, so it is stored and printed with every model. No policy
maps any emotion to another one, except calm to neutral.

Spellings are those of the corpora and tools themselves: RAVDESS, CREMA-D, SAVEE, TESS, EMO-DB (in
German, too), nEMO, IEMOCAP, MELD, EmoBox, nkululeko, emotion2vec, deepface, py-feat. Three kinds of
label are left out on purpose, because they cannot be told or because nobody has decided it:

- one letter: W is anger in EMO-DB (Wut) and surprise in ShEMO, A fear (Angst) in the one and anger
  in the other, F happiness (Freude) in EMO-DB and fear in SAVEE;
- numbers, which every corpus deals out anew;
- IEMOCAP's excited (`exc`): many papers count it as happy, which is a choice, not a spelling.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

from affectus.errors import LabelError, nearest

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

_SPELLINGS = {
    "neutral": "neutral neu neutrality 中立/neutral",
    "calm": "calm calmness relaxed",
    "happy": "happy happiness hap joy joyful happily freude 开心/happy",
    "sad": "sad sadness trauer 难过/sad",
    "angry": "angry anger ang wut ärger 生气/angry",
    "fearful": "fearful fear fea scared anxiety anxious anxiety/fear angst 恐惧/fearful",
    "disgust": "disgust disgusted dis disgusting ekel 厌恶/disgusted",
    "surprised": "surprised surprise sur ps pleasant_surprise pleasant_surprised 吃惊/surprised",
}
_CANONICAL = {spelling: emotion for emotion, row in _SPELLINGS.items() for spelling in row.split()}

CalmPolicy = Literal["keep", "merge", "drop"]
SurprisedPolicy = Literal["keep", "drop"]

_MISSPELT = 0.75  # likeness to a known spelling from which a label counts as a slip of the pen

# Calm that is no label of its own counts as neutral, surprise that is none is left out.
_NAMED = {
    "six": EMOTIONS[:1] + EMOTIONS[2:7],  # common to RAVDESS, CREMA-D, SAVEE and TESS
    "seven": EMOTIONS[:1] + EMOTIONS[2:],
    "eight": EMOTIONS,
    "four": ("neutral", "happy", "sad", "angry"),
}


def parse_emotion(spelling: str) -> str:
    """Return the canonical emotion for any known spelling, in any case.

    Raises LabelError, with the known emotions and the nearest spelling, for anything else.

    >>> parse_emotion("HAP"), parse_emotion("Fear"), parse_emotion("pleasant surprise")
    ('happy', 'fearful', 'surprised')
    """
    key = _key(spelling)
    if key in _CANONICAL:
        return _CANONICAL[key]
    raise _unknown(spelling, nearest(key, _CANONICAL))


def read_label(label: str) -> str | None:
    """Return the canonical emotion for a label of somebody's data, or None if it is none of ours.

    Corpora have other emotions (boredom, contempt, excited) and labels for no emotion (other,
    unknown, xxx): None. What looks like a slip of the pen ('hapy') or holds a known name among
    other words ('01_happy') is not taken for either.

    Raises LabelError for those, with the name that may be meant.

    >>> read_label("Wut"), read_label("boredom")
    ('angry', None)
    """
    key = _key(label)
    if key in _CANONICAL:
        return _CANONICAL[key]
    words = [word for word in re.split(r"[\W\d_]+", key) if len(word) > 2 and word in _CANONICAL]
    meant = words or difflib.get_close_matches(key, _CANONICAL, n=1, cutoff=_MISSPELT)
    if meant:
        raise _unknown(label, f" Did you mean '{meant[0]}'?")
    return None


def _key(spelling: str) -> str:
    plain = unicodedata.normalize("NFC", spelling).lower()  # some systems write Ä as A and dots
    return "_".join(plain.replace("-", " ").replace("_", " ").split())


def _unknown(spelling: str, hint: str) -> LabelError:
    return LabelError(
        f"emotion '{spelling}' is not known; known emotions: {', '.join(EMOTIONS)} and their "
        f"common spellings.{hint}"
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
        if others and self.surprised == "keep":
            left_out = f"; {' and '.join(others)} clips are left out"
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

    Any other choice of emotions is a scheme by their names: `happy+sad+angry`. Calm then counts as
    neutral, if that is one of them and calm is not.

    A policy that contradicts the name (a `six` that keeps calm) is refused: LabelError.
    """
    labels = _choose_labels(name) if "+" in name else _NAMED.get(name)
    if labels is None:
        raise LabelError(
            f"no label scheme '{name}'; known schemes: {', '.join(_NAMED)}, or emotions joined by "
            f"a plus (happy+sad).{nearest(name, _NAMED)}"
        )
    keeps_calm, keeps_surprised = "calm" in labels, "surprised" in labels
    usual: CalmPolicy = "keep" if keeps_calm else "merge" if "neutral" in labels else "drop"
    chosen_calm = calm or usual
    usual_surprised: SurprisedPolicy = "keep" if keeps_surprised else "drop"
    chosen_surprised = surprised or usual_surprised
    if chosen_calm not in get_args(CalmPolicy):
        raise LabelError(
            f"scheme '{name}': calm is '{chosen_calm}'; expected {', '.join(get_args(CalmPolicy))}."
            f"{nearest(str(chosen_calm), get_args(CalmPolicy))}"
        )
    contradicts = (chosen_calm == "keep") != keeps_calm or chosen_surprised != usual_surprised
    if contradicts or (chosen_calm == "merge" and "neutral" not in labels):
        raise LabelError(
            f"scheme '{name}': calm={chosen_calm}, surprised={chosen_surprised} would change its "
            f"labels; expected calm={usual} or, without calm, merge (into neutral) or drop, and "
            f"surprised={usual_surprised}. Choose another scheme."
        )
    plain = "+".join(labels) if "+" in name else name
    return LabelScheme(plain, labels, chosen_calm, chosen_surprised)


def _choose_labels(name: str) -> tuple[str, ...]:
    """Return the emotions that a name joins by plus signs, in canonical order."""
    chosen = [parse_emotion(word) for word in name.split("+")]
    if len(set(chosen)) < len(chosen):
        raise LabelError(f"scheme '{name}': an emotion stands twice; expected each once.")
    return tuple(emotion for emotion in EMOTIONS if emotion in chosen)
