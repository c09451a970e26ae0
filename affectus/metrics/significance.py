"""Are two runs different, and is one better than nothing?

Speakers are what varies: the paired test is Wilcoxon's over speakers. McNemar's over clips treats
clips of a speaker as independent, which they are not; it stands beside it because it is often asked
for, and is too hopeful.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.metrics.confusion import Floats

_EXACT = 200  # differences up to which every sign is counted out
_CELLS = 10_000_000  # clips times shuffles


class McNemar(NamedTuple):
    """Clips that only the first run had right, that only the second had, and the p-value."""

    only_first: int
    only_second: int
    p: float


def wilcoxon(differences: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test for paired differences [S].

    Differences of zero are left out, as Wilcoxon did; of none that are left, the p-value is 1. Up
    to 200 differences it is exact, also with ties: the ranks' signs are counted out. Beyond, it is
    the normal approximation, corrected for ties.

    **Source:** Wilcoxon (1945), "Individual Comparisons by Ranking Methods"; Hollander, Wolfe and
    Chicken (2014), "Nonparametric Statistical Methods", section 3.1. Agrees with
    scipy.stats.wilcoxon.
    """
    found = differences[differences != 0]
    n = len(found)
    if n == 0:
        return 1.0
    _, index, counts = np.unique(np.abs(found), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = (2 * last - counts + 1)[index]  # twice the mean rank of those that are equal: whole
    above = int(doubled[found > 0].sum())
    total = n * (n + 1)
    least = min(above, total - above)
    if n <= _EXACT:
        chances = np.zeros(total + 1)
        chances[0] = 1.0
        for rank in doubled:
            moved = np.zeros_like(chances)
            moved[rank:] = chances[: total + 1 - rank]
            chances = (chances + moved) / 2
        return float(min(1.0, 2 * chances[: least + 1].sum()))
    deviation = math.sqrt(float((doubled.astype(np.float64) ** 2).sum()) / 4)
    return math.erfc((total / 2 - least) / deviation / math.sqrt(2))


def holm_adjusted(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, so that 0.05 holds for all of them together.

    **Source:** Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted, highest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[i]))
        adjusted[i] = highest
    return adjusted


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Return McNemar's exact test of two runs' right answers on the same clips, both [N].

    **Source:** McNemar (1947), "Note on the sampling error of the difference between correlated
    proportions"; the p-value is that of a fair coin thrown for each clip that one run alone had
    right, two-sided.
    """
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    n, least = one + other, min(one, other)
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        for i in range(least + 1)
    ]
    return McNemar(one, other, min(1.0, 2 * math.fsum(math.exp(value) for value in logs)))


def permuted_uars(
    truth: NDArray[np.intp],
    prediction: NDArray[np.intp],
    groups: Sequence[str],
    k: int,
    *,
    n_draws: int = 1_000,
    seed: int = 0,
) -> Floats:
    """Return the UAR of the same answers to shuffled labels, [draws]: what they are worth by luck.

    Labels are shuffled among the clips of each group (speaker), so that an answer that tells the
    speaker, or favours a class, gains nothing. There are fewer draws, 100 at least, where clips
    are many.
    """
    n_draws = max(min(n_draws, _CELLS // len(truth)), min(n_draws, 100))
    rng = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    by_group = np.argsort(index, kind="stable")
    index, labels, answers = index[by_group], truth[by_group], prediction[by_group]
    counts = np.bincount(labels, minlength=k)
    present = counts > 0
    found = np.empty(n_draws)
    for draw in range(n_draws):
        shuffled = labels[np.argsort(index + rng.random(len(index)))]
        hits = np.bincount(shuffled[shuffled == answers], minlength=k)
        found[draw] = (hits[present] / counts[present]).mean()
    return found
