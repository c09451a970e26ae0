"""Logistic regression and a support vector machine: bodies like any other, fitted by scikit-learn.

They judge a clip by the mean of its frames: functionals have one frame, and are their own mean.
`fit` finds the weights in one go; from then on they are saved, exported and run as every network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affectus.errors import TrainingError
from affectus.models.fitting import (
    Clips,
    Floats,
    Ints,
    best_cost,
    best_layer,
    best_scale,
    fit_machine,
    judge_unheard,
    sign,
    sums,
)
from affectus.models.inputs import Inputs
from affectus.models.layers import masked_mean


class Logistic(nn.Module):
    """Multinomial logistic regression: one linear layer, whose softmax are the probabilities.

    `cost` is scikit-learn's C, how much the training clips count against small weights; 0 has it
    chosen by inner folds of training speakers. Where the columns are those of `n_layers` layers of
    an encoder, one after the other, it looks at one `layer`; -1 has it chosen together with the
    cost.

    **Source:** none of the earlier systems; the plainest thing that any network has to beat. As a
    probe of an encoder's layers: Alain and Bengio (2017), "Understanding intermediate layers using
    linear classifier probes".
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        cost: float = 0.0,
        n_layers: int = 1,
        layer: int = -1,
    ) -> None:
        super().__init__()
        if cost < 0:
            raise ValueError(f"cost is {cost:g}, below 0")
        if n_layers < 1 or n_features % n_layers:
            raise ValueError(f"{n_layers} layers do not divide {n_features} columns")
        if not -1 <= layer < n_layers:
            raise ValueError(f"layer is {layer}, which is not -1 to {n_layers - 1}")
        width = n_features // n_layers
        self.columns = slice(max(0, layer) * width, (max(0, layer) + 1) * width)
        self.linear = nn.Linear(width, n_labels)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits [B, K]."""
        clips = masked_mean(inputs.voice[:, :, self.columns], inputs.voice_lengths)
        logits: Tensor = self.linear(clips)
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
    data = Clips(features, labels, weights, groups)
    cost, gamma = float(settings.get("cost", 0)), float(settings.get("gamma", 0))
    n_layers, layer = int(settings.get("n_layers", 1)), int(settings.get("layer", -1))
    found = {**settings}
    if n_layers > 1:
        layer, cost = best_layer(data, n_layers, layer, cost)
        found["layer"] = layer
        data = data.layer(layer, n_layers)
    cost = cost or best_cost(name, data, gamma)
    machine = fit_machine(name, data, cost, gamma)
    scaler, model = machine.scaler, machine.model
    found["cost"] = cost
    if name == "svm":
        scale = best_scale(*judge_unheard(name, data, cost, gamma))
        found["n_support"] = len(model.support_)
        body: nn.Module = SVM(features.shape[1], n_labels, **found)
        rows = sums(n_labels) * scale
        values = {
            "gamma": body.gamma,
            "support": machine.clips[model.support_],
            "weight": rows @ _pairs(model, n_labels),
            "bias": rows @ (model.intercept_ * sign(n_labels)),
        }
    else:
        body = Logistic(features.shape[1], n_labels, **found)
        weight, bias = model.coef_, model.intercept_
        if n_labels == 2:  # one row, for the second label: softmax of ±half is its sigmoid
            weight, bias = (np.concatenate([-part, part]) / 2 for part in (weight, bias))
        values = {"linear.weight": weight, "linear.bias": bias}
    body.load_state_dict({k: torch.as_tensor(v, dtype=torch.float32) for k, v in values.items()})
    mean, deviation = (torch.as_tensor(part).float() for part in (scaler.mean_, scaler.scale_))
    if n_layers > 1:  # the other layers' columns are looked at by nobody
        mean = _in_place(mean, layer, n_layers, 0.0)
        deviation = _in_place(deviation, layer, n_layers, 1.0)
    return Fitted(body, found, mean, deviation)


def _in_place(values: Tensor, layer: int, n_layers: int, fill: float) -> Tensor:
    """Return values [D] of one layer among those of all, [L D]."""
    whole = torch.full((n_layers, len(values)), fill)
    whole[layer] = values
    return whole.flatten()


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
    found: Floats = np.stack(pairs) * sign(n_labels)
    return found
