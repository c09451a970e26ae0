"""Scores of groups of clips: by sex, corpus, age and whatever else the manifest knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from affectus import metrics
from affectus.evaluation.predictions import Predictions
from affectus.evaluation.recall_sums import mean_recall, sum_recalls
from affectus.evaluation.results import Gap, GroupScore
from affectus.manifest import Clip
from affectus.metrics import Interval

GROUPED_BY = ("corpus", "language", "sex", "age", "ethnicity", "intensity", "sentence")
UNKNOWN = "not known"
N_DRAWS = 1_000  # of the bootstrap: there may be hundreds of groups
_MOST_COMPARED = 12  # groups of a trait; the extremes of more are chance
_FEWEST_SPEAKERS = 3  # of a group that is compared

Floats = NDArray[np.float64]


def trait(clip: Clip, by: str) -> str:
    """Return a clip's trait as a group's name, '' where it is not known; ages by decade."""
    value = str(getattr(clip, by))
    if by == "age" and value.isdecimal():
        decade = int(value) // 10 * 10
        return f"{decade}–{decade + 9}"
    return value


def group_scores(
    predictions: Predictions, clips: Sequence[Clip], hits: Floats | None, seed: int
) -> tuple[list[GroupScore], list[Gap]]:
    """Return the scores of every group that clips fall into, and each trait's widest gap.

    A trait that is the same for all clips, or known of none, makes no groups. `hits` [N] are the
    raters' (see `Ratings.hits`), NaN for a clip without votes; None without any.
    """
    groups: list[GroupScore] = []
    gaps: list[Gap] = []
    for by in GROUPED_BY:
        names = [trait(clip, by) or UNKNOWN for clip in clips]
        if len(set(names)) > 1:
            found, gap = scores_by(by, np.array(names), predictions, hits, seed)
            groups += found
            gaps += gap
    return groups, gaps


def scores_by(
    by: str,
    names: NDArray[np.str_],
    predictions: Predictions,
    hits: Floats | None,
    seed: int,
) -> tuple[list[GroupScore], list[Gap]]:
    """Return the UAR within each group over the classes that it has, and the widest gap."""
    k, known = len(predictions.labels), all(predictions.speakers)
    groups, group = np.unique(names, return_inverse=True)
    speakers, speaker = np.unique(np.asarray(predictions.speakers), return_inverse=True)
    right = (predictions.prediction == predictions.truth).astype(np.float64)
    model = _recall_sums(group, len(groups), speaker, len(speakers), predictions.truth, right, k)
    raters: Sequence[Floats | None] = [None] * len(groups)
    if hits is not None:
        rated = ~np.isnan(hits)
        raters = _recall_sums(
            group[rated], len(groups), speaker[rated], len(speakers),
            predictions.truth[rated], hits[rated], k,
        )  # fmt: skip
    found = []
    for place, name in enumerate(groups):
        sums = model[place]
        n_clips = sums[..., 1].sum(0)
        found.append(
            GroupScore(
                by,
                str(name),
                int(n_clips.sum()),
                len(sums) if known else 0,
                int((n_clips > 0).sum()),
                _interval(sums, known, seed),
                _rated_interval(raters[place], known, seed),
            )
        )
    return found, _widest(found, names, predictions, hits, seed) if known else []


def _recall_sums(
    group: NDArray[np.intp],
    n_groups: int,
    speaker: NDArray[np.intp],
    n_speakers: int,
    truth: NDArray[np.intp],
    hits: Floats,
    k: int,
) -> list[Floats]:
    """Return hits and clips by class of each speaker in each group: for each group [S, K, 2]."""
    pairs, cell = np.unique(group * n_speakers + speaker, return_inverse=True)
    sums = sum_recalls(cell, len(pairs), truth, hits, k)
    ends = np.searchsorted(pairs, np.arange(n_groups + 1) * n_speakers)
    return [sums[a:b] for a, b in pairwise(ends)]


def _interval(sums: Floats, known: bool, seed: int) -> Interval:
    if not known:
        sums = sums.sum(0)[None]
    return metrics.speaker_interval(mean_recall, sums, n_draws=N_DRAWS, seed=seed)


def _rated_interval(sums: Floats | None, known: bool, seed: int) -> Interval | None:
    return None if sums is None or not len(sums) else _interval(sums, known, seed)


def _widest(
    found: Sequence[GroupScore],
    names: NDArray[np.str_],
    predictions: Predictions,
    hits: Floats | None,
    seed: int,
) -> list[Gap]:
    """Return the gap between the best and the worst group of a trait, if they can be compared.

    Groups of few speakers take no part, nor do those that lack a class that others have.
    """
    most = max(group.n_classes for group in found)
    fit = [
        group
        for group in found
        if group.n_speakers >= _FEWEST_SPEAKERS
        and group.n_classes == most
        and group.name != UNKNOWN
    ]
    if not 2 <= len(fit) <= _MOST_COMPARED:
        return []
    ranked = sorted(fit, key=lambda group: -group.uar.value)
    best, worst = ranked[0], ranked[-1]
    right = (predictions.prediction == predictions.truth).astype(np.float64)
    pair = (best.name, worst.name)
    gap = _difference(pair, names, predictions, right, seed)
    if hits is None or best.raters is None or worst.raters is None:
        rated = None
    else:
        rated = _difference(pair, names, predictions, hits, seed)
    return [Gap(best.by, *pair, len(fit), gap, rated)]


def _difference(
    pair: tuple[str, str],
    names: NDArray[np.str_],
    predictions: Predictions,
    hits: Floats,
    seed: int,
) -> Interval:
    """Return the difference of two groups' UAR; speakers who are in both are drawn for both."""
    known = np.isin(names, pair) & ~np.isnan(hits)
    second = (names[known] == pair[1]).astype(np.intp)
    voices, speaker = np.unique(np.asarray(predictions.speakers)[known], return_inverse=True)
    k = len(predictions.labels)
    cell = speaker * 2 + second
    sums = sum_recalls(cell, 2 * len(voices), predictions.truth[known], hits[known], k)
    sums = sums.reshape(len(voices), 2, k, 2)
    inside = sums[..., 1].sum(-1) > 0  # [S, 2]
    return metrics.speaker_interval(
        lambda drawn: mean_recall(drawn[..., 0, :, :]) - mean_recall(drawn[..., 1, :, :]),
        sums,
        n_draws=N_DRAWS,
        seed=seed,
        strata=(inside @ np.array([1, 2])).astype(np.intp),
    )
