"""A report for a person at a terminal: counts, what gives the emotion away, and the findings."""

from __future__ import annotations

import shutil
import sys
import textwrap

from affectus.audit.findings import SEVERITIES, AuditReport, count_of
from affectus.console import print_table

_COLOURS = {"error": "\033[1;31m", "warning": "\033[33m", "note": "\033[2m"}
_MOST_EMOTIONS = 9  # columns that fit


def print_report(report: AuditReport) -> None:
    """Print a report on standard output; findings stand one a line where that is no terminal."""
    print_table(
        ("corpus", "clips", "expected", "missing", "extra", "speakers", "minutes"),
        [
            (c.corpus, c.present, c.expected, *_absent(c.expected, c.missing, c.extra),
             c.n_speakers, f"{c.seconds / 60:.1f}")
            for c in report.counts
        ],
    )  # fmt: skip
    _print_emotions(report)
    _print_confounds(report)
    if report.features:
        columns = ("features", "corpus", "clips", "done", "failed", "missing", "columns", "frames")
        print_table(
            columns,
            [
                (f.features, f.corpus, f.planned, f.done, f.failed, f.missing,
                 ", ".join(map(str, f.n_columns)), _span(*f.n_frames))
                for f in report.features
            ],
        )  # fmt: skip
    _print_findings(report)
    print(summarise(report))


def summarise(report: AuditReport) -> str:
    """Return `1 error, 2 warnings, 3 notes. No clip need be left out.`"""
    numbers = {s: sum(f.severity == s for f in report.findings) for s in SEVERITIES}
    counts = ", ".join(count_of(n, name) for name, n in numbers.items())
    left_out = len(report.exclusions())
    verb = "is" if left_out == 1 else "are"
    clips = f"{count_of(left_out, 'clip')} {verb} better left out" if left_out else (
        "No clip need be left out"
    )  # fmt: skip
    return f"{counts if report.findings else 'Nothing was found'}. {clips}."


def _print_emotions(report: AuditReport) -> None:
    """Print clips by corpus and emotion; beside them what was published, where that is other."""
    emotions = sorted({emotion for count in report.counts for emotion in count.emotions})
    if not 0 < len(emotions) <= _MOST_EMOTIONS:
        return
    known = {
        (group.corpus, group.name or "unlabelled"): group.expected
        for group in report.groups
        if group.by == "emotion"
    }
    rows = []
    for count in report.counts:
        cells: list[object] = [count.corpus]
        for emotion in emotions:
            here, there = count.emotions.get(emotion, 0), known.get((count.corpus, emotion))
            cells.append(here if there in (None, here) else f"{here:,} of {there:,}")
        rows.append([cell or None for cell in cells])
    print_table(("clips", *emotions), rows)


def _print_confounds(report: AuditReport) -> None:
    """Print what each trait tells of the emotion by itself."""
    rows = []
    traits = list(dict.fromkeys(found.trait for found in report.confounds))
    for corpus in dict.fromkeys(found.corpus for found in report.confounds):
        of_it = {found.trait: found for found in report.confounds if found.corpus == corpus}
        shown = (of_it.get(trait) for trait in traits)
        cells = (f"{f.uar:.2f} ({f.chance:.2f})" if f else None for f in shown)
        rows.append((corpus or "all together", *cells))
    if rows:
        print_table(("UAR (chance) by", *(f"{trait} alone" for trait in traits)), rows)


def _print_findings(report: AuditReport) -> None:
    at_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns
    for finding in report.findings:
        label, text = finding.severity.upper(), f"{finding.message}. {finding.remedy}".strip()
        if not at_terminal:
            print(f"{label:8}{text}")
            continue
        indent = " " * 9
        body = textwrap.fill(text, max(width, 40), initial_indent=indent, subsequent_indent=indent)
        print(f"{_COLOURS[finding.severity]}{label:9}\033[0m{body[9:]}")
    if report.findings:
        print()


def _absent(expected: int | None, missing: int, extra: int) -> tuple[int | None, int | None]:
    return (None, None) if expected is None else (missing, extra)


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"
