"""Logistic regression and a support vector machine: bodies like any other, fitted by scikit-learn.

They judge a clip by the mean of its frames: functionals have one frame, and are their own mean.
`fit` finds the weights in one go; from then on they are saved, exported and run as every network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affectus.errors import TrainingError
from affectus.metrics import confusion_matrix, uar
from affectus.models.inputs import Inputs
from affectus.models.layers import masked_mean

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_N_FOLDS = 5
_COSTS = {"logistic": (1e-4, 1e-3, 1e-2, 1e-1, 1.0), "svm": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}
_SCALES = np.geomspace(0.01, 100, 201)  # 5 % apart


class Logistic(nn.Module):
    """Multinomial logistic regression: one linear layer, whose softmax are the probabilities.

    `cost` is scikit-learn's C, how much the training clips count against small weights; 0 has it
    chosen by inner folds of training speakers.

    **Source:** none of the earlier systems; the plainest thing that any network has to beat.
    """

    def __init__(self, n_features: int, n_labels: int, *, cost: float = 0.0) -> None:
        super().__init__()
        if cost < 0:
            raise ValueError(f"cost is {cost:g}, below 0")
        self.linear = nn.Linear(n_features, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        logits: Tensor = self.linear(masked_mean(inputs.voice, inputs.voice_lengths))
        return logits


class SVM(nn.Module):
    """Support vector machine with an RBF kernel, exp(-gamma |x - s|²), over its support vectors.

    One machine for each pair of labels; a label's logit is the sum of its pairs' decisions, times a
    scale that makes the softmax a probability: it is fitted to clips that the machines of inner
    folds of training speakers had not heard (Platt 1999, with one number for all labels).
    `cost` is C, 0 to have it chosen by the same folds; `gamma` 0 is 1/D. `n_support`, the number of
    support vectors, is what `fit` finds.

    **Source:** the earlier 60-feature SVM (linear kernel) reported 81.33 % accuracy on eight
    labels, on a random test side of speakers and identical files heard in training.
    """

    gamma: Tensor

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        cost: float = 0.0,
        gamma: float = 0.0,
        n_support: int = 0,
    ) -> None:
        super().__init__()
        if cost < 0 or gamma < 0:
            raise ValueError(f"cost is {cost:g} and gamma {gamma:g}, one below 0")
        self.register_buffer("gamma", torch.tensor(gamma or 1 / n_features))
        self.support = nn.Parameter(torch.randn(n_support, n_features))
        self.weight = nn.Parameter(torch.randn(n_labels, n_support))
        self.bias = nn.Parameter(torch.zeros(n_labels))

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        # In float64: a distance is the small difference of large squares.
        clips = masked_mean(inputs.voice, inputs.voice_lengths).double()
        support = self.support.double()
        squares = (clips**2).sum(1)[:, None] + (support**2).sum(1)
        distance = (squares - 2 * clips @ support.T).clamp(min=0)
        near = torch.exp(-self.gamma.double() * distance)
        return (near @ self.weight.double().T).float() + self.bias


class Fitted(NamedTuple):
    """What `fit` found: a body, its settings, and what its features [D] are normalised by."""

    body: nn.Module
    settings: dict[str, Any]
    mean: Tensor
    deviation: Tensor


FITTED: dict[str, type[nn.Module]] = {"logistic": Logistic, "svm": SVM}


def fit(
    name: str,
    features: Floats,
    labels: Ints,
    weights: Floats,
    groups: NDArray[Any],
    *,
    n_labels: int,
    settings: Mapping[str, Any],
) -> Fitted:
    """Fit the model `name` to clips: features [N, D], labels [N], weights [N], speakers [N].

    A clip counts as much as its weight. Normalisation, the cost and the scale of the SVM's scores
    are fitted on these clips alone; where folds are needed, no speaker is on two sides of one.

    Raises TrainingError if a label has no clip, or the speakers are too few for inner folds.
    """
    if missing := sorted(set(range(n_labels)) - set(labels.tolist())):
        raise TrainingError(
            f"no training clip has label number {missing[0]} of {n_labels}; expected some of each. "
            f"Choose another scheme or protocol."
        )
    data = _Clips(features, labels, weights, groups)
    cost, gamma = float(settings.get("cost", 0)), float(settings.get("gamma", 0))
    cost = cost or _best_cost(name, data, gamma)
    machine = _fitted(name, data, cost, gamma)
    scaler, model = machine.scaler, machine.model
    found = {**settings, "cost": cost}
    if name == "svm":
        scale = _best_scale(*_unheard(name, data, cost, gamma))
        found["n_support"] = len(model.support_)
        body: nn.Module = SVM(features.shape[1], n_labels, **found)
        rows = _sums(n_labels) * scale
        values = {
            "gamma": body.gamma,
            "support": machine.clips[model.support_],
            "weight": rows @ _pairs(model, n_labels),
            "bias": rows @ (model.intercept_ * _sign(n_labels)),
        }
    else:
        body = Logistic(features.shape[1], n_labels, **found)
        weight, bias = model.coef_, model.intercept_
        if n_labels == 2:  # one row, for the second label: softmax of ±half is its sigmoid
            weight, bias = (np.concatenate([-part, part]) / 2 for part in (weight, bias))
        values = {"linear.weight": weight, "linear.bias": bias}
    body.load_state_dict({k: torch.as_tensor(v, dtype=torch.float32) for k, v in values.items()})
    mean, deviation = (torch.as_tensor(part).float() for part in (scaler.mean_, scaler.scale_))
    return Fitted(body, found, mean, deviation)


class _Clips(NamedTuple):
    features: Floats
    labels: Ints
    weights: Floats
    groups: NDArray[Any]

    def take(self, rows: Ints) -> _Clips:
        return _Clips(self.features[rows], self.labels[rows], self.weights[rows], self.groups[rows])


class _Machine(NamedTuple):
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


def _fitted(name: str, clips: _Clips, cost: float, gamma: float) -> _Machine:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    scaler = StandardScaler().fit(clips.features)
    scaled = scaler.transform(clips.features)
    if name == "logistic":
        model = LogisticRegression(C=cost, max_iter=5000)
        return _Machine(scaler, model.fit(scaled, clips.labels, clips.weights), scaled, 0.0)
    gamma = gamma or 1 / scaled.shape[1]
    # The whole kernel at once is a matrix product; libsvm, row by row, takes many times as long.
    model = SVC(C=cost, kernel="precomputed", decision_function_shape="ovo")
    model.fit(_kernel(scaled, scaled, gamma), clips.labels, clips.weights)
    return _Machine(scaler, model, scaled, gamma)


def _kernel(one: Floats, other: Floats, gamma: float) -> Floats:
    from sklearn.metrics.pairwise import rbf_kernel

    return np.asarray(rbf_kernel(one, other, gamma), np.float64)


def _inner_folds(clips: _Clips) -> Iterator[tuple[Ints, Ints]]:
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


def _unheard(name: str, clips: _Clips, cost: float, gamma: float) -> tuple[Floats, Ints]:
    """Return scores [N', K] and labels [N'] of clips, each by a model of other speakers."""
    scores, rows = [], []
    n_labels = len(set(clips.labels.tolist()))
    for fitted, judged in _inner_folds(clips):
        decisions = _fitted(name, clips.take(fitted), cost, gamma).decide(clips.features[judged])
        if n_labels == 2:
            decisions = np.stack([-decisions, decisions], axis=1) / (1 if name == "svm" else 2)
        elif name == "svm":
            decisions = decisions @ _sums(n_labels).T
        scores.append(decisions)
        rows.append(judged)
    return np.concatenate(scores), clips.labels[np.concatenate(rows)]


def _best_cost(name: str, clips: _Clips, gamma: float) -> float:
    """Return the cost with the highest UAR over the inner folds; of equals, the likeliest."""

    def standing(cost: float) -> tuple[float, float]:
        scores, labels = _unheard(name, clips, cost, gamma)
        found = uar(confusion_matrix(labels, scores.argmax(1), scores.shape[1]))
        scale = _best_scale(scores, labels) if name == "svm" else 1.0
        return float(found), _likelihood(scores * scale, labels)

    return max(_COSTS[name], key=standing)


def _best_scale(scores: Floats, labels: Ints) -> float:
    """Return what to multiply scores [N, K] by, so that their softmax is the likeliest."""
    return float(max(_SCALES, key=lambda scale: _likelihood(scores * scale, labels)))


def _likelihood(logits: Floats, labels: Ints) -> float:
    """Return the logarithm of the labels' probability by the softmax of logits [N, K]."""
    logits = logits - logits.max(1, keepdims=True)
    return float((logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1))).sum())


def _sums(n_labels: int) -> Floats:
    """Return [K, K (K - 1) / 2]: what each pair's decision, for its first label, says of each."""
    first, second = np.triu_indices(n_labels, 1)
    rows = np.arange(n_labels)[:, None]
    return np.asarray((rows == first).astype(float) - (rows == second), np.float64)


def _sign(n_labels: int) -> float:
    """Return -1 where scikit-learn speaks for a pair's second label: of two labels alone."""
    return -1.0 if n_labels == 2 else 1.0


def _pairs(model: Any, n_labels: int) -> Floats:
    """Return each pair's weights of all support vectors: [K (K - 1) / 2, S].

    The vectors are in the order of their labels; a label's have a row of `dual_coef_` for each
    other label, in order.
    """
    owner = np.repeat(np.arange(n_labels), model.n_support_)
    pairs = []
    for first, second in zip(*np.triu_indices(n_labels, 1), strict=True):
        row = np.zeros(len(owner))
        row[owner == first] = model.dual_coef_[second - 1, owner == first]
        row[owner == second] = model.dual_coef_[first, owner == second]
        pairs.append(row)
    found: Floats = np.stack(pairs) * _sign(n_labels)
    return found
