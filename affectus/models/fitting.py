"""What `linear` is fitted by: scikit-learn's models, and settings chosen by folds of speakers.

No speaker is on two sides of an inner fold, and nobody of the outer fold's dev or test side is in
one: what is chosen here is chosen by training clips alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.errors import TrainingError
from affectus.metrics import confusion_matrix, uar

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_N_FOLDS = 5
COSTS = {"logistic": (1e-4, 1e-3, 1e-2, 1e-1, 1.0), "svm": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}
_SCALES = np.geomspace(0.01, 100, 201)  # 5 % apart


class Clips(NamedTuple):
    """Features [N, D], labels [N], weights [N] and speakers [N] of clips."""

    features: Floats
    labels: Ints
    weights: Floats
    groups: NDArray[Any]

    def take(self, rows: Ints) -> Clips:
        """Return some of the clips."""
        return Clips(self.features[rows], self.labels[rows], self.weights[rows], self.groups[rows])

    def layer(self, layer: int, n_layers: int) -> Clips:
        """Return the clips with one layer's columns."""
        width = self.features.shape[1] // n_layers
        return self._replace(features=self.features[:, layer * width : (layer + 1) * width])


class Machine(NamedTuple):
    """scikit-learn's scaler and model, and the scaled clips [N, D] that an SVM compares to."""

    scaler: Any
    model: Any
    clips: Floats
    gamma: float

    def decide(self, features: Floats) -> Floats:
        """Return scikit-learn's decisions on features [M, D]."""
        scaled = self.scaler.transform(features)
        if self.gamma:
            scaled = _kernel(scaled, self.clips, self.gamma)
        return np.asarray(self.model.decision_function(scaled), np.float64)


def fit_machine(name: str, clips: Clips, cost: float, gamma: float) -> Machine:
    """Return scikit-learn's model of the clips, with what scales its features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    scaler = StandardScaler().fit(clips.features)
    scaled = scaler.transform(clips.features)
    if name == "logistic":
        model = LogisticRegression(C=cost, max_iter=5000)
        return Machine(scaler, model.fit(scaled, clips.labels, clips.weights), scaled, 0.0)
    gamma = gamma or 1 / scaled.shape[1]
    # The whole kernel at once is a matrix product; libsvm, row by row, takes many times as long.
    model = SVC(C=cost, kernel="precomputed", decision_function_shape="ovo")
    model.fit(_kernel(scaled, scaled, gamma), clips.labels, clips.weights)
    return Machine(scaler, model, scaled, gamma)


def _kernel(one: Floats, other: Floats, gamma: float) -> Floats:
    from sklearn.metrics.pairwise import rbf_kernel

    return np.asarray(rbf_kernel(one, other, gamma), np.float64)


def inner_folds(clips: Clips) -> Iterator[tuple[Ints, Ints]]:
    """Yield rows to fit and rows to judge, by speaker; folds that lack a label are passed over."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_speakers, n_used = len(set(clips.groups.tolist())), 0
    if n_speakers > 1:
        folds = StratifiedGroupKFold(min(_N_FOLDS, n_speakers))
        for fitted, judged in folds.split(clips.features, clips.labels, clips.groups):
            if len(set(clips.labels[fitted].tolist())) == len(set(clips.labels.tolist())):
                n_used += 1
                yield fitted, judged
    if not n_used:
        raise TrainingError(
            f"{n_speakers} training speakers; expected enough to leave some out and still have "
            f"every label. Choose another scheme or protocol, or the model logistic with a cost."
        )


def judge_unheard(name: str, clips: Clips, cost: float, gamma: float) -> tuple[Floats, Ints]:
    """Return scores [N', K] and labels [N'] of clips, each by a model of other speakers."""
    scores, rows = [], []
    n_labels = len(set(clips.labels.tolist()))
    for fitted, judged in inner_folds(clips):
        decisions = fit_machine(name, clips.take(fitted), cost, gamma).decide(
            clips.features[judged]
        )
        if n_labels == 2:
            decisions = np.stack([-decisions, decisions], axis=1) / (1 if name == "svm" else 2)
        elif name == "svm":
            decisions = decisions @ sums(n_labels).T
        scores.append(decisions)
        rows.append(judged)
    return np.concatenate(scores), clips.labels[np.concatenate(rows)]


def best_layer(clips: Clips, n_layers: int, layer: int, cost: float) -> tuple[int, float]:
    """Return the layer and the cost with the highest UAR over the inner folds, chosen together.

    A layer or cost that is given is kept. Each cost begins at the weights of the one before.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    layers = range(n_layers) if layer < 0 else (layer,)
    costs = (cost,) if cost else COSTS["logistic"]
    n_labels = len(set(clips.labels.tolist()))
    folds = list(inner_folds(clips))
    best = (-1.0, -math.inf, 0, 0.0)
    for number in layers:
        chosen = clips.layer(number, n_layers)
        confusions = np.zeros((len(costs), n_labels, n_labels))
        chances = np.zeros(len(costs))
        for fitted, judged in folds:
            scaler = StandardScaler().fit(chosen.features[fitted])
            heard, unheard = (scaler.transform(chosen.features[rows]) for rows in (fitted, judged))
            model = LogisticRegression(max_iter=5000, warm_start=True)
            for place, value in enumerate(costs):
                model.C = value
                model.fit(heard, chosen.labels[fitted], chosen.weights[fitted])
                shares = model.predict_proba(unheard)
                labels = chosen.labels[judged]
                confusions[place] += confusion_matrix(labels, shares.argmax(1), n_labels)
                chances[place] += np.log(shares[np.arange(len(labels)), labels] + 1e-300).sum()
        for place, value in enumerate(costs):
            standing = (float(uar(confusions[place])), float(chances[place]), number, value)
            best = max(best, standing, key=lambda found: found[:2])
    return best[2], best[3]


def best_cost(name: str, clips: Clips, gamma: float) -> float:
    """Return the cost with the highest UAR over the inner folds; of equals, the likeliest."""

    def standing(cost: float) -> tuple[float, float]:
        scores, labels = judge_unheard(name, clips, cost, gamma)
        found = uar(confusion_matrix(labels, scores.argmax(1), scores.shape[1]))
        scale = best_scale(scores, labels) if name == "svm" else 1.0
        return float(found), _likelihood(scores * scale, labels)

    return max(COSTS[name], key=standing)


def best_scale(scores: Floats, labels: Ints) -> float:
    """Return what to multiply scores [N, K] by, so that their softmax is the likeliest."""
    return float(max(_SCALES, key=lambda scale: _likelihood(scores * scale, labels)))


def _likelihood(logits: Floats, labels: Ints) -> float:
    """Return the logarithm of the labels' probability by the softmax of logits [N, K]."""
    logits = logits - logits.max(1, keepdims=True)
    return float((logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1))).sum())


def sums(n_labels: int) -> Floats:
    """Return [K, K (K - 1) / 2]: what each pair's decision, for its first label, says of each."""
    first, second = np.triu_indices(n_labels, 1)
    rows = np.arange(n_labels)[:, None]
    return np.asarray((rows == first).astype(float) - (rows == second), np.float64)


def sign(n_labels: int) -> float:
    """Return -1 where scikit-learn speaks for a pair's second label: of two labels alone."""
    return -1.0 if n_labels == 2 else 1.0
