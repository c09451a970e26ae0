"""Features to batches: what a network eats.

Everything that is fitted (the mean and deviation of each band, class weights) is fitted on the
clips it is given, which are training clips. Augmentation is drawn anew each time a clip is, from
training clips only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from affectus.batches.augmentation import augment, mix
from affectus.emotions import LabelScheme
from affectus.errors import TrainingError
from affectus.experiment import AugmentationConfig
from affectus.manifest import Clip
from affectus.models import Inputs
from affectus.store import FeatureStore

__all__ = [
    "Batch", "Examples", "augment", "class_weights", "collate", "fit_normalisation",
    "load_examples", "ordered_batches", "training_batches",
]  # fmt: skip

_MULTIPLE = 16  # frames


@dataclass(frozen=True)
class Examples:
    """Clips with their features and labels: `frames[i]` is [T_i, D] float32, `labels` [N]."""

    clips: tuple[Clip, ...]
    frames: tuple[Tensor, ...]
    labels: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.clips)


class Batch(NamedTuple):
    """Inputs for a network and targets [B, K], rows summing to 1; `rows` [B] are the examples'."""

    inputs: Inputs
    targets: Tensor
    rows: NDArray[np.intp]


def load_examples(
    clips: Sequence[Clip], store: FeatureStore, features: str, scheme: LabelScheme
) -> Examples:
    """Read the features of every clip that has a label in the scheme, all into memory.

    Raises StoreError if one is missing, TrainingError if its numbers are not finite.
    """
    kept, frames, labels = [], [], []
    for clip in clips:
        label = scheme.label(clip.emotion)
        if label is None:
            continue
        array = store.get(features, clip.content_key)
        if not np.isfinite(array).all():
            raise TrainingError(
                f"features '{features}' of {clip.clip_id} are not finite; expected numbers. "
                f"Extract into a new store."
            )
        kept.append(clip)
        frames.append(torch.from_numpy(array))
        labels.append(scheme.labels.index(label))
    return Examples(tuple(kept), tuple(frames), np.array(labels, np.intp))


def fit_normalisation(examples: Examples) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column over all frames: [D], [D].

    A constant column gets deviation 1: it then carries nothing, rather than infinity.
    """
    frames = torch.cat(examples.frames).double()
    deviation = frames.std(0, correction=0)
    return frames.mean(0).float(), torch.where(deviation < 1e-6, 1.0, deviation).float()


def class_weights(examples: Examples, n_labels: int) -> Tensor:
    """Return a weight for each label, N / (K n_k): all classes then count the same: [K].

    Raises TrainingError if a label has no clip.
    """
    counts = np.bincount(examples.labels, minlength=n_labels)
    if (counts == 0).any():
        raise TrainingError(
            f"no training clip has label number {int((counts == 0).argmax())} of {n_labels}; "
            f"expected some of each. Choose another scheme or protocol."
        )
    return torch.tensor(len(examples) / (n_labels * counts), dtype=torch.float32)


def training_batches(
    examples: Examples,
    n_labels: int,
    batch_size: int,
    augmentation: AugmentationConfig,
    fill: Tensor,
    rng: np.random.Generator,
    centres: NDArray[np.float64] | None = None,
) -> Iterator[Batch]:
    """Yield every clip once, augmented, in random batches of clips of like length.

    `fill` [D] is what masked bands and frames are set to: the mean, which normalises to zero.
    `centres` [D] are the bands' in Hz, which `speed` and `tract` need.
    """
    # Like lengths waste little padding; a tenth of noise keeps the company of a clip changing.
    lengths = np.array([len(frames) for frames in examples.frames])
    order = np.argsort(lengths * np.exp(rng.uniform(-0.1, 0.1, len(lengths))))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for place in rng.permutation(len(batches)):
        index = batches[place]
        frames = [augment(examples.frames[i], augmentation, fill, rng, centres) for i in index]
        targets = F.one_hot(torch.from_numpy(examples.labels[index]), n_labels).float()
        inputs = collate(frames)
        if augmentation.mixup > 0:
            inputs, targets = mix(inputs, targets, augmentation.mixup, fill, rng)
        yield Batch(inputs, targets, index)


def ordered_batches(examples: Examples, n_labels: int, batch_size: int = 64) -> Iterator[Batch]:
    """Yield every clip once, as it is, the short ones first: for dev and test."""
    order = np.argsort([len(frames) for frames in examples.frames], kind="stable")
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        targets = F.one_hot(torch.from_numpy(examples.labels[index]), n_labels).float()
        yield Batch(collate([examples.frames[i] for i in index]), targets, index)


def collate(frames: Sequence[Tensor]) -> Inputs:
    """Pad clips [T_i, D] with zeros to one array [B, T, D], and keep their lengths.

    T is a multiple of 16: kernels are compiled for each shape they meet, so few shapes save time
    and memory.
    """
    lengths = torch.tensor([len(clip) for clip in frames])
    n_frames = -(-int(lengths.max()) // _MULTIPLE) * _MULTIPLE
    voice = torch.zeros(len(frames), n_frames, frames[0].shape[1])
    for row, clip in zip(voice, frames, strict=True):
        row[: len(clip)] = clip
    return Inputs(voice, lengths)
