"""Noise at a given signal-to-noise ratio, added to the mel bands of training clips.

The powers of two sounds that know nothing of each other add up, on average over their phases; so do
their powers in mel bands, which are sums of powers. Adding noise to stored log-mel frames is
therefore exact in expectation, and costs no audio: 10 log10(10^(clip/10) + 10^(noise/10)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affectus.experiment import AugmentationConfig

_TALKERS = (3, 7)  # Snyder et al. (2018), "X-Vectors", section 3.3


@dataclass(frozen=True)
class Bands:
    """Mel bands: their `centres` [D] and the distance of two FFT bins (`resolution`), in Hz."""

    centres: NDArray[np.float64]
    resolution: float

    @property
    def half_widths(self) -> NDArray[np.float64]:
        """From each band's centre to where it ends, on average over its two sides, in Hz: [D]."""
        steps = np.diff(self.centres, append=2 * self.centres[-1] - self.centres[-2])
        before = np.concatenate([steps[:1], steps[:-1]])
        halves: NDArray[np.float64] = (before + steps) / 2
        return halves


@dataclass(frozen=True)
class Noise:
    """What is to be added to a clip: the kind, the ratio in dB, and what draws the noise itself.

    `voices` are the clips that a babble is made of.
    """

    kind: str
    snr: float
    seed: int
    voices: tuple[int, ...] = ()


def draw_noise(config: AugmentationConfig, n_clips: int, rng: np.random.Generator) -> Noise | None:
    """Return the noise that a clip is to have, or None; `n_clips` may take part in a babble."""
    if not config.noise or rng.random() >= config.noise_share:
        return None
    kind = config.noise[rng.integers(len(config.noise))]
    snr = rng.uniform(*config.noise_snr)
    voices: tuple[int, ...] = ()
    if kind == "babble":
        n_voices = rng.integers(_TALKERS[0], _TALKERS[1] + 1)
        voices = tuple(rng.integers(0, n_clips, n_voices).tolist())
    return Noise(kind, float(snr), int(rng.integers(2**63)), voices)


def add_noise(frames: Tensor, noise: Noise, bands: Bands, pool: Sequence[Tensor]) -> Tensor:
    """Return frames [T, D] in dB with noise added; `pool` holds the clips that may babble.

    The ratio is that of the mean powers between the lowest and the highest band. White noise has
    the same power at all frequencies, pink half as much at twice the frequency, babble is the sum
    of other training clips, each from a random moment and again from its start where it ends. The
    powers of white and pink noise scatter from frame to frame as those of real noise do: as a
    gamma variable with as many degrees of freedom as the band has independent FFT bins.
    """
    rng = np.random.default_rng(noise.seed)
    clean = (10 ** (frames.double() / 10)).numpy()
    if noise.kind == "babble":
        added = np.zeros_like(clean)
        for voice in noise.voices:
            added += _stretch_of(pool[voice], len(clean), rng)
    else:
        # The bands are of equal area, so white noise has the same power in all of them.
        shape = np.ones_like(bands.centres) if noise.kind == "white" else 1 / bands.centres
        freedom = np.maximum(1.0, bands.half_widths / bands.resolution)
        added = shape * rng.gamma(freedom, 1 / freedom, clean.shape)
    ratio = _power(clean, bands) / _power(added, bands)
    powers = clean + added * (ratio / 10 ** (noise.snr / 10))
    return torch.from_numpy((10 * np.log10(powers)).astype(np.float32))


def _power(powers: NDArray[np.float64], bands: Bands) -> float:
    """Return the power of all frames between the bands: each weighs as much as it is wide.

    A band's peak is one over its half width, so this takes the equal area of the bands back.
    """
    return float((powers @ bands.half_widths).sum())


def _stretch_of(frames: Tensor, n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the powers of a clip from a random frame on, over and over, [n_frames, D]."""
    places = (rng.integers(len(frames)) + np.arange(n_frames)) % len(frames)
    powers: NDArray[np.float64] = (10 ** (frames[places].double() / 10)).numpy()
    return powers
