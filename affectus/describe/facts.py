"""What `describe` finds, as plain values: what is printed, drawn and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class ColumnFacts:
    """One column over all frames: `nonzero` is a share, `deviation` the standard deviation."""

    name: str
    mean: float
    deviation: float
    low: float
    high: float
    nonzero: float


@dataclass(frozen=True)
class Spread:
    """How long clips are: least, greatest, mean, and percentiles by their name ('50')."""

    low: float
    high: float
    mean: float
    percentiles: dict[str, float]


@dataclass(frozen=True)
class Histogram:
    """The share of clips or values between each two of `edges`."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class GroupFacts:
    """A corpus's part of a feature set, or all of it (`corpus` is 'all').

    `frames` and `seconds` are of one clip; `seconds` is None where there is no frame rate. `mean`,
    `deviation` and `percentiles` are of all finite values together. `constant` names the columns
    that never change. `repeated` counts clips of several frames that are all the same, `empty`
    frames of nothing but zeros. `histogram` leaves out 0.1 % of values at each end, and zeros
    where they are more than a fifth.
    """

    corpus: str
    clips: int
    n_frames: int
    frames: Spread
    seconds: Spread | None
    nonzero: float
    not_finite: int
    low: float
    high: float
    mean: float
    deviation: float
    percentiles: dict[str, float]
    constant: tuple[str, ...]
    repeated: int
    empty: int
    columns: tuple[ColumnFacts, ...]
    histogram: Histogram
    lengths: Histogram


@dataclass(frozen=True)
class SetFacts:
    """One feature set of a store. `groups` begins with all clips; then each corpus.

    `without` counts recordings of the manifest, if one was given, that have no features here.
    """

    name: str
    store: str
    n_columns: int
    frame_rate: float | None
    record: dict[str, Any]
    states: dict[str, int]
    without: int
    with_zeros: bool
    groups: tuple[GroupFacts, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know before using these features, in words."""
        found = self.groups[0]
        texts = [
            f"{self.states[state]:,} clips are {state}, and not counted here"
            for state in ("failed", "planned")
            if self.states.get(state)
        ]
        if self.without:
            texts.append(f"{self.without:,} recordings of the manifest have no features here")
        if found.not_finite:
            texts.append(f"{found.not_finite:,} values are not finite, and not counted")
        if found.constant and found.n_frames > 1:
            names = ", ".join(found.constant[:5]) + ("…" if len(found.constant) > 5 else "")
            texts.append(f"{len(found.constant):,} columns never change, and tell nothing: {names}")
        if found.repeated:
            texts.append(
                f"in {found.repeated:,} clips all frames are the same: one vector repeated in time"
            )
        if found.empty:
            texts.append(
                f"{found.empty:,} of {found.n_frames:,} frames are nothing but zeros: missing, or "
                f"padding"
            )
        return tuple(texts)


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus's rows in a manifest. `faults` are rows that were not understood; the rest counts
    sound ones. `speakers` is by sex ('' where it is not known).
    """

    corpus: str
    clips: int
    faults: int
    speakers: Mapping[str, int]
    emotions: Mapping[str, int]
    unlabelled: int
    languages: tuple[str, ...]
    intensities: Mapping[str, int]
    with_votes: int


@dataclass(frozen=True)
class ManifestFacts:
    """A manifest, by corpus."""

    name: str
    sha256: str
    corpora: tuple[CorpusFacts, ...]
