"""Scores of a classifier, how sure they are, and what tells two of them apart; numpy only.

    UAR   unweighted average recall = UA = balanced accuracy: the mean of the classes' recalls
    WAR   weighted average recall = WA = accuracy: the share of clips that are right

A class without clips has no recall: it is NaN in `recalls`, and left out of the mean, never
counted as zero or as right. Who averages must say so; `Evaluation` does.

Truth and prediction are [N] label indices, scores [N, K] float64 with rows summing to 1.
"""

from __future__ import annotations

from affectus.metrics.bootstrap import Interval, mean_interval, speaker_interval, speaker_intervals
from affectus.metrics.calibration import (
    CalibrationBin,
    calibration_bins,
    calibration_gap,
    calibration_sums,
    expected_calibration_error,
    find_temperature,
    scale_scores,
)
from affectus.metrics.confusion import (
    Matrix,
    confusion_matrix,
    confusions_by_group,
    f1_scores,
    macro_f1,
    precisions,
    recalls,
    uar,
    war,
)
from affectus.metrics.losses import (
    brier_losses,
    brier_score,
    log_losses,
    negative_log_likelihood,
    top_hits,
)
from affectus.metrics.selective import RiskCoverage, risk_coverage
from affectus.metrics.significance import (
    McNemar,
    holm_adjusted,
    mcnemar,
    permuted_uars,
    wilcoxon,
)

__all__ = [
    "CalibrationBin", "Interval", "Matrix", "McNemar", "RiskCoverage", "brier_losses",
    "brier_score", "calibration_bins", "calibration_gap", "calibration_sums",
    "confusion_matrix", "confusions_by_group", "expected_calibration_error", "f1_scores",
    "find_temperature", "holm_adjusted", "log_losses", "macro_f1", "mcnemar", "mean_interval",
    "negative_log_likelihood", "permuted_uars", "precisions", "recalls", "risk_coverage",
    "scale_scores", "speaker_interval", "speaker_intervals", "top_hits", "uar", "war",
    "wilcoxon",
]  # fmt: skip
