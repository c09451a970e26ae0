"""What moves the weights: the schedule of the rate, and the average of weights that is kept."""

from __future__ import annotations

import math

import torch
from torch import nn


def schedule(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate at a step: a linear rise, then half a cosine to 0."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the running average of weights towards the network's; faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for mine, its in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(its, 1 - decay)
        else:
            mine.copy_(its)
