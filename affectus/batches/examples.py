"""Clips with their features and targets, in memory, and what is fitted on those that train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from affectus.emotions import LabelScheme
from affectus.errors import TrainingError
from affectus.manifest import Clip
from affectus.store import FeatureStore


@dataclass(frozen=True)
class Examples:
    """Clips with their features and labels: `frames[i]` is [T_i, D] float32, `labels` [N].

    `soft` [N, K] are targets between labels, where raters' votes decide; None: each clip's label.
    `allowed` [N, K] says which labels a clip could have had, where not every corpus has all; None:
    all of them.
    """

    clips: tuple[Clip, ...]
    frames: tuple[Tensor, ...]
    labels: NDArray[np.intp]
    soft: Tensor | None = None
    allowed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def targets(self, rows: NDArray[np.intp], n_labels: int) -> Tensor:
        """Return what a network should answer for some of the clips: [B, K], rows summing to 1."""
        if self.soft is not None:
            return self.soft[rows]
        return F.one_hot(torch.from_numpy(self.labels[rows]), n_labels).float()


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


def class_weights(
    examples: Examples, n_labels: int, draws: NDArray[np.float64] | None = None
) -> Tensor:
    """Return a weight for each label, N / (K n_k): all classes then count the same: [K].

    `draws` [N] is how often each clip is drawn, where that is not once.

    Raises TrainingError if a label has no clip.
    """
    counts = np.bincount(examples.labels, draws, minlength=n_labels)
    if (counts == 0).any():
        raise TrainingError(
            f"no training clip has label number {int((counts == 0).argmax())} of {n_labels}; "
            f"expected some of each. Choose another scheme or protocol."
        )
    return torch.tensor(len(examples) / (n_labels * counts), dtype=torch.float32)


def with_votes(examples: Examples, scheme: LabelScheme, share: float) -> Examples:
    """Return the examples with targets that raters' votes decide by `share`, labels by the rest.

    Votes for what the scheme leaves out do not count; a clip without votes keeps its label.

    Raises TrainingError if no clip has votes.
    """
    k = len(scheme.labels)
    soft = examples.targets(np.arange(len(examples)), k)
    n_voted = 0
    for row, clip in zip(soft, examples.clips, strict=True):
        counts = torch.zeros(k)
        for emotion, count in (clip.votes or {}).items():
            label = scheme.label(emotion)
            if label is not None:
                counts[scheme.labels.index(label)] += count
        if counts.any():
            row.copy_((1 - share) * row + share * counts / counts.sum())
            n_voted += 1
    if not n_voted:
        raise TrainingError(
            f"training.soft_targets is {share:g}, but no training clip has votes; expected some. "
            f"Import a corpus with its raters' votes, or set training.soft_targets to 0."
        )
    return replace(examples, soft=soft)


def find_label_sets(examples: Examples, n_labels: int) -> dict[str, tuple[int, ...]]:
    """Return for each corpus the labels that its clips have, as numbers, in order."""
    corpora = np.array([clip.corpus for clip in examples.clips])
    targets = examples.targets(np.arange(len(examples)), n_labels).numpy()
    return {
        str(corpus): tuple(np.flatnonzero(targets[corpora == corpus].any(0)).tolist())
        for corpus in np.unique(corpora)
    }


def allow_labels(examples: Examples, sets: Mapping[str, Sequence[int]], n_labels: int) -> Examples:
    """Return the examples, each allowed the labels of its corpus alone; see `find_label_sets`.

    Raises TrainingError for a corpus with a single label: a choice of one teaches nothing.
    """
    for corpus, labels in sets.items():
        if len(labels) < 2:
            raise TrainingError(
                f"training.partial_labels: the training clips of {corpus} all have one label; "
                f"expected two at least. Leave that corpus out, or set training.partial_labels to "
                f"false."
            )
    allowed = torch.zeros(len(examples), n_labels, dtype=torch.bool)
    for row, clip in zip(allowed, examples.clips, strict=True):
        row[list(sets[clip.corpus])] = True
    return replace(examples, allowed=allowed)
