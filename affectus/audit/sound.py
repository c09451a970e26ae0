"""What was heard: recordings that cannot be used, and those that are not like the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from affectus.audit.findings import Distribution, Finding, Severity, count_of, listed
from affectus.audit.listening import Heard, Refused
from affectus.manifest import Clip, Manifest
from affectus.media.measures import SILENT_DB

_LFS = "E1006"
# code: (what, severity, remedy, whether to leave the clip out)
WARNS: dict[str, tuple[str, Severity, str, bool]] = {
    "W1101": ("truncated", "error", "Copy the file again.", True),
    "W1304": ("silent", "error", "Remove the clip, or record it again.", True),
    "W1306": ("clipped", "warning", "Lower the recording level; the clip can be used.", False),
    "W1305": (
        "not centred",
        "note",
        "Nothing to do: features do not hear it; the sound card does.",
        False,
    ),
    "W1102": ("of unsaid length", "note", "Nothing to do: it is read to its end.", False),
    "W1401": ("named as another container", "note", "Rename the file.", False),
    "W1303": ("beyond full scale", "note", "Nothing to do: it is scaled as it is.", False),
    "W1105": (
        "narrow band",
        "warning",
        "Do not mix narrow and wide band within one class.",
        False,
    ),
}
_SHORT, _LONG = 0.3, 60.0  # s; hardly a syllable; hardly one emotion
_ENOUGH = 20  # clips of a corpus, for one of them to be unusual
_FENCES = 3.0  # interquartile ranges: Tukey's outer fences (Exploratory Data Analysis, 1977)
_FACTOR = 2.0  # and at least that much longer or shorter than the median
_MOST = 0.9  # share of a corpus from which on a band is its own, and no accident
_BARS = 24


def check_heard(manifest: Manifest, found: Mapping[str, Heard | Refused]) -> list[Finding]:
    """Report what was refused or warned of, what has changed, and what is unusual in its corpus."""
    clips = [clip for clip in manifest if clip.clip_id in found]
    heard = {key: item for key, item in found.items() if isinstance(item, Heard)}
    findings = _check_refused({k: v for k, v in found.items() if isinstance(v, Refused)})
    findings += _check_warnings(heard)
    there = [clip for clip in clips if clip.clip_id in heard]
    changed = [c.clip_id for c in there if c.sha256 and c.sha256 != heard[c.clip_id].file_sha256]
    if changed:
        findings.append(
            Finding(
                "changed",
                "error",
                tuple(changed),
                f"{count_of(len(changed), 'file')} changed since the import: {listed(changed)}",
                "Import again, or get the files that were imported.",
            )
        )
    for corpus in manifest.corpora:
        of_it = {clip.clip_id: heard[clip.clip_id] for clip in there if clip.corpus == corpus}
        findings += _check_lengths(corpus, of_it)
        findings += _check_formats(corpus, of_it)
        findings += _check_bands(corpus, of_it)
    return findings


def _check_refused(refused: Mapping[str, Refused]) -> list[Finding]:
    by_code: dict[str, list[str]] = defaultdict(list)
    for clip_id, refusal in refused.items():
        by_code[refusal.code].append(clip_id)
    findings = []
    for code, clip_ids in sorted(by_code.items()):
        text = refused[clip_ids[0]].text
        message = f"{len(clip_ids)} recordings cannot be used ({code} {text}): {listed(clip_ids)}"
        check, remedy = "readable", "Get them again, or remove them."
        if code == _LFS:
            message = (
                f"{len(clip_ids)} files are Git LFS pointers, not recordings ({code}): "
                f"{listed(clip_ids)}"
            )
            check, remedy = "pointer", "Run 'git lfs pull' where they come from, and import again."
        reasons = {clip_id: f"{code} {refused[clip_id].text}" for clip_id in clip_ids}
        findings.append(Finding(check, "error", tuple(clip_ids), message, remedy, reasons))
    return findings


def _check_warnings(heard: Mapping[str, Heard]) -> list[Finding]:
    warned: dict[str, list[str]] = defaultdict(list)
    for clip_id, item in heard.items():
        for code in item.warnings:
            warned[code].append(clip_id)
    findings = []
    for code, clip_ids in sorted(warned.items()):
        what, severity, remedy, left_out = WARNS[code]
        findings.append(
            Finding(
                what,
                severity,
                tuple(clip_ids),
                f"{len(clip_ids)} recordings are {what} ({code}): {listed(clip_ids)}",
                remedy,
                dict.fromkeys(clip_ids, what) if left_out else {},
            )
        )
    return findings


def _check_lengths(corpus: str, heard: Mapping[str, Heard]) -> list[Finding]:
    findings = []
    seconds = {clip_id: item.seconds for clip_id, item in heard.items()}
    absolute: tuple[tuple[str, Callable[[float], bool], str], ...] = (
        ("short", lambda s: s < _SHORT, f"shorter than {_SHORT:g} s: hardly a syllable"),
        ("long", lambda s: s > _LONG, f"longer than {_LONG:g} s: hardly one emotion"),
    )
    odd: set[str] = set()
    for check, beyond, text in absolute:
        clip_ids = [clip_id for clip_id, length in seconds.items() if beyond(length)]
        odd.update(clip_ids)
        if clip_ids:
            shown = (f"{clip_id} ({seconds[clip_id]:.2f} s)" for clip_id in clip_ids)
            findings.append(
                Finding(
                    check,
                    "warning",
                    tuple(clip_ids),
                    f"{corpus}: {count_of(len(clip_ids), 'clip')} {text}: {listed(shown)}",
                    "Listen to them; cut what is long, remove what is nothing.",
                    {i: f"{check}: {seconds[i]:.2f} s" for i in clip_ids},
                )
            )
    if len(seconds) < _ENOUGH:
        return findings
    low, median, high = np.quantile(np.log(list(seconds.values())), (0.25, 0.5, 0.75))
    reach = _FENCES * (high - low)
    least = np.exp(min(low - reach, median - np.log(_FACTOR)))
    most = np.exp(max(high + reach, median + np.log(_FACTOR)))
    unusual = [i for i, s in seconds.items() if not least <= s <= most and i not in odd]
    if unusual:
        shown = (f"{clip_id} ({seconds[clip_id]:.2f} s)" for clip_id in unusual)
        findings.append(
            Finding(
                "length",
                "warning",
                tuple(unusual),
                f"{corpus}: {count_of(len(unusual), 'clip')} far from the corpus's own length, "
                f"whose median is {np.exp(median):.2f} s: {listed(shown)}",
                "Listen to them: two clips glued, one cut off, or fine.",
            )
        )
    return findings


def _check_formats(corpus: str, heard: Mapping[str, Heard]) -> list[Finding]:
    """Find files stored otherwise than most of their corpus: rate, channels, codec."""
    traits: tuple[tuple[str, Callable[[Heard], str]], ...] = (
        ("sample rate", lambda item: f"{item.source_rate:,} Hz"),
        ("channels", lambda item: count_of(item.n_channels, "channel")),
        ("codec", lambda item: item.codec),
    )
    findings = []
    for check, trait in traits:
        counts = Counter(trait(item) for item in heard.values()).most_common()
        if len(counts) < 2:
            continue
        usual, n_usual = counts[0]
        unusual = [clip_id for clip_id, item in heard.items() if trait(item) != usual]
        others = ", ".join(f"{n:,} have {value}" for value, n in counts[1:])
        findings.append(
            Finding(
                check,
                "warning",
                tuple(unusual),
                f"{corpus}: {n_usual:,} recordings have {usual}, {others}: {listed(unusual)}",
                "They are made alike when read, but what is lost is lost: see that no emotion "
                "has more of them.",
            )
        )
    return findings


def _check_bands(corpus: str, heard: Mapping[str, Heard]) -> list[Finding]:
    """Find recordings whose band ends before their sample rate would have it end."""
    cut = {i: h.cutoff for i, h in heard.items() if h.cutoff and "W1105" not in h.warnings}
    if not cut:
        return []
    all_of_it = len(cut) >= _MOST * len(heard)
    shown = (f"{clip_id} ({cutoff / 1000:.1f} kHz)" for clip_id, cutoff in cut.items())
    return [
        Finding(
            "narrow band",
            "note" if all_of_it else "warning",
            tuple(cut),
            f"{corpus}: {count_of(len(cut), 'recording')} of {len(heard):,} with nothing above a "
            f"sharp edge, as after a telephone, a low sample rate or a coarse codec: "
            f"{listed(shown)}",
            "Read scores on it for such recordings only."
            if all_of_it
            else "Do not mix narrow and wide band within one class.",
        )
    ]


def describe_distributions(
    manifest: Manifest, heard: Mapping[str, Heard]
) -> tuple[Distribution, ...]:
    """Return how length and loudness lie, for each corpus and for each emotion in it."""
    found = []
    for corpus in manifest.corpora:
        clips = [clip for clip in manifest if clip.corpus == corpus and clip.clip_id in heard]
        lengths = {clip.clip_id: heard[clip.clip_id].seconds for clip in clips}
        levels = {i: heard[i].level for i in lengths if heard[i].level > SILENT_DB}
        emotions = sorted({clip.emotion for clip in clips if clip.emotion})
        for emotion in ("", *emotions):
            of_it = [c for c in clips if emotion in ("", c.emotion)]
            found += _distribution(corpus, "length", emotion, of_it, lengths)
            found += _distribution(corpus, "loudness", emotion, of_it, levels)
    return tuple(found)


def _distribution(
    corpus: str, trait: str, emotion: str, clips: Sequence[Clip], values: Mapping[str, float]
) -> list[Distribution]:
    numbers = np.array([values[clip.clip_id] for clip in clips if clip.clip_id in values])
    if len(numbers) == 0:
        return []
    quantiles = np.quantile(numbers, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
    edges, counts = np.zeros(0), np.zeros(0, np.int64)
    if not emotion:  # the outermost bars hold what lies far beyond, so that one clip flattens none
        reach = 0.75 * (quantiles[5] - quantiles[1])
        first = max(quantiles[0], quantiles[1] - reach)
        last = max(min(quantiles[6], quantiles[5] + reach), first + 0.01)
        counts, edges = np.histogram(numbers.clip(first, last), _BARS, (first, last))
    return [
        Distribution(
            corpus,
            "length" if trait == "length" else "loudness",
            emotion,
            len(numbers),
            tuple(round(float(value), 3) for value in quantiles),
            tuple(round(float(edge), 4) for edge in edges),
            tuple(int(count) for count in counts),
        )
    ]
