"""What an audit gives: findings, counts, and the figures that a page draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
LISTED = 8  # clips named in a message; all of them are in `clip_ids`


class Finding(msgspec.Struct, frozen=True):
    """One thing found: which check, how bad, which clips, in words, and what to do.

    `excluded` says which clips are better left out of training, and why; most findings are no
    reason to leave a clip out.
    """

    check: str
    severity: Severity
    clip_ids: tuple[str, ...]
    message: str
    remedy: str
    excluded: dict[str, str] = {}


class CorpusCount(msgspec.Struct, frozen=True):
    """What a manifest holds of one corpus. `expected` is None for a user's own.

    `missing` and `extra` count clips by name, or by number where the names are not known.
    """

    corpus: str
    present: int
    expected: int | None
    n_speakers: int
    seconds: float
    emotions: dict[str, int]
    missing: int = 0
    extra: int = 0


class GroupCount(msgspec.Struct, frozen=True):
    """The same for one speaker or one emotion of a corpus."""

    corpus: str
    by: Literal["speaker", "emotion"]
    name: str
    present: int
    expected: int | None
    missing: int
    extra: int
    seconds: float


class Distribution(msgspec.Struct, frozen=True):
    """How a trait lies over the clips of a corpus; `emotion` is '' for all of them.

    `quantiles` are the smallest, 5 %, 25 %, the median, 75 %, 95 %, the largest. Lengths are in
    seconds, loudness in dB of full scale. `counts` are clips between `edges`, for all clips only;
    the first and the last also hold what lies beyond.
    """

    corpus: str
    trait: Literal["length", "loudness"]
    emotion: str
    n: int
    quantiles: tuple[float, ...]
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


class Confound(msgspec.Struct, frozen=True):
    """How well a trait that is not the voice's expression tells emotions apart, by itself.

    `uar` is that of the trait alone, `chance` that of labels shuffled. `low` and `high` are its
    95 % interval over speakers, None where there is none. `separation` is how far the trait alone
    sets `emotion` apart from the others, 0 to 1: the share of its clips that are told by it, less
    the share of others taken for it. `corpus` is '' for the corpora together.
    """

    corpus: str
    trait: str
    uar: float
    low: float | None
    high: float | None
    chance: float
    p_value: float
    emotion: str
    separation: float
    n_speakers: int


class FeatureCount(msgspec.Struct, frozen=True):
    """What a store holds of one corpus's clips in one feature set.

    `n_columns` and `n_frames` (least, most) are those of what is done.
    """

    features: str
    corpus: str
    planned: int
    done: int
    failed: int
    missing: int
    n_columns: tuple[int, ...] = ()
    n_frames: tuple[int, int] = (0, 0)


class AuditReport(msgspec.Struct, frozen=True):
    """Counts by corpus, everything that was found, and the figures behind it."""

    counts: tuple[CorpusCount, ...]
    findings: tuple[Finding, ...]
    groups: tuple[GroupCount, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    confounds: tuple[Confound, ...] = ()
    features: tuple[FeatureCount, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def exclusions(self) -> Mapping[str, str]:
        """Return the clips that should not be trained on, and why, in the order of findings."""
        reasons: dict[str, list[str]] = {}
        for finding in self.findings:
            for clip_id, reason in finding.excluded.items():
                reasons.setdefault(clip_id, []).append(reason)
        return {clip_id: "; ".join(texts) for clip_id, texts in reasons.items()}


def listed(names: Iterable[str], separator: str = ", ", most: int = LISTED) -> str:
    """Return the first names, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return separator.join(found[:most]) + more


def count_of(number: int, thing: str) -> str:
    """Return `1 clip` or `1,200 clips`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
