"""Is a model as often right as it is sure? And the one number that makes it so."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.metrics.confusion import Floats
from affectus.metrics.losses import LEAST

_COLDEST, _HOTTEST = 0.05, 20.0  # temperatures


class CalibrationBin(NamedTuple):
    """The clips whose confidence is from `low` to `high`: how sure, and how often right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def calibration_sums(
    truth: NDArray[np.intp], scores: Floats, groups: NDArray[np.intp], n_bins: int = 15
) -> Floats:
    """Return clips, their confidence and their hits, summed by group and bin: [G, bins, 3].

    A clip's confidence is its largest score; bins are equally wide. `groups` [N] are numbers.
    """
    confidence = scores.max(1)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    right = scores.argmax(1) == truth
    cell, n_groups = groups * n_bins + bins, int(groups.max()) + 1
    sums = [
        np.bincount(cell, weights=values, minlength=n_groups * n_bins)
        for values in (np.ones(len(cell)), confidence, right)
    ]
    return np.stack(sums, axis=-1).astype(np.float64).reshape(n_groups, n_bins, 3)


def calibration_gap(sums: NDArray[np.generic]) -> Floats:
    """Return the expected calibration error from sums by bin, [..., bins, 3].

    **Source:** Guo et al. (2017), "On Calibration of Modern Neural Networks", ICML, equation 3.
    """
    found = np.asarray(sums, np.float64)
    gaps: Floats = np.abs(found[..., 2] - found[..., 1]).sum(-1) / found[..., 0].sum(-1)
    return gaps


def calibration_bins(
    truth: NDArray[np.intp], scores: Floats, n_bins: int = 15
) -> list[CalibrationBin]:
    """Return the bins of a reliability diagram, equally wide, the empty ones with them."""
    (sums,) = calibration_sums(truth, scores, np.zeros(len(truth), np.intp), n_bins)
    return [
        CalibrationBin(
            i / n_bins,
            (i + 1) / n_bins,
            int(n),
            float(confidence / n) if n else None,
            float(hits / n) if n else None,
        )
        for i, (n, confidence, hits) in enumerate(sums)
    ]


def expected_calibration_error(truth: NDArray[np.intp], scores: Floats, n_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, 0 to 1."""
    sums = calibration_sums(truth, scores, np.zeros(len(truth), np.intp), n_bins)
    return float(calibration_gap(sums[0]))


def scale_scores(scores: Floats, temperature: float) -> Floats:
    """Return scores whose logits were divided by a temperature; 1 changes nothing.

    The order of a clip's scores stays, and so does what is predicted.
    """
    if temperature == 1:
        return scores
    logits = np.log(np.maximum(scores, LEAST)) / temperature
    raised = np.exp(logits - logits.max(1, keepdims=True))
    scaled: Floats = raised / raised.sum(1, keepdims=True)
    return scaled


def find_temperature(truth: NDArray[np.intp], scores: Floats) -> float:
    """Return the temperature that makes the truth the likeliest, 0.05 to 20.

    Above 1 the model was too sure of itself, below 1 not sure enough. To be fitted on clips of
    speakers who did not train the model, and judged on others. Of N clips of K classes the truth
    counts as (N + 1) / (N + K), and each other class as 1 / (N + K): a few clips, all of them
    right, do not make a model sure of everything.

    **Source:** Guo et al. (2017), section 4.2; the targets are those of Platt (1999),
    "Probabilistic Outputs for Support Vector Machines", for K classes. The log-likelihood is
    concave in 1 / temperature, so its slope is followed to zero by halving.
    """
    logits = np.log(np.maximum(scores, LEAST))
    logits -= logits.max(1, keepdims=True)
    n, k = logits.shape
    own = ((n * logits[np.arange(n), truth] + logits.sum(1)) / (n + k)).mean()

    def slope(log_temperature: float) -> float:
        raised = np.exp(logits / np.exp(log_temperature))
        expected = (raised * logits).sum(1) / raised.sum(1)
        return float(own - expected.mean())  # of the likelihood, by 1 / temperature

    cold, hot = np.log(_COLDEST), np.log(_HOTTEST)
    for _ in range(60):
        middle = (cold + hot) / 2
        if slope(middle) > 0:  # a larger 1 / temperature is likelier still
            hot = middle
        else:
            cold = middle
    return float(np.exp((cold + hot) / 2))
