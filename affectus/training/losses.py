"""Losses: what a step makes smaller."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    """Return the mean cross entropy of logits [B, K] to targets [B, K], clips weighted by class.

    `weights` is [K]; a clip of mixed classes has the mixed weight. Smoothing moves that share of
    each target to all classes alike (Szegedy et al. 2016, "Rethinking the Inception Architecture").
    """
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    losses = -(smooth * torch.log_softmax(logits, 1)).sum(1)
    if weights is not None:
        losses = losses * (targets @ weights)
    return losses.mean()
