"""Augmentation: a training clip is drawn anew each time, changed in ways that keep its emotion."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from affectus.errors import ConfigError
from affectus.experiment import AugmentationConfig
from affectus.models import Inputs


def augment(
    frames: Tensor,
    config: AugmentationConfig,
    fill: Tensor,
    rng: np.random.Generator,
    centres: NDArray[np.float64] | None = None,
) -> Tensor:
    """Return a changed copy of a clip's frames [T, D] in dB; see AugmentationConfig."""
    speed, stretch, tract = (
        math.exp(rng.uniform(-1, 1) * math.log1p(share)) if share else 1.0
        for share in (config.speed, config.stretch, config.tract)
    )
    if speed * stretch != 1:
        n_frames = max(1, round(len(frames) * stretch / speed))
        frames = F.interpolate(frames.T[None], n_frames, mode="linear")[0].T
    if speed * tract != 1:
        if centres is None:
            raise ConfigError(
                "augmentation.speed and tract are for mel bands; these features have none; "
                "expected 0. Add --set augmentation.speed=0 --set augmentation.tract=0"
            )
        frames = _warp_bands(frames, centres, speed * tract)
    gain = rng.uniform(-config.gain_db, config.gain_db)
    frames = (frames + gain).contiguous()
    n_frames, n_bands = frames.shape
    for _ in range(config.band_masks):
        width = rng.integers(0, min(config.band_width, n_bands) + 1)
        start = rng.integers(0, n_bands - width + 1)
        frames[:, start : start + width] = fill[start : start + width]
    for _ in range(config.frame_masks):
        # Never more than a fifth of the clip at once (the p of SpecAugment).
        width = rng.integers(0, min(config.frame_width, n_frames // 5) + 1)
        start = rng.integers(0, n_frames - width + 1)
        frames[start : start + width] = fill
    return frames


def _warp_bands(frames: Tensor, centres: NDArray[np.float64], factor: float) -> Tensor:
    """Return frames [T, D] whose spectrum is moved to `factor` times each frequency.

    What would come from beyond the last band is that band's.
    """
    place = np.interp(centres / factor, centres, np.arange(len(centres)))
    below = torch.from_numpy(place.astype(np.int64))
    above = (below + 1).clamp(max=len(centres) - 1)
    share = torch.from_numpy(place).float() - below
    return frames[:, below] * (1 - share) + frames[:, above] * share


def mix(
    inputs: Inputs,
    targets: Tensor,
    alpha: float,
    fill: Tensor,
    rng: np.random.Generator,
    allowed: Tensor | None = None,
) -> tuple[Inputs, Tensor]:
    """Mix each clip with another of its batch; the larger share is its own.

    Where clips are `allowed` [B, K] different labels, the other is one that is allowed the same.
    """
    share = float(rng.beta(alpha, alpha))
    share = max(share, 1 - share)
    other = torch.from_numpy(_partners(len(targets), allowed, rng))
    voice, lengths = inputs.voice, inputs.voice_lengths
    inside = torch.arange(voice.shape[1])[None, :, None] < lengths[:, None, None]
    voice = torch.where(inside, voice, fill)
    mixed = share * voice + (1 - share) * voice[other]
    return (
        Inputs(mixed, torch.maximum(lengths, lengths[other])),
        share * targets + (1 - share) * targets[other],
    )


def _partners(n_clips: int, allowed: Tensor | None, rng: np.random.Generator) -> NDArray[np.intp]:
    if allowed is None:
        return rng.permutation(n_clips)
    partners = np.arange(n_clips)
    kinds = np.unique(allowed.numpy(), axis=0, return_inverse=True)[1].reshape(-1)
    for kind in range(kinds.max() + 1):
        places = np.flatnonzero(kinds == kind)
        partners[places] = places[rng.permutation(len(places))]
    return partners
