"""What each clip's scores cost: proper scoring rules, and how near a miss was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectus.metrics.confusion import Floats

LEAST = 1e-12  # a score below counts as this in logarithms


def log_losses(truth: NDArray[np.intp], scores: Floats) -> Floats:
    """Return -log(score of the true class) of each clip, in nats, [N]; below 1e-12 counts so."""
    losses: Floats = -np.log(np.maximum(scores[np.arange(len(truth)), truth], LEAST))
    return losses


def negative_log_likelihood(truth: NDArray[np.intp], scores: Floats) -> float:
    """Return the mean of `log_losses`."""
    return float(log_losses(truth, scores).mean())


def brier_losses(truth: NDArray[np.intp], scores: Floats) -> Floats:
    """Return each clip's squared distance of scores and truth, 0 to 2, [N].

    **Source:** Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly
    Weather Review 78: the sum over classes, as there; some halve it.
    """
    losses: Floats = (scores**2).sum(1) - 2 * scores[np.arange(len(truth)), truth] + 1
    return losses


def brier_score(truth: NDArray[np.intp], scores: Floats) -> float:
    """Return the mean of `brier_losses`: 0 is best; equal scores for K classes have 1 - 1/K."""
    return float(brier_losses(truth, scores).mean())


def top_hits(truth: NDArray[np.intp], scores: Floats, n: int = 2) -> NDArray[np.bool_]:
    """Return whether the true class is among the n with the highest scores, [N].

    Of equal scores the class that comes first counts as higher, as it does in a prediction.
    """
    own = scores[np.arange(len(truth)), truth][:, None]
    before = np.arange(scores.shape[1]) < truth[:, None]
    above = (scores > own) | ((scores == own) & before)
    hits: NDArray[np.bool_] = above.sum(1) < n
    return hits
