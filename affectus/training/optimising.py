"""What moves the weights: optimiser, the schedule of its rate, and the average that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from affectus.experiment import TrainingConfig
from affectus.models import Network

# One cycle begins at a 25th of the rate and ends at a ten-thousandth of that.
_FIRST, _LAST = 1 / 25, 1 / 250_000


def create_optimiser(network: Network, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser of `training.optimiser` with its decay of weights.

    Its groups are the network's, each with its `share` of the learning rate.
    """
    rate, decay = config.learning_rate, config.weight_decay
    groups = [
        {"params": parameters, "share": share} for parameters, share in network.parameter_groups()
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            groups,
            lr=rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=decay,
        )
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, weight_decay=decay)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its share of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def schedule(step: int, total: int, warmup: float, kind: str = "cosine") -> float:
    """Return the share of the learning rate at a step, of `total` steps.

    cosine: a linear rise over the `warmup` share, then half a cosine to 0. constant, plateau: the
    rise, then 1; what a plateau takes off is `Plateau`'s. one_cycle: half a cosine up from a 25th
    over the `warmup` share, and half a cosine down to nearly 0.

    **Source** of the last: Smith and Topin (2019), "Super-Convergence"; equal to torch's OneCycleLR
    with its defaults, momentum left alone.
    """
    if kind == "one_cycle":
        top, end = warmup * total - 1, total - 1
        if step <= top:
            return _glide(_FIRST, 1.0, step / top if top else 1.0)
        return _glide(1.0, _LAST, (step - top) / (end - top))
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    if kind in ("constant", "plateau"):
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def _glide(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@dataclass
class Plateau:
    """The factor on the rate, cut whenever `patience` epochs in a row had no better score.

    **Source:** torch's ReduceLROnPlateau with threshold 0, whose epochs are counted alike.
    """

    factor: float
    patience: int
    share: float = 1.0
    best: float = -math.inf
    since_best: int = 0

    def see(self, score: float) -> None:
        """Take note of an epoch's score; more is better."""
        self.since_best = 0 if score > self.best else self.since_best + 1
        self.best = max(self.best, score)
        if self.since_best > self.patience:
            self.share *= self.factor
            self.since_best = 0


@torch.no_grad()
def limit_norms(network: nn.Module, max_norm: float) -> None:
    """Shorten the weights into each unit that are longer than `max_norm`; biases stay.

    **Source:** Srivastava et al. (2014), "Dropout", section 5.1.
    """
    for parameter in network.parameters():
        if parameter.dim() > 1 and parameter.requires_grad:
            parameter.copy_(parameter.renorm(2, 0, max_norm))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the running average of weights towards the network's; faster in the first steps.

    What both have in common, as weights that are not learnt, stays.
    """
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for mine, its in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.data_ptr() == its.data_ptr():
            continue
        if mine.dtype.is_floating_point:
            mine.lerp_(its, 1 - decay)
        else:
            mine.copy_(its)
