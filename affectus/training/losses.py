"""The loss: what a step makes smaller."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    smoothing: float,
    allowed: Tensor | None = None,
    gamma: float = 0.0,
) -> Tensor:
    """Return the mean cross entropy of logits [B, K] to targets [B, K], clips weighted by class.

    `weights` is [K]; a clip of mixed classes has the mixed weight. Smoothing moves that share of
    each target to all classes alike (Szegedy et al. 2016, "Rethinking the Inception Architecture").

    `allowed` [B, K] are the labels that each clip could have had: the probabilities are those among
    them alone, and what the network says of other labels has no part in the loss.

    `gamma` is that of the focal loss, which weighs each class by how far its probability is from 1
    (Lin et al. 2017, "Focal Loss for Dense Object Detection", with targets that may be shares).
    """
    if allowed is None:
        smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
        log_scores = torch.log_softmax(logits, 1)
    else:
        share = smoothing / allowed.sum(1, keepdim=True)
        smooth = targets * (1 - smoothing) + share * allowed
        log_scores = torch.log_softmax(logits.masked_fill(~allowed, -torch.inf), 1)
        log_scores = log_scores.masked_fill(~allowed, 0.0)
    if gamma:
        doubt = (1 - log_scores.exp()).clamp(min=1e-6)  # at 0 some powers have no gradient
        log_scores = log_scores * doubt**gamma
    losses = -(smooth * log_scores).sum(1)
    if weights is not None:
        losses = losses * (targets @ weights)
    return losses.mean()
