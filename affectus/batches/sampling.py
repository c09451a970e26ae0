"""Balanced sampling: which clips an epoch draws, and how often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectus.batches.examples import Examples

Groups = NDArray[np.intp]


def find_groups(examples: Examples, sampling: str) -> Groups | None:
    """Return the number of each clip's group [N]; None where every clip is drawn once.

    `sampling` is none, class, corpus or corpus-class.
    """
    if sampling == "none":
        return None
    corpora = np.unique([clip.corpus for clip in examples.clips], return_inverse=True)[1]
    keys = {
        "class": examples.labels,
        "corpus": corpora,
        "corpus-class": corpora * (examples.labels.max() + 1) + examples.labels,
    }
    return np.unique(keys[sampling], return_inverse=True)[1].reshape(-1)


def expected_draws(groups: Groups) -> NDArray[np.float64]:
    """Return how often each clip is drawn in an epoch, on average: [N], summing to N."""
    sizes = np.bincount(groups)
    draws: NDArray[np.float64] = len(groups) / (len(sizes) * sizes[groups])
    return draws


def draw_clips(groups: Groups, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return N clips, as many of each group as of any other, but for one.

    A group's clips are drawn again only when all of them have been drawn.
    """
    n_groups = int(groups.max()) + 1
    share, left = divmod(len(groups), n_groups)
    quotas = np.full(n_groups, share)
    quotas[rng.permutation(n_groups)[:left]] += 1
    drawn = []
    for group, quota in enumerate(quotas):
        members = np.flatnonzero(groups == group)
        rounds = [rng.permutation(members) for _ in range(-(-quota // len(members)))]
        drawn.append(np.concatenate([*rounds, members[:0]])[:quota])
    return np.concatenate(drawn)
