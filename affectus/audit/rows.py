"""What can be seen without listening: names, labels, speakers, and how evenly they are spread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from affectus.audit.findings import LISTED, Finding, Severity, count_of, listed
from affectus.manifest import Clip, Manifest

_IMBALANCE = 3.0  # largest class over smallest, and largest corpus over smallest
_FEW_SPEAKERS = 3  # below, no interval can be given, nor a split into train, dev and test


def check_rows(manifest: Manifest, expected: Sequence[Clip] = ()) -> list[Finding]:
    """Report rows that were not understood, clips without label or speaker, and contradictions."""
    findings = []
    faults = [c for c in manifest if c.fault and not c.fault.startswith("excluded: ")]
    if faults:
        findings.append(
            Finding(
                "names",
                "error",
                tuple(clip.clip_id for clip in faults),
                f"{len(faults)} files were not understood: "
                + "; ".join(clip.fault for clip in faults[:LISTED])
                + (f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""),
                "Rename or remove them, and import again; they are never trained on.",
            )
        )
    left_out = tuple(c.clip_id for c in manifest if c.fault.startswith("excluded: "))
    if left_out:
        findings.append(
            Finding(
                "excluded",
                "note",
                left_out,
                f"{count_of(len(left_out), 'clip')} excluded by a list: {listed(left_out)}",
                "Nothing to do: they are never trained on.",
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
                f"{len(unlabelled)} clips have no emotion: {listed(unlabelled)}",
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
    return findings + _check_published_labels(usable, expected) + _check_takes(usable)


def _check_published_labels(clips: Sequence[Clip], expected: Sequence[Clip]) -> list[Finding]:
    """Find clips whose emotion is not the published one. Where raters voted, theirs may differ."""
    published = {clip.clip_id: clip.emotion for clip in expected}
    other = [
        clip
        for clip in clips
        if clip.emotion
        and not clip.votes
        and published.get(clip.clip_id) not in (None, clip.emotion)
    ]
    if not other:
        return []
    names = (f"{c.clip_id} ({c.emotion}, published {published[c.clip_id]})" for c in other)
    return [
        Finding(
            "labels",
            "warning",
            tuple(clip.clip_id for clip in other),
            f"{count_of(len(other), 'clip')} labelled otherwise than published: {listed(names)}",
            "Check them by ear; import again to have the published labels.",
        )
    ]


def _check_takes(clips: Sequence[Clip]) -> list[Finding]:
    """Find performances that several clips come of, and whose clips do not agree."""
    takes: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.take and clip.emotion:
            takes[clip.take].append(clip)
    findings = []
    for take, of_it in takes.items():
        emotions = sorted({clip.emotion for clip in of_it if clip.emotion})
        if len(emotions) < 2:
            continue
        # Raters who heard it and raters who saw it need not agree.
        voted = any(clip.votes for clip in of_it)
        text = f"its take {take} is labelled {' and '.join(emotions)}"
        findings.append(
            Finding(
                "contradiction",
                "warning" if voted else "error",
                tuple(clip.clip_id for clip in of_it),
                f"one performance labelled {' and '.join(emotions)}: take {take}: "
                f"{listed(f'{clip.clip_id} ({clip.emotion})' for clip in of_it)}",
                "Find the right label, or leave these clips out.",
                {} if voted else {clip.clip_id: text for clip in of_it},
            )
        )
    return findings


def check_balance(manifest: Manifest) -> list[Finding]:
    """Compare the sizes of classes, of corpora and of speakers."""
    findings = []
    clips = [clip for clip in manifest if clip.emotion and not clip.fault]
    for corpus in manifest.corpora:
        findings += _check_classes(corpus, [clip for clip in clips if clip.corpus == corpus])
        findings += _check_speakers(corpus, [clip for clip in clips if clip.corpus == corpus])
    sizes = Counter(clip.corpus for clip in clips).most_common()
    if len(sizes) > 1 and sizes[0][1] > _IMBALANCE * sizes[-1][1]:
        (most, n_most), (least, n_least) = sizes[0], sizes[-1]
        findings.append(
            Finding(
                "balance",
                "note",
                (),
                f"{n_most:,} clips are of {most}, {n_least:,} of {least}: the smaller counts for "
                f"little",
                "Read the scores by corpus.",
            )
        )
    return findings


def _check_classes(corpus: str, clips: Sequence[Clip]) -> list[Finding]:
    counts = Counter(clip.emotion for clip in clips)
    if len(counts) == 1:
        return [
            Finding(
                "balance",
                "error",
                (),
                f"{corpus}: every clip is {next(iter(counts))}",
                "Add clips of other emotions: nothing can be told apart.",
            )
        ]
    if not counts:
        return []
    (most, n_most), (least, n_least) = counts.most_common()[0], counts.most_common()[-1]
    if n_most <= 1.5 * n_least:
        return []
    return [
        Finding(
            "balance",
            "warning" if n_most > _IMBALANCE * n_least else "note",
            (),
            f"{corpus}: {n_most} clips are {most}, {n_least} are {least}",
            "Read UAR, not accuracy; training.class_weights evens it out.",
        )
    ]


def _check_speakers(corpus: str, clips: Sequence[Clip]) -> list[Finding]:
    counts = Counter(clip.speaker for clip in clips if clip.speaker).most_common()
    if not counts:
        return []
    findings = []
    if len(counts) < _FEW_SPEAKERS:
        findings.append(
            Finding(
                "speakers",
                "warning",
                (),
                f"{corpus}: {count_of(len(counts), 'speaker')} ({listed(s for s, _ in counts)}): "
                f"no score on it alone says anything about other people",
                "Use it beside other corpora, or record more speakers.",
            )
        )
    (most, n_most), (least, n_least) = counts[0], counts[-1]
    severity: Severity = "note"
    if n_most > 0.5 * len(clips) and len(counts) >= _FEW_SPEAKERS:
        severity = "warning"
    if severity == "warning" or n_most > _IMBALANCE * n_least:
        share = f", {n_most / len(clips):.0%} of all" if severity == "warning" else ""
        findings.append(
            Finding(
                "balance",
                severity,
                (),
                f"{corpus}: {count_of(n_most, 'clip')} of {most}{share}, {n_least:,} of {least}",
                "Read the scores by speaker, and their interval.",
            )
        )
    return findings
