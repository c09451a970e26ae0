"""Predictions to an evaluation: scores with intervals by speaker, groups, confusion, calibration.

Numpy only: whoever has a table of scores can judge it here, whatever made it.
"""

from __future__ import annotations

from affectus.evaluation.comparison import Compared, Comparison, Pair, compare_predictions
from affectus.evaluation.crossing import (
    CrossMatrix,
    CrossScore,
    CrossTrained,
    cross_predictions,
)
from affectus.evaluation.judged import judged_name, read_evaluation, read_judged
from affectus.evaluation.judging import evaluate_predictions
from affectus.evaluation.left_out import count_left_out
from affectus.evaluation.mistakes import ErrorRate, annotate, error_rates, explain_errors
from affectus.evaluation.predictions import Predictions, join_predictions
from affectus.evaluation.results import (
    Calibration,
    ClassScore,
    Confused,
    Control,
    Evaluation,
    Gap,
    GroupScore,
    LeftOut,
    Mistake,
    Selected,
    TargetScore,
)

__all__ = [
    "Calibration", "ClassScore", "Compared", "Comparison", "Confused", "Control", "CrossMatrix",
    "CrossScore", "CrossTrained", "ErrorRate", "Evaluation", "Gap", "GroupScore", "LeftOut",
    "Mistake", "Pair", "Predictions", "Selected", "TargetScore", "annotate",
    "compare_predictions", "count_left_out", "cross_predictions", "error_rates",
    "evaluate_predictions", "explain_errors", "join_predictions", "judged_name",
    "read_evaluation", "read_judged",
]  # fmt: skip
