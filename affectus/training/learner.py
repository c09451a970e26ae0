"""All that changes while a fold trains: what a checkpoint must hold, and nothing else."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affectus import models
from affectus.batches import Examples, fit_face_normalisation, fit_normalisation
from affectus.experiment import Experiment, TrainingConfig
from affectus.models import ModelConfig, Network
from affectus.runs import Epoch
from affectus.training.devices import choose_device
from affectus.training.optimising import Plateau, create_optimiser


@dataclass
class Learner:
    """A network on its way.

    `average` is the running average of its weights, `best` the average of the best epoch and
    `best_scores` [N, K] what that said of the dev clips; `best_standing` is what it is best by.
    `epoch` and `step` are how many are done. `scaler` scales the gradients of fp16.
    """

    network: Network
    average: Network
    optimiser: torch.optim.Optimizer
    plateau: Plateau
    scaler: torch.amp.GradScaler
    rng: np.random.Generator
    epoch: int = 0
    step: int = 0
    best_standing: tuple[float, float] = (-1.0, -math.inf)
    since_best: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    history: list[Epoch] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.network.mean.device

    def judge(
        self, dev_uar: float, dev_nll: float, scores: NDArray[np.float64], config: TrainingConfig
    ) -> bool:
        """Take note of what an epoch's average is worth; return whether it is the best so far."""
        before = [epoch.dev_uar for epoch in self.history if epoch.dev_uar is not None]
        recent = [*before, dev_uar][-config.smooth :]
        standing = (sum(recent) / len(recent), -dev_nll)
        if config.schedule == "plateau":
            self.plateau.see(standing[0])
        if not standing > self.best_standing:
            self.since_best += 1
            return False
        self.best_standing, self.since_best, self.best_scores = standing, 0, scores
        fixed = fixed_names(self.average)
        self.best = {
            name: value if name in fixed else value.clone()
            for name, value in self.average.state_dict().items()
        }
        return True

    def best_network(self) -> Network:
        """Return a copy of the average with the weights of the best epoch."""
        network = _copy(self.average)
        network.load_state_dict(self.best)
        return network


def create_learner(
    experiment: Experiment, training: Examples, fold_number: int, rank: int = 0
) -> tuple[Learner, ModelConfig]:
    """Return a learner before its first step; the seed and the number of the fold decide it.

    Of several processes, each (`rank`) draws its own dropout; all else is the same.
    """
    config = experiment.training
    torch.manual_seed(config.seed)
    network, model_config = _create_network(experiment, training)
    if rank:
        torch.manual_seed(int(np.random.SeedSequence([config.seed, rank]).generate_state(1)[0]))
    return Learner(
        network,
        _copy(network),
        create_optimiser(network, config),
        Plateau(config.plateau_factor, config.plateau_patience),
        torch.amp.GradScaler(network.mean.device.type, enabled=config.precision == "fp16"),
        np.random.default_rng([config.seed, fold_number]),
    ), model_config


def fold_number(fold: str) -> int:
    """Return the number in a fold's name, which its random numbers start from; 0 without one."""
    return int("".join(filter(str.isdecimal, fold)) or 0)


def model_config_of(experiment: Experiment, n_features: int, n_face: int = 0) -> ModelConfig:
    """Return what the experiment's network is made from; `n_face` columns are the face's."""
    settings = {key: value for key, value in experiment.model.items() if key != "name"}
    if n_face:
        settings["n_face"] = n_face
    name, n_labels = str(experiment.model["name"]), len(experiment.scheme.labels)
    return ModelConfig(name, n_features, n_labels, settings)


def _create_network(experiment: Experiment, training: Examples) -> tuple[Network, ModelConfig]:
    """Return a fresh network that normalises by the training clips' statistics.

    One that takes raw sound scales it by itself, as its encoder was taught.
    """
    n_face = training.faces[0].shape[1] if training.faces else 0
    config = model_config_of(experiment, training.frames[0].shape[1], n_face)
    network = models.create_model(config)
    if not network.takes_raw:
        mean, deviation = fit_normalisation(training)
        network.mean.copy_(mean)
        network.deviation.copy_(deviation)
    if n_face:
        face_mean, face_deviation = fit_face_normalisation(training)
        network.face_mean.copy_(face_mean)
        network.face_deviation.copy_(face_deviation)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.to(choose_device(experiment.training.device))
    return network, models.complete_config(config, network)


def fixed_names(network: Network) -> set[str]:
    """Return the names of the weights that are not learnt, such as a pretrained encoder's."""
    return {name for name, value in network.named_parameters() if not value.requires_grad}


def _copy(network: Network) -> Network:
    """Return a copy that shares what is not learnt: an encoder may be a gigabyte."""
    fixed = {id(p): p for p in network.parameters() if not p.requires_grad}
    return copy.deepcopy(network, fixed)
