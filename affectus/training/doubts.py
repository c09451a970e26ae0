"""A guard on success itself: results that are too good, or empty, and what is likely behind them.

An earlier system reported 100 % and a loss of 0: its label numbers had a hole. Nothing stopped it.
"""

from __future__ import annotations

import math

import numpy as np

from affectus.evaluation import Predictions
from affectus.metrics import confusion_matrix, negative_log_likelihood, uar

_FEW = 20  # dev clips below which a perfect score is luck
_PERFECT = 0.995
_CERTAIN = 1e-3  # negative log-likelihood of training clips
_FAR = 0.1


def find_doubts(training: Predictions, dev: Predictions) -> list[str]:
    """Return in words what makes a fold's success doubtful, each with its likely cause.

    Both are what the kept weights say of clips as they are, without augmentation.
    """
    return [*_one_answer(dev), *_perfect(dev), *_certain(training), *_better_than(training, dev)]


def measure_uar(predictions: Predictions) -> float:
    """Return the UAR of predictions."""
    k = len(predictions.labels)
    return float(uar(confusion_matrix(predictions.truth, predictions.prediction, k)))


def _one_answer(dev: Predictions) -> list[str]:
    answers = np.unique(dev.prediction)
    if len(answers) > 1 or len(np.unique(dev.truth)) < 2:
        return []
    return [
        f"All {len(dev)} dev clips are called {dev.labels[answers[0]]}: nothing was learnt. "
        f"Likely: the learning rate is too high or too low, there were too few epochs, or the "
        f"features are the same for every clip."
    ]


def _perfect(dev: Predictions) -> list[str]:
    score = measure_uar(dev)
    if score < _PERFECT or len(dev) < _FEW:
        return []
    return [
        f"Dev UAR is {score:.3f} over {len(dev)} clips: real voices are not that easy. Likely: "
        f"recordings of dev speakers among the training clips that no check could know, a feature "
        f"that holds the label (a column of numbers by emotion), or a synthetic corpus."
    ]


def _certain(training: Predictions) -> list[str]:
    loss = negative_log_likelihood(training.truth, training.scores)
    if loss >= _CERTAIN:
        return []
    return [
        f"The loss on the {len(training)} training clips is {loss:.1g}, that is, nothing: they are "
        f"known by heart. Likely: too few clips for so many weights, no augmentation, or a feature "
        f"that holds the label."
    ]


def _better_than(training: Predictions, dev: Predictions) -> list[str]:
    heard, unheard = measure_uar(training), measure_uar(dev)
    if unheard - heard < max(_FAR, 2 * math.sqrt(0.25 / len(dev))):
        return []
    return [
        f"Dev UAR is {unheard:.3f}, but {heard:.3f} on the training clips themselves: speakers "
        f"that were never heard should not be easier. Likely: dev clips that are few or of an "
        f"easier corpus, or wrong labels among the training clips."
    ]
