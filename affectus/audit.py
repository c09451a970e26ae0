"""The audit: is this data what it says it is? Checks over a manifest and the recordings behind it.

Errors forbid training until they are mended or waved through by name; warnings are for a person to
judge; notes are facts worth knowing. A count is a count of clip identities, never of files.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from affectus.errors import MediaError
from affectus.manifest import Clip, Manifest, natural_key
from affectus.media import Limits, read_audio

Severity = Literal["error", "warning", "note"]
_LISTED = 8  # clips named in a message; all of them are in `clip_ids`
_IMBALANCE = 3.0  # largest class over smallest
_WARNS = {
    "W1101": ("truncated", "error", "Copy the file again."),
    "W1304": ("silent", "error", "Remove the clip, or record it again."),
    "W1306": ("clipped", "warning", "Lower the recording level; the clip can be used."),
    "W1303": ("beyond full scale", "note", "Nothing to do: it is scaled as it is."),
    "W1105": ("narrow band", "warning", "Do not mix narrow and wide band within one class."),
}


class Finding(msgspec.Struct, frozen=True):
    """One thing found: which check, how bad, which clips, in words, and what to do."""

    check: str
    severity: Severity
    clip_ids: tuple[str, ...]
    message: str
    remedy: str


class CorpusCount(msgspec.Struct, frozen=True):
    """What a manifest holds of one corpus. `expected` is None for a user's own."""

    corpus: str
    present: int
    expected: int | None
    n_speakers: int
    seconds: float
    emotions: dict[str, int]


class AuditReport(msgspec.Struct, frozen=True):
    """Counts by corpus and everything that was found."""

    counts: tuple[CorpusCount, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)


Progress = Callable[[int, int], None]  # (clips heard, clips in all)


def audit_manifest(
    manifest: Manifest,
    expected: Sequence[Clip] = (),
    *,
    limits: Limits = Limits(),
    on_progress: Progress = lambda heard, total: None,
) -> AuditReport:
    """Check names, labels, counts and balance, and listen to every recording once.

    `expected` lists the clips that the published corpora should hold (`expected_clips`).
    """
    findings = check_completeness(manifest, expected)
    findings += _check_rows(manifest)
    heard, media_findings = _listen(manifest, limits, on_progress)
    findings += media_findings
    findings += _check_identical(manifest, {key: sound for key, (sound, _) in heard.items()})
    findings += _check_balance(manifest)
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    seconds = {clip_id: duration for clip_id, (_, duration) in heard.items()}
    return AuditReport(_count(manifest, expected, seconds), tuple(findings))


def check_completeness(manifest: Manifest, expected: Sequence[Clip]) -> list[Finding]:
    """Compare identities with those of the published corpora: what is missing, what is extra."""
    findings = []
    for corpus in sorted({clip.corpus for clip in expected}):
        wanted = {clip.clip_id: clip for clip in expected if clip.corpus == corpus}
        present = {c.clip_id for c in manifest if c.corpus == corpus and not c.fault}
        missing = sorted(wanted.keys() - present)
        extra = sorted(present - wanted.keys())
        if missing:
            absent, some = _absent_speakers(wanted, present)
            parts = []
            if absent:
                parts.append(f"speakers {_listed(absent)} are missing altogether")
            if some:
                parts.append(f"of other speakers {len(some)} are missing: {_listed(some)}")
            findings.append(
                Finding(
                    "complete",
                    "error",
                    tuple(missing),
                    f"{corpus}: {len(wanted) - len(missing):,} of {len(wanted):,} clips; "
                    f"{'; '.join(parts)}",
                    "Get the missing files, or train with --allow-incomplete.",
                )
            )
        if extra:
            findings.append(
                Finding(
                    "complete",
                    "error",
                    tuple(extra),
                    f"{corpus}: {len(extra)} clips that it was not published with: "
                    f"{_listed(extra)}",
                    "Remove them, or import them as your own corpus.",
                )
            )
    return findings


def _absent_speakers(wanted: dict[str, Clip], present: set[str]) -> tuple[list[str], list[str]]:
    """Return speakers with no clip at all, and the missing clips of the other speakers."""
    by_speaker: dict[str, list[str]] = defaultdict(list)
    for clip in wanted.values():
        by_speaker[clip.speaker].append(clip.clip_id)
    absent = [s for s, ids in by_speaker.items() if not present & set(ids)]
    some = [
        clip_id
        for speaker, ids in by_speaker.items()
        if speaker not in absent
        for clip_id in ids
        if clip_id not in present
    ]
    return sorted(absent, key=natural_key), sorted(some)


def _check_rows(manifest: Manifest) -> list[Finding]:
    """Report rows whose name or label was not understood, and clips without label or speaker."""
    findings = []
    faults = [clip for clip in manifest if clip.fault]
    if faults:
        findings.append(
            Finding(
                "names",
                "error",
                tuple(clip.clip_id for clip in faults),
                f"{len(faults)} files were not understood: "
                + "; ".join(clip.fault for clip in faults[:_LISTED])
                + (f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""),
                "Rename or remove them, and import again; they are never trained on.",
            )
        )
    usable = [clip for clip in manifest if not clip.fault]
    unlabelled = tuple(clip.clip_id for clip in usable if clip.emotion is None)
    if unlabelled:
        findings.append(
            Finding(
                "labels",
                "warning",
                unlabelled,
                f"{len(unlabelled)} clips have no emotion: {_listed(unlabelled)}",
                "Label them, or leave them: they are not trained on.",
            )
        )
    nobody = tuple(clip.clip_id for clip in usable if not clip.speaker)
    if nobody:
        findings.append(
            Finding(
                "speakers",
                "warning",
                nobody,
                f"{len(nobody)} clips have no speaker: no split can keep their voices apart",
                "Add a speaker column.",
            )
        )
    return findings


