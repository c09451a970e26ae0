"""What is gained by answering only where the model is sure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.metrics.confusion import Floats


class RiskCoverage(NamedTuple):
    """Error rates of the surest clips, [N]: of the first, of the first two, and so on.

    `threshold[i]` is the confidence that i + 1 clips have at least. `area` is the mean of `risk`:
    the area under the curve, to be small.
    """

    coverage: Floats
    risk: Floats
    threshold: Floats
    area: float


def risk_coverage(right: NDArray[np.bool_], confidence: Floats) -> RiskCoverage:
    """Return the risk-coverage curve of clips that are answered from the surest on, both [N].

    Clips of equal confidence cannot be told apart: each counts as wrong as they are on average.

    **Source:** El-Yaniv and Wiener (2010), "On the Foundations of Noise-free Selective
    Classification", JMLR 11; the area as in Geifman et al. (2019), "Bias-Reduced Uncertainty
    Estimation for Deep Neural Classifiers", ICLR.
    """
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    first = np.r_[True, sure[1:] != sure[:-1]]
    group = np.cumsum(first) - 1
    wrong = np.bincount(group, weights=~right[order]) / np.bincount(group)
    n = np.arange(1, len(sure) + 1)
    risk = np.cumsum(wrong[group]) / n
    return RiskCoverage(n / len(sure), risk, sure, float(risk.mean()))
