"""Runs beside each other, on the clips that all of them answered: what differs, and is it luck?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.errors import EvaluationError
from affectus.evaluation.predictions import Predictions
from affectus.metrics import Interval


class Compared(msgspec.Struct, frozen=True):
    """One run on the shared clips."""

    name: str
    n_answered: int
    uar: Interval
    war: Interval
    macro_f1: Interval
    ece: float
    recalls: list[float | None]
    by_speaker: list[float]


class Pair(msgspec.Struct, frozen=True):
    """Two runs: the UAR of `first` less that of `second`, and how likely that is by luck.

    `p` is Wilcoxon's over speakers (each speaker's UAR), `p_holm` the same adjusted for the number
    of pairs. `mcnemar` is over clips, which are not independent: it is too hopeful.
    `n_better` and `n_worse` count speakers.
    """

    first: str
    second: str
    difference: Interval
    n_better: int
    n_worse: int
    p: float
    p_holm: float
    only_first: int
    only_second: int
    mcnemar: float


class Comparison(msgspec.Struct, frozen=True):
    """Runs on the clips that all of them answered.

    `n_shared` clips; `n_unshared` were answered by some of the runs only, and are left out.
    """

    labels: tuple[str, ...]
    n_shared: int
    n_unshared: int
    speakers: list[str]
    chance: float
    runs: list[Compared]
    pairs: list[Pair]
    cautions: list[str]


def compare_predictions(
    named: Mapping[str, Predictions], *, cautions: Sequence[str] = (), seed: int = 0
) -> Comparison:
    """Compare two runs or more on the clips that all answered.

    Raises EvaluationError if there are not two, their labels differ, they share no clips, a clip
    has other truths, or one answered a clip more than once.
    """
    names = list(named)
    if len(names) < 2:
        raise EvaluationError(f"{len(names)} runs; expected two or more to compare.")
    labels = named[names[0]].labels
    for name in names[1:]:
        if set(named[name].labels) != set(labels):
            raise EvaluationError(
                f"{name}: labels {', '.join(named[name].labels)}; expected those of {names[0]}: "
                f"{', '.join(labels)}. Compare runs of one label scheme."
            )
    aligned, n_unshared = _align(named, labels)
    truth, speakers = aligned[names[0]].truth, aligned[names[0]].speakers
    for name in names[1:]:
        if (aligned[name].truth != truth).any():
            bad = int((aligned[name].truth != truth).argmax())
            raise EvaluationError(
                f"{name}: clip '{aligned[name].clip_ids[bad]}' is "
                f"{labels[aligned[name].truth[bad]]}; in {names[0]} it is {labels[truth[bad]]}. "
                f"Compare runs on the same labels."
            )
    known = all(speakers)
    voices = speakers if known else ("",) * len(truth)
    k = len(labels)
    confusions = {
        name: metrics.confusions_by_group(truth, part.prediction, voices, k)
        for name, part in aligned.items()
    }
    people = confusions[names[0]][0]
    runs = [
        _compared(name, aligned[name], confusions[name][1], len(named[name]), seed)
        for name in names
    ]
    pairs = [
        _pair(one, other, aligned, confusions, seed, known) for one, other in combinations(names, 2)
    ]
    adjusted = metrics.holm_adjusted([pair.p for pair in pairs])
    texts = [*cautions]
    if n_unshared:
        texts.append(
            f"{n_unshared:,} clips were answered by some of the runs only; all figures are over "
            f"the {len(truth):,} that all answered."
        )
    if not known:
        texts.append("Speakers are not known: no interval and no test over speakers can be given.")
    elif len(people) < 6:
        texts.append(
            f"Only {len(people)} speakers: a difference cannot reach p 0.05, whatever it is."
        )
    return Comparison(
        labels=labels,
        n_shared=len(truth),
        n_unshared=n_unshared,
        speakers=list(people) if known else [],
        chance=1 / len(np.unique(truth)),
        runs=runs,
        pairs=[
            msgspec.structs.replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)
        ],
        cautions=texts,
    )


def _align(
    named: Mapping[str, Predictions], labels: Sequence[str]
) -> tuple[dict[str, Predictions], int]:
    """Return the shared clips of each run in one order, and how many are not shared."""
    places = {}
    for name, part in named.items():
        places[name] = {clip_id: i for i, clip_id in enumerate(part.clip_ids)}
        if len(places[name]) < len(part):
            raise EvaluationError(
                f"{name}: answered a clip in more than one fold; expected once. Compare runs of "
                f"protocols that test each clip once."
            )
    shared = set.intersection(*(set(of) for of in places.values()))
    if not shared:
        raise EvaluationError(
            f"{', '.join(named)}: no clip was answered by all; expected some. Compare runs on the "
            f"same manifest."
        )
    first = next(iter(named))
    order = [clip_id for clip_id in named[first].clip_ids if clip_id in shared]
    aligned = {}
    for name, part in named.items():
        rows = np.array([places[name][clip_id] for clip_id in order], np.intp)
        taken = part.take(rows)
        column = [part.labels.index(label) for label in labels]
        new = np.argsort(column)  # the label's number among `labels`
        aligned[name] = Predictions(
            tuple(labels), taken.clip_ids, taken.speakers, taken.folds,
            new[taken.truth], taken.scores[:, column],
        )  # fmt: skip
    n_all = len(set().union(*places.values()))
    return aligned, n_all - len(shared)


def _compared(
    name: str, part: Predictions, confusions: metrics.Matrix, n_answered: int, seed: int
) -> Compared:
    uar, war, f1 = (
        metrics.speaker_interval(metric, confusions, seed=seed)
        for metric in (metrics.uar, metrics.war, metrics.macro_f1)
    )
    recalls = metrics.recalls(confusions.sum(0))
    return Compared(
        name,
        n_answered,
        uar,
        war,
        f1,
        metrics.expected_calibration_error(part.truth, part.scores),
        [None if np.isnan(value) else float(value) for value in recalls],
        [float(value) for value in metrics.uar(confusions)],
    )


def _pair(
    one: str,
    other: str,
    aligned: Mapping[str, Predictions],
    confusions: Mapping[str, tuple[tuple[str, ...], metrics.Matrix]],
    seed: int,
    known: bool,
) -> Pair:
    both = np.stack([confusions[name][1] for name in (one, other)], axis=1)
    difference = metrics.speaker_interval(_uar_difference, both, seed=seed)
    # Rounded: what is equal but for the order of a sum is equal.
    steps = np.round(metrics.uar(both[:, 0]) - metrics.uar(both[:, 1]), 12)
    right = [aligned[name].prediction == aligned[name].truth for name in (one, other)]
    clips = metrics.mcnemar(*right)
    return Pair(
        one, other, difference, int((steps > 0).sum()), int((steps < 0).sum()),
        metrics.wilcoxon(steps) if known else 1.0, 1.0,
        clips.only_first, clips.only_second, clips.p,
    )  # fmt: skip


def _uar_difference(drawn: NDArray[np.generic]) -> NDArray[np.float64]:
    return metrics.uar(drawn[..., 0, :, :]) - metrics.uar(drawn[..., 1, :, :])
