"""Augmentation: a training clip is drawn anew each time, changed in ways that keep its emotion.

What is to be done is drawn first, and done later: so it can be done elsewhere, and the random
numbers are the same wherever that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from affectus.batches.noise import Bands, Noise, add_noise, draw_noise
from affectus.errors import ConfigError
from affectus.experiment import AugmentationConfig
from affectus.models import Inputs


@dataclass(frozen=True)
class Change:
    """What is done to one clip, once.

    `n_frames` is the length it gets, `warp` the factor by which its bands move, `gain` is in dB;
    `bands` and `frames` are what is masked, starts and widths.
    """

    n_frames: int
    warp: float
    noise: Noise | None
    gain: float
    bands: tuple[tuple[int, int], ...]
    frames: tuple[tuple[int, int], ...]


def draw_change(
    n_frames: int,
    n_bands: int,
    config: AugmentationConfig,
    rng: np.random.Generator,
    n_clips: int = 0,
) -> Change:
    """Draw what becomes of a clip of `n_frames`; of `n_clips`, some may babble behind it."""
    speed, stretch, tract = (
        math.exp(rng.uniform(-1, 1) * math.log1p(share)) if share else 1.0
        for share in (config.speed, config.stretch, config.tract)
    )
    if speed * stretch != 1:
        n_frames = max(1, round(n_frames * stretch / speed))
    noise = draw_noise(config, n_clips, rng)
    gain = rng.uniform(-config.gain_db, config.gain_db)
    bands = [
        _draw_mask(min(config.band_width, n_bands), n_bands, rng) for _ in range(config.band_masks)
    ]
    frames = [
        # Never more than a fifth of the clip at once (the p of SpecAugment).
        _draw_mask(min(config.frame_width, n_frames // 5), n_frames, rng)
        for _ in range(config.frame_masks)
    ]
    return Change(n_frames, speed * tract, noise, gain, tuple(bands), tuple(frames))


def _draw_mask(widest: int, size: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, widest + 1))
    return int(rng.integers(0, size - width + 1)), width


def apply_change(
    frames: Tensor,
    change: Change,
    fill: Tensor,
    bands: Bands | None = None,
    pool: Sequence[Tensor] = (),
    *,
    is_sound: bool = False,
) -> Tensor:
    """Return a changed copy of a clip's frames [T, D]; masked parts are set to `fill` [D].

    Gain is added to frames in dB; samples of sound are multiplied by what it means.
    """
    if change.n_frames != len(frames):
        frames = F.interpolate(frames.T[None], change.n_frames, mode="linear")[0].T
    if bands is None and (change.warp != 1 or change.noise):
        raise ConfigError(
            "augmentation.speed, tract and noise are for mel bands; these features have none; "
            "expected 0. Add --set augmentation.speed=0 --set augmentation.tract=0 --set "
            "augmentation.noise=[]"
        )
    if bands is not None and change.warp != 1:
        frames = _warp_bands(frames, bands.centres, change.warp)
    if bands is not None and change.noise:
        frames = add_noise(frames, change.noise, bands, pool)
    frames = frames * 10 ** (change.gain / 20) if is_sound else frames + change.gain
    frames = frames.contiguous()
    for start, width in change.bands:
        frames[:, start : start + width] = fill[start : start + width]
    for start, width in change.frames:
        frames[start : start + width] = fill
    return frames


def change_face(face: Tensor, change: Change, n_before: int, fill: Tensor) -> Tensor:
    """Return a copy of a clip's face frames [F, D'] changed in time as its voice was.

    The voice had `n_before` frames. What is stretched or masked is the same share of either, which
    is the same time where both fill the clip. Frames are chosen, not blended: a mixture of two
    pictures is none. Masked ones are `fill` [D'].
    """
    if not len(face):
        return face
    n_frames = max(1, round(len(face) * change.n_frames / n_before))
    places = (torch.arange(n_frames) + 0.5) * len(face) / n_frames
    changed = face[places.long()].float()
    for start, width in change.frames:
        first, last = (
            round(place * n_frames / change.n_frames) for place in (start, start + width)
        )
        changed[first:last] = fill
    return changed


def draw_drop(share: float, rng: np.random.Generator) -> str:
    """Draw which stream a clip is shown without: in `share` of the cases one, either as often."""
    dropped, first = rng.random() < share, rng.random() < 0.5
    return ("voice" if first else "face") if dropped else ""


def drop_stream(voice: Tensor, face: Tensor, which: str) -> tuple[Tensor, Tensor]:
    """Return both streams of a clip but for the one that `draw_drop` named.

    A clip that has only one keeps it.

    **Source:** Neverova et al. (2016), "ModDrop: adaptive multi-modal gesture recognition", IEEE
    TPAMI 38: 1692; one stream is left out at a time, so that something is left.
    """
    if not len(voice) or not len(face):
        return voice, face
    return voice[:0] if which == "voice" else voice, face[:0] if which == "face" else face


def augment(
    frames: Tensor,
    config: AugmentationConfig,
    fill: Tensor,
    rng: np.random.Generator,
    bands: Bands | None = None,
    pool: Sequence[Tensor] = (),
) -> Tensor:
    """Return a changed copy of a clip's frames [T, D] in dB; see AugmentationConfig."""
    change = draw_change(len(frames), frames.shape[1], config, rng, len(pool))
    return apply_change(frames, change, fill, bands, pool)


def _warp_bands(frames: Tensor, centres: NDArray[np.float64], factor: float) -> Tensor:
    """Return frames [T, D] whose spectrum is moved to `factor` times each frequency.

    What would come from beyond the last band is that band's.
    """
    place = np.interp(centres / factor, centres, np.arange(len(centres)))
    below = torch.from_numpy(place.astype(np.int64))
    above = (below + 1).clamp(max=len(centres) - 1)
    share = torch.from_numpy(place).float() - below
    return frames[:, below] * (1 - share) + frames[:, above] * share


class Mixture(NamedTuple):
    """How the clips of a batch are mixed: each keeps `share`, the rest is `other` [B]'s."""

    share: float
    other: NDArray[np.intp]


def draw_mixture(
    n_clips: int, alpha: float, rng: np.random.Generator, allowed: Tensor | None = None
) -> Mixture:
    """Draw what each clip of a batch is mixed with; the larger share is its own.

    Where clips are `allowed` [B, K] different labels, the other is one that is allowed the same.
    """
    share = float(rng.beta(alpha, alpha))
    share = max(share, 1 - share)
    return Mixture(share, _partners(n_clips, allowed, rng))


def mix(
    inputs: Inputs,
    targets: Tensor,
    share: float,
    own: NDArray[np.intp],
    other: NDArray[np.intp],
    fill: Tensor,
) -> tuple[Inputs, Tensor]:
    """Return the clips `own` [N] of a batch, each mixed with its `other` [N]."""
    voice, lengths = inputs.voice, inputs.voice_lengths
    inside = torch.arange(voice.shape[1])[None, :, None] < lengths[:, None, None]
    voice = torch.where(inside, voice, fill)
    mixed = share * voice[own] + (1 - share) * voice[other]
    return (
        Inputs(mixed, torch.maximum(lengths[own], lengths[other])),
        share * targets[own] + (1 - share) * targets[other],
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
