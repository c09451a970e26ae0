"""Which clips of a manifest are not judged, and why."""

from __future__ import annotations

from collections.abc import Collection

from affectus.emotions import LabelScheme
from affectus.evaluation.results import LeftOut
from affectus.manifest import Manifest

_NAMED = 5  # clips of each reason


def count_left_out(
    manifest: Manifest,
    scheme: LabelScheme,
    planned: Collection[str],
    answered: Collection[str],
    side: str,
) -> list[LeftOut]:
    """Return the clips without an answer by reason, the most frequent first.

    `planned` are the ids of the clips on the judged side, `answered` those that have an answer.
    Every clip of the manifest is answered or counted here, once.
    """
    found: dict[str, list[str]] = {}
    for clip in manifest:
        if clip.clip_id in answered:
            continue
        if clip.fault:
            reason = clip.fault
        elif clip.emotion is None:
            reason = "no emotion that is known"
        elif scheme.label(clip.emotion) is None:
            reason = f"'{clip.emotion}' is none of the labels"
        elif clip.clip_id in planned:
            reason = "no answer: its features are missing"
        else:
            reason = f"on no {side} side of the folds that were run"
        found.setdefault(reason, []).append(clip.clip_id)
    return [
        LeftOut(reason, len(ids), ids[:_NAMED])
        for reason, ids in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
