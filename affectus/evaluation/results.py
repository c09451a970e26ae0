"""What an evaluation holds. Plain values: written as JSON, and what every page is drawn from."""

from __future__ import annotations

from typing import Any

import msgspec

from affectus.metrics import CalibrationBin, Interval


class ClassScore(msgspec.Struct, frozen=True):
    """One label: how many clips have it, and its recall, precision and F1 (None: undefined)."""

    label: str
    n: int
    recall: Interval | None
    precision: Interval | None
    f1: Interval | None


class GroupScore(msgspec.Struct, frozen=True):
    """The clips that share a trait (sex female): how many clips and speakers, and their UAR.

    `n_classes` labels have clips in it: the UAR is the mean over these. `raters` is what one
    person who judged a clip reaches on the same clips, where there are votes: the UAR, against
    intended labels, of a vote drawn at random.
    """

    by: str
    name: str
    n: int
    n_speakers: int
    n_classes: int
    uar: Interval
    raters: Interval | None = None


class Gap(msgspec.Struct, frozen=True):
    """How far two groups are apart: the UAR of `best` less that of `worst`, and the raters'.

    The two are the groups of a trait that are farthest apart, so that of many groups the gap is
    the largest of many.
    """

    by: str
    best: str
    worst: str
    n_groups: int
    uar: Interval
    raters: Interval | None = None


class Calibration(msgspec.Struct, frozen=True):
    """Scores as probabilities, before and after each fold's temperature, fitted on its dev side.

    Without a temperature there is no `raw`, and the figures are those of the scores as they are.
    """

    ece: Interval
    brier: Interval
    nll: Interval
    bins: list[CalibrationBin]
    temperatures: dict[str, float]
    raw: dict[str, float]


class Selected(msgspec.Struct, frozen=True):
    """What remains if only the surest clips are answered: `coverage` of them.

    `threshold` is the confidence that they have at least.
    """

    coverage: float
    threshold: float
    n: int
    accuracy: float
    uar: float


class Control(msgspec.Struct, frozen=True):
    """The same answers to shuffled labels: mean UAR, 95 % of the shuffles, how many reach ours."""

    n_draws: int
    mean: float
    low: float
    high: float
    n_reached: int


class TargetScore(msgspec.Struct, frozen=True):
    """Answers held against one of two labels: what was intended, or what most raters perceived.

    `who` is the model, one rater (a vote drawn at random), or the raters' majority.
    """

    who: str
    target: str
    n: int
    uar: Interval
    war: Interval


class Mistake(msgspec.Struct, frozen=True):
    """A clip that was answered wrong, and with what score."""

    clip_id: str
    speaker: str
    truth: str
    prediction: str
    score: float


class Confused(msgspec.Struct, frozen=True):
    """Two labels that are taken for each other: clips of `truth` answered `prediction`.

    `share` is of the clips of `truth`; `clip_ids` are some of the surest.
    """

    truth: str
    prediction: str
    n: int
    share: float
    clip_ids: list[str]


class LeftOut(msgspec.Struct, frozen=True):
    """Clips of the manifest that are not judged, and why; some of their names."""

    reason: str
    n: int
    clip_ids: list[str]


class Evaluation(msgspec.Struct, frozen=True):
    """A judgement that can be defended: scores, what they rest on, and what limits them.

    `n_planned` clips were to be answered, `n_answered` were. Intervals are 95 %, by bootstrap over
    speakers. `protocol` holds name, version, text and whether it leaks; `adapted` tells whether
    features of the judged speakers were standardised by their own clips. `cautions` say in words
    what a reader must know before comparing. `curve` is the risk-coverage curve, in at most 101
    points (coverage, error rate); `area` the area under it.
    """

    name: str
    side: str
    adapted: bool
    labels: tuple[str, ...]
    scheme: str
    corpora: dict[str, int]
    protocol: dict[str, Any]
    n_planned: int
    n_answered: int
    n_speakers: int
    uar: Interval
    war: Interval
    macro_f1: Interval
    top2: Interval
    calibration: Calibration
    control: Control
    confusion: list[list[int]]
    classes: list[ClassScore]
    groups: list[GroupScore]
    gaps: list[Gap]
    speakers: list[GroupScore]
    targets: list[TargetScore]
    selected: list[Selected]
    curve: list[tuple[float, float]]
    area: float
    confused: list[Confused]
    mistakes: list[Mistake]
    left_out: list[LeftOut]
    cautions: list[str]
    provenance: dict[str, Any]

    @property
    def n_present(self) -> int:
        """How many labels have clips: the UAR is the mean over these."""
        return sum(score.n > 0 for score in self.classes)

    @property
    def chance(self) -> float:
        """The UAR of an answer that never depends on the clip: 1 / labels that have clips."""
        return 1 / self.n_present

    @property
    def n_failed(self) -> int:
        """How many clips were to be answered and were not."""
        return self.n_planned - self.n_answered
