"""The same sound under two names: identical, or nearly so, with labels that may contradict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from affectus.audit.findings import Finding, Severity, listed
from affectus.audit.listening import Heard
from affectus.fingerprint import find_near_identical
from affectus.manifest import Clip, Manifest

_REMEDY = "Keep them on one side of every split (the guard does), or remove all but one."
_NEAR_REMEDY = (
    "Listen to them. Give copies one take, to keep them on one side, or keep one of them."
)
_CONTRADICTION = "Find out which is right, or leave these clips out."


def check_copies(manifest: Manifest, heard: Mapping[str, Heard]) -> list[Finding]:
    """Find clips whose decoded sound is the same, and clips whose sound is nearly the same.

    The latter were resampled, coded again, made louder or softer, or begin some milliseconds
    later. Those of one take are meant to be alike, and are not reported; identical ones are.
    """
    groups: dict[bytes, list[Clip]] = defaultdict(list)
    for clip in manifest:
        if clip.clip_id in heard and "W1304" not in heard[clip.clip_id].warnings:
            groups[heard[clip.clip_id].sound].append(clip)
    firsts = {same[0].clip_id: same[0] for same in groups.values()}
    identical = [same for same in groups.values() if len(same) > 1]
    return [
        *_describe("identical", "identical audio", identical, _REMEDY),
        *_describe("near identical", "nearly identical audio", _near(firsts, heard), _NEAR_REMEDY),
    ]


def _near(clips: Mapping[str, Clip], heard: Mapping[str, Heard]) -> list[list[Clip]]:
    """Return groups of clips of different takes that are linked by nearly identical pairs."""
    pairs = find_near_identical({clip_id: heard[clip_id].fingerprint for clip_id in clips})
    group_of: dict[str, list[Clip]] = {}
    for one, other, _ in pairs:
        if clips[one].take and clips[one].take == clips[other].take:
            continue
        first = group_of.setdefault(one, [clips[one]])
        second = group_of.setdefault(other, [clips[other]])
        if first is not second:
            first += second
            group_of.update((clip.clip_id, first) for clip in second)
    return list({id(group): group for group in group_of.values()}.values())


def _describe(
    check: str, what: str, groups: Sequence[Sequence[Clip]], remedy: str
) -> list[Finding]:
    """Return a finding for each kind of contradiction, and one for copies that have none."""
    kinds: dict[tuple[Severity, str], list[Sequence[Clip]]] = defaultdict(list)
    for same in groups:
        speakers = sorted({clip.speaker for clip in same if clip.speaker})
        emotions = sorted({clip.emotion for clip in same if clip.emotion})
        severity: Severity = "warning"
        text = what
        if len(emotions) > 1:
            severity, text = "error", f"{what} labelled {' and '.join(emotions)}"
        elif len(speakers) > 1:
            severity, text = "error", f"{what} of {' and '.join(speakers)}"
        if same[0].sha256 and len({clip.sha256 for clip in same}) == 1:
            text += " (the files are byte-identical)"
        kinds[severity, text].append(same)
    findings = []
    for (severity, text), alike in kinds.items():
        names = (" = ".join(clip.clip_id for clip in same) for same in alike)
        times = f", {len(alike):,} times" if len(alike) > 1 else ""
        findings.append(
            Finding(
                check,
                severity,
                tuple(clip.clip_id for same in alike for clip in same),
                f"{text}{times}: {listed(names, '; ', 4)}",
                _CONTRADICTION if severity == "error" else remedy,
                _excluded(check, severity, text, alike),
            )
        )
    return findings


def _excluded(
    check: str, severity: Severity, text: str, groups: Sequence[Sequence[Clip]]
) -> dict[str, str]:
    """Leave out all copies that contradict each other; of the others, all but the first."""
    reasons = {}
    for same in groups:
        for place, clip in enumerate(same):
            if severity == "error":
                others = [other.clip_id for other in same if other is not clip]
                reasons[clip.clip_id] = f"{text}: as {listed(others)}"
            elif place:
                reasons[clip.clip_id] = f"{check} to {same[0].clip_id}"
    return reasons
