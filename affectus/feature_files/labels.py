"""What files say of the emotion, held against the manifest; it is used for nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from affectus.emotions import EMOTIONS, parse_emotion
from affectus.errors import ConfigError, LabelError
from affectus.feature_files.contents import Facts, some_of
from affectus.feature_files.matching import Clips

# What the integer labels of the earlier system's files stand for. Its RAVDESS files hold the
# corpus's code minus one, its CREMA-D files a scheme of its own; nothing in a file tells which.
LABELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "ravdess": tuple((emotion,) for emotion in EMOTIONS),
    "unified": (
        ("neutral", "calm"), ("happy",), ("sad",), ("angry",), ("fearful",), ("disgust",),
        ("surprised",),
    ),
}  # fmt: skip
_UNKNOWN = -1  # what the earlier system writes for a name it cannot read


def check_scheme(labels: str) -> None:
    """Refuse (ConfigError) what names no scheme."""
    if labels not in ("", "none", *LABELS):
        raise ConfigError(f"--labels {labels}: expected {', '.join(LABELS)} or none.")


def check_label(label: int | None, labels: str, place: str) -> None:
    """Refuse (ConfigError) to go on with integer labels whose scheme nobody named."""
    if label is not None and not labels:
        raise ConfigError(
            f"{place}: its label is {label}, and two schemes are in use; expected one to be named. "
            f"Add --labels ravdess (0 neutral, 1 calm, 2 happy …), --labels unified (0 neutral or "
            f"calm, 1 happy, 2 sad …) or --labels none."
        )


def check_labels(facts: Mapping[str, Facts], clips: Clips, labels: str) -> list[str]:
    """Hold what the files say of the emotion against the manifest; return contradictions."""
    numbered = {
        i: f.label for i, f in facts.items()
        if f.label is not None and f.label != _UNKNOWN and clips[i][0].emotion
    }  # fmt: skip
    wrong = {}
    for clip_id, number in numbered.items():
        if labels in LABELS and clips[clip_id][0].emotion not in _meaning(labels, number):
            wrong[clip_id] = f"{number} is {' or '.join(_meaning(labels, number)) or 'no label'}"
    findings = []
    if wrong:
        other = next(scheme for scheme in LABELS if scheme != labels)
        agree = sum(clips[i][0].emotion in _meaning(other, n) for i, n in numbered.items())
        findings.append(
            f"integer labels of {len(wrong):,} of {len(numbered):,} files contradict the manifest "
            f"under '{labels}': {_told(wrong, clips)}. Under '{other}' {agree:,} agree"
        )
    worded = {}
    for clip_id, found in facts.items():
        emotion = _parse(found.emotion)
        if emotion and clips[clip_id][0].emotion not in (None, emotion):
            worded[clip_id] = f"it says {emotion}"
    if worded:
        findings.append(
            f"emotions of {len(worded):,} files contradict the manifest: {_told(worded, clips)}"
        )
    return findings


def _meaning(labels: str, number: int) -> tuple[str, ...]:
    return LABELS[labels][number] if 0 <= number < len(LABELS[labels]) else ()


def _parse(word: str) -> str | None:
    try:
        return parse_emotion(word)
    except LabelError:
        return None  # a code of the corpus, or nothing: it says no emotion


def _told(wrong: Mapping[str, str], clips: Clips) -> str:
    told = [
        f"{clips[clip_id][1].place} ({text}; the clip is {clips[clip_id][0].emotion})"
        for clip_id, text in wrong.items()
    ]
    return some_of(told)