def _listen(
    manifest: Manifest, limits: Limits, on_progress: Progress
) -> tuple[dict[str, tuple[str, float]], list[Finding]]:
    """Decode each clip; return its sound's hash and length by clip id, and what was wrong."""
    heard: dict[str, tuple[str, float]] = {}
    refused: dict[str, list[tuple[str, str]]] = defaultdict(list)
    warned: dict[str, list[str]] = defaultdict(list)
    clips = [clip for clip in manifest if not clip.fault]
    for number, clip in enumerate(clips, 1):
        try:
            recording = read_audio(clip.path, start=clip.start, end=clip.end, limits=limits)
        except MediaError as error:
            refused[error.code].append((clip.clip_id, error.text))
        else:
            sound = hashlib.sha256(recording.waveform.tobytes()).hexdigest()
            heard[clip.clip_id] = (sound, recording.duration)
            for warning in recording.warnings:
                warned[warning.code].append(clip.clip_id)
        on_progress(number, len(clips))
    findings = [
        Finding(
            "readable",
            "error",
            tuple(clip_id for clip_id, _ in rows),
            f"{len(rows)} recordings cannot be used ({code} {rows[0][1]}): "
            f"{_listed([clip_id for clip_id, _ in rows])}",
            "Get them again, or remove them.",
        )
        for code, rows in sorted(refused.items())
    ]
    for code, clip_ids in sorted(warned.items()):
        what, severity, remedy = _WARNS[code]
        findings.append(
            Finding(
                what,
                severity,  # type: ignore[arg-type]
                tuple(clip_ids),
                f"{len(clip_ids)} recordings are {what} ({code}): {_listed(clip_ids)}",
                remedy,
            )
        )
    return heard, findings


def _check_identical(manifest: Manifest, sounds: dict[str, str]) -> list[Finding]:
    """Find clips whose decoded sound is the same: copies, and copies that contradict."""
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in manifest:
        if clip.clip_id in sounds:
            groups[sounds[clip.clip_id]].append(clip)
    findings = []
    for same in groups.values():
        if len(same) < 2:
            continue
        names = " = ".join(clip.clip_id for clip in same[:_LISTED])
        speakers = sorted({clip.speaker for clip in same if clip.speaker})
        emotions = sorted({clip.emotion for clip in same if clip.emotion})
        severity: Severity = "warning"
        what = "identical audio"
        if len(emotions) > 1:
            severity, what = "error", f"identical audio labelled {' and '.join(emotions)}"
        elif len(speakers) > 1:
            severity, what = "error", f"identical audio of {' and '.join(speakers)}"
        if same[0].sha256 and len({clip.sha256 for clip in same}) == 1:
            what += " (the files are byte-identical)"
        findings.append(
            Finding(
                "identical",
                severity,
                tuple(clip.clip_id for clip in same),
                f"{what}: {names}",
                "Keep them on one side of every split (the guard does), or remove all but one.",
            )
        )
    return findings


def _check_balance(manifest: Manifest) -> list[Finding]:
    findings = []
    for corpus in manifest.corpora:
        counts = Counter(
            c.emotion for c in manifest if c.corpus == corpus and c.emotion and not c.fault
        )
        if len(counts) < 2:
            if counts:
                findings.append(
                    Finding(
                        "balance",
                        "error",
                        (),
                        f"{corpus}: every clip is {next(iter(counts))}",
                        "Add clips of other emotions: nothing can be told apart.",
                    )
                )
            continue
        (most, n_most), (least, n_least) = counts.most_common()[0], counts.most_common()[-1]
        severity: Severity = "warning" if n_most > _IMBALANCE * n_least else "note"
        if n_most > 1.5 * n_least:
            findings.append(
                Finding(
                    "balance",
                    severity,
                    (),
                    f"{corpus}: {n_most} clips are {most}, {n_least} are {least}",
                    "Read UAR, not accuracy; training.class_weights evens it out.",
                )
            )
    return findings


def _count(
    manifest: Manifest, expected: Sequence[Clip], seconds: dict[str, float]
) -> tuple[CorpusCount, ...]:
    counts = []
    for corpus in manifest.corpora:
        clips = [clip for clip in manifest if clip.corpus == corpus and not clip.fault]
        wanted = sum(clip.corpus == corpus for clip in expected)
        emotions = Counter(clip.emotion or "unlabelled" for clip in clips)
        counts.append(
            CorpusCount(
                corpus,
                len(clips),
                wanted or None,
                len({clip.speaker for clip in clips if clip.speaker}),
                round(sum(seconds.get(clip.clip_id, 0.0) for clip in clips), 3),
                dict(sorted(emotions.items())),
            )
        )
    return tuple(counts)


def _listed(clip_ids: Iterable[str]) -> str:
    names = list(clip_ids)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
