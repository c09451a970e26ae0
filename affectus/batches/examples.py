"""Clips with their features and targets, in memory, and what is fitted on those that train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from affectus.emotions import LabelScheme
from affectus.errors import TrainingError
from affectus.face_rows import INFO, holds_faces, split_rows
from affectus.features import read_record
from affectus.manifest import Clip
from affectus.store import FeatureStore


@dataclass(frozen=True)
class Examples:
    """Clips with their features and labels: `frames[i]` is [T_i, D] float32, `labels` [N].

    `soft` [N, K] are targets between labels, where raters' votes decide; None: each clip's label.
    `allowed` [N, K] says which labels a clip could have had, where not every corpus has all; None:
    all of them. `faces[i]` is [F_i, D'], float32 or bytes: the frames that show a face, and none of
    the others; a clip whose face was not found, or that is no film, has F_i 0. None: not looked at.
    """

    clips: tuple[Clip, ...]
    frames: tuple[Tensor, ...]
    labels: NDArray[np.intp]
    soft: Tensor | None = None
    allowed: Tensor | None = None
    faces: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def targets(self, rows: NDArray[np.intp], n_labels: int) -> Tensor:
        """Return what a network should answer for some of the clips: [B, K], rows summing to 1."""
        if self.soft is not None:
            return self.soft[rows]
        return F.one_hot(torch.from_numpy(self.labels[rows]), n_labels).float()


def join_examples(one: Examples, other: Examples) -> Examples:
    """Return the clips of both, the one's first, with plain labels for targets."""
    faces = None
    if one.faces is not None and other.faces is not None:
        faces = one.faces + other.faces
    labels = np.concatenate([one.labels, other.labels])
    return Examples(one.clips + other.clips, one.frames + other.frames, labels, faces=faces)


def load_examples(
    clips: Sequence[Clip],
    store: FeatureStore,
    features: str,
    scheme: LabelScheme,
    face: str = "",
    *,
    face_only: bool = False,
) -> Examples:
    """Read the features of every clip that has a label in the scheme, all into memory.

    With `face`, a feature set of the same store, the face's too; a clip that is not in that set has
    no face. With `face_only`, such a clip is left out: whoever looks at faces alone has no answer
    to it.

    Raises StoreError if one is missing, TrainingError if its numbers are not finite.
    """
    kept, frames, labels, faces = [], [], [], []
    seen = _FaceSet(store, face) if face else None
    for clip in clips:
        label = scheme.label(clip.emotion)
        if label is None:
            continue
        if seen is not None:
            faces.append(seen.read(clip))
            if face_only and not len(faces[-1]):
                faces.pop()
                continue
        array = store.get(features, clip.content_key)
        _expect_finite(array, features, clip)
        kept.append(clip)
        frames.append(torch.from_numpy(array))
        labels.append(scheme.labels.index(label))
    shown = None if seen is None else tuple(faces)
    return Examples(tuple(kept), tuple(frames), np.array(labels, np.intp), faces=shown)


class _FaceSet:
    """A feature set of faces in a store: what frames with a face each clip has."""

    def __init__(self, store: FeatureStore, name: str) -> None:
        record = store.record(name)
        self._store, self._name = store, name
        self._of_rows = holds_faces(record)
        self.n_columns = count_face_columns(record)
        self._done = {item.key for item in store.ledger(name) if item.state == "done"}

    def read(self, clip: Clip) -> Tensor:
        """Return [F, D'] of a clip; F is 0 where it has none."""
        if clip.content_key not in self._done:
            return torch.zeros(0, self.n_columns)
        array = self._store.get(self._name, clip.content_key)
        if self._of_rows:
            rows = split_rows(array)
            array = rows.values[rows.found]
        _expect_finite(array, self._name, clip)
        return torch.from_numpy(np.ascontiguousarray(array))


def count_face_columns(record: Mapping[str, Any]) -> int:
    """Return how many numbers a frame's face has in a feature set, by its record."""
    return len(read_record(record)[0]) - (len(INFO) if holds_faces(record) else 0)


def _expect_finite(array: NDArray[Any], features: str, clip: Clip) -> None:
    if not np.isfinite(array).all():
        raise TrainingError(
            f"features '{features}' of {clip.clip_id} are not finite; expected numbers. "
            f"Extract into a new store."
        )


def fit_face_normalisation(examples: Examples) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column of the face over all frames: [D'], [D'].

    A clip at a time, since pictures are kept as bytes. A constant column gets deviation 1.

    Raises TrainingError if no clip has a face.
    """
    faces = [face for face in examples.faces or () if len(face)]
    if not faces:
        raise TrainingError(
            f"none of {len(examples):,} training clips has a face; expected some. Extract the face "
            f"features of their films, or leave the table [face] out."
        )
    n_frames = sum(len(face) for face in faces)
    mean = sum((face.double().sum(0) for face in faces), torch.zeros(())) / n_frames
    squares = sum((((face.double() - mean) ** 2).sum(0) for face in faces), torch.zeros(()))
    deviation = (squares / n_frames).sqrt()
    return mean.float(), torch.where(deviation < 1e-6, 1.0, deviation).float()


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
