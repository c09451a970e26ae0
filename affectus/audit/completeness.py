"""Is all of a published corpus there, and nothing else? By corpus, by speaker and by emotion."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from affectus.audit.findings import CorpusCount, Finding, GroupCount, listed
from affectus.manifest import Clip, Manifest, natural_key


def check_completeness(
    manifest: Manifest, expected: Sequence[Clip], n_expected: Mapping[str, int] | None = None
) -> list[Finding]:
    """Compare identities with those of the published corpora: what is missing, what is extra.

    `expected` lists their clips by name. `n_expected` has the number of clips of a corpus whose
    names are not known.
    """
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
                parts.append(f"speakers {listed(absent)} are missing altogether")
            if some:
                of_whom = "of other speakers " if absent else ""
                verb = "is" if len(some) == 1 else "are"
                parts.append(f"{of_whom}{len(some)} {verb} missing: {listed(some)}")
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
                    f"{corpus}: {len(extra)} clips that it was not published with: {listed(extra)}",
                    "Remove them, or import them as your own corpus.",
                    dict.fromkeys(extra, "not of the published corpus"),
                )
            )
    named = {clip.corpus for clip in expected}
    for corpus, number in sorted((n_expected or {}).items()):
        present_number = sum(c.corpus == corpus and not c.fault for c in manifest)
        if corpus not in named and number and 0 < present_number != number:
            few = present_number < number
            what = "which are missing is not known" if few else "that is more than were published"
            remedy = "Get the missing files, or train with --allow-incomplete."
            findings.append(
                Finding(
                    "complete",
                    "error",
                    (),
                    f"{corpus}: {present_number:,} of {number:,} clips; {what}",
                    remedy if few else "Look for copies and files that are not the corpus's.",
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


def count_corpora(
    manifest: Manifest,
    expected: Sequence[Clip],
    n_expected: Mapping[str, int],
    seconds: Mapping[str, float],
) -> tuple[CorpusCount, ...]:
    """Count clips, speakers, seconds and emotions of each corpus."""
    counts = []
    for corpus in manifest.corpora:
        clips = [clip for clip in manifest if clip.corpus == corpus and not clip.fault]
        wanted = {clip.clip_id for clip in expected if clip.corpus == corpus}
        present = {clip.clip_id for clip in clips}
        emotions = Counter(clip.emotion or "unlabelled" for clip in clips)
        number = len(wanted) or n_expected.get(corpus) or None
        beyond = 0 if number is None else len(clips) - number
        counts.append(
            CorpusCount(
                corpus,
                len(clips),
                number,
                len({clip.speaker for clip in clips if clip.speaker}),
                round(sum(seconds.get(clip.clip_id, 0.0) for clip in clips), 3),
                dict(sorted(emotions.items())),
                len(wanted - present) if wanted else max(0, -beyond),
                len(present - wanted) if wanted else max(0, beyond),
            )
        )
    return tuple(counts)


def count_groups(
    manifest: Manifest, expected: Sequence[Clip], seconds: Mapping[str, float]
) -> tuple[GroupCount, ...]:
    """Count clips of each speaker and of each emotion, beside what was published of them."""
    known = {clip.corpus for clip in expected}
    wanted: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    present: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for found, clips in ((wanted, expected), (present, manifest)):
        for clip in clips:
            if not clip.fault:
                found[clip.corpus, "speaker", clip.speaker].add(clip.clip_id)
                found[clip.corpus, "emotion", clip.emotion or ""].add(clip.clip_id)
    groups = []
    for key in sorted(wanted.keys() | present.keys(), key=lambda k: (*k[:2], natural_key(k[2]))):
        corpus, by, name = key
        here, there = present[key], wanted[key]
        groups.append(
            GroupCount(
                corpus,
                "speaker" if by == "speaker" else "emotion",
                name,
                len(here),
                len(there) if corpus in known else None,
                len(there - here),
                len(here - there) if corpus in known else 0,
                round(sum(seconds.get(clip_id, 0.0) for clip_id in here), 3),
            )
        )
    return tuple(groups)
