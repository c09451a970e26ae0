"""Training: an experiment to a run, a fold at a time.

The test side is never opened here but by `predict_side`, and that only when asked for 'test', and
by `cross_runs`, which asks runs about each other's.
"""

from __future__ import annotations

from affectus.training.crossing import cross_runs
from affectus.training.judging import evaluate_run, predict, predict_side
from affectus.training.losses import soft_cross_entropy
from affectus.training.optimising import follow, schedule
from affectus.training.running import train
from affectus.training.seeds import train_seeds
from affectus.training.together import is_first

__all__ = [
    "cross_runs", "evaluate_run", "follow", "is_first", "predict", "predict_side", "schedule",
    "soft_cross_entropy", "train", "train_seeds",
]  # fmt: skip
