"""Features to batches: what a network eats.

Everything that is fitted (the mean and deviation of each band, class weights) is fitted on the
clips it is given, which are training clips. Augmentation is drawn anew each time a clip is, from
training clips only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from affectus.batches.ahead import prepare_ahead
from affectus.batches.augmentation import (
    apply_change,
    augment,
    change_face,
    draw_change,
    draw_drop,
    draw_mixture,
    drop_stream,
    mix,
)
from affectus.batches.examples import (
    Examples,
    allow_labels,
    class_weights,
    count_face_columns,
    find_label_sets,
    fit_face_normalisation,
    fit_normalisation,
    join_examples,
    load_examples,
    with_votes,
)
from affectus.batches.noise import Bands
from affectus.batches.sampling import draw_clips, expected_draws, find_groups
from affectus.experiment import AugmentationConfig
from affectus.models import Inputs

__all__ = [
    "Bands", "Batch", "Examples", "allow_labels", "augment", "class_weights", "collate",
    "count_face_columns", "expected_draws", "find_groups", "find_label_sets",
    "fit_face_normalisation", "fit_normalisation", "join_examples", "load_examples", "move_batch",
    "ordered_batches", "pin_batch", "prepare_ahead", "training_batches", "with_votes",
]  # fmt: skip

_MULTIPLE = 16  # frames


class Batch(NamedTuple):
    """Inputs for a network and targets [B, K], rows summing to 1; `rows` [B] are the examples'.

    `allowed` [B, K] are the labels that each clip could have had; None: all. Where several
    processes share a batch of `n_all` clips, `share` is this one's part of it.
    """

    inputs: Inputs
    targets: Tensor
    rows: NDArray[np.intp]
    allowed: Tensor | None = None
    share: float = 1.0
    n_all: int = 0


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device; a copy from pinned memory does not wait."""

    def moved(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, non_blocking=True)

    return batch._replace(
        inputs=Inputs(*map(moved, batch.inputs)),  # type: ignore[arg-type]
        targets=batch.targets.to(device, non_blocking=True),
        allowed=moved(batch.allowed),
    )


def pin_batch(batch: Batch) -> Batch:
    """Return a batch whose inputs lie in pinned memory, from which a GPU copies by itself."""
    inputs = Inputs(*(None if t is None else t.pin_memory() for t in batch.inputs))  # type: ignore[arg-type]
    return batch._replace(inputs=inputs, targets=batch.targets.pin_memory())


def training_batches(
    examples: Examples,
    n_labels: int,
    batch_size: int,
    augmentation: AugmentationConfig,
    fill: Tensor,
    rng: np.random.Generator,
    bands: Bands | None = None,
    groups: NDArray[np.intp] | None = None,
    *,
    is_sound: bool = False,
    part: tuple[int, int] = (0, 1),
    face_fill: Tensor | None = None,
) -> Iterator[Batch]:
    """Yield every clip once, augmented, in random batches of clips of like length.

    Of `groups` [N] (see `find_groups`), as many clips each are drawn, and N in all.

    `fill` [D] is what masked bands and frames are set to: the mean, which normalises to zero.
    `face_fill` [D'] is the same for the face. `bands` are what `speed`, `tract` and `noise` need.
    With `is_sound`, frames are samples, not dB.

    `part` is (number, of how many processes): the batches are the same for all of them, and each
    process gets its clips of every batch.
    """
    # Like lengths waste little padding; a tenth of noise keeps the company of a clip changing.
    lengths = np.array([len(frames) for frames in examples.frames])
    drawn = np.arange(len(lengths)) if groups is None else draw_clips(groups, rng)
    order = drawn[np.argsort(lengths[drawn] * np.exp(rng.uniform(-0.1, 0.1, len(drawn))))]
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for place in rng.permutation(len(batches)):
        index = batches[place]
        changes = [
            draw_change(int(lengths[i]), len(fill), augmentation, rng, len(lengths)) for i in index
        ]
        allowed = None if examples.allowed is None else examples.allowed[index]
        mixture = None
        if augmentation.mixup > 0:
            mixture = draw_mixture(len(index), augmentation.mixup, rng, allowed)
        own, share = _own_part(len(index), part)
        needed = own if mixture is None else np.union1d(own, mixture.other[own])
        frames = [
            apply_change(
                examples.frames[index[i]], changes[i], fill, bands, examples.frames,
                is_sound=is_sound,
            )
            for i in needed
        ]  # fmt: skip
        faces = None
        if examples.faces is not None and face_fill is not None:
            drops = [draw_drop(augmentation.modality_dropout, rng) for _ in index]
            faces = []
            for row, i in enumerate(needed):
                n_before = int(lengths[index[i]])
                face = change_face(examples.faces[index[i]], changes[i], n_before, face_fill)
                frames[row], face = drop_stream(frames[row], face, drops[i])
                faces.append(face)
        # As wide as the whole batch: batch normalisation sees the padding, too.
        inputs = collate(frames, max(change.n_frames for change in changes), faces)
        targets = examples.targets(index[needed], n_labels)
        if mixture is not None:
            mine, its = (np.searchsorted(needed, i) for i in (own, mixture.other[own]))
            inputs, targets = mix(inputs, targets, mixture.share, mine, its, fill)
        yield Batch(
            inputs, targets, index[own], None if allowed is None else allowed[own],
            share, len(index),
        )  # fmt: skip


def _own_part(n_clips: int, part: tuple[int, int]) -> tuple[NDArray[np.intp], float]:
    """Return the places in a batch that are this process's, and their share of the batch.

    Of fewer clips than processes, each process takes all, and counts for one of them.
    """
    number, n_parts = part
    places = np.arange(n_clips)
    if n_clips < n_parts:
        return places, 1 / n_parts
    own = places[number::n_parts]
    return own, len(own) / n_clips


def ordered_batches(examples: Examples, n_labels: int, batch_size: int = 64) -> Iterator[Batch]:
    """Yield every clip once, as it is, the short ones first: for dev and test."""
    order = np.argsort([len(frames) for frames in examples.frames], kind="stable")
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        faces = None if examples.faces is None else [examples.faces[i] for i in index]
        inputs = collate([examples.frames[i] for i in index], faces=faces)
        yield Batch(inputs, examples.targets(index, n_labels), index)


def collate(
    frames: Sequence[Tensor], longest: int = 0, faces: Sequence[Tensor] | None = None
) -> Inputs:
    """Pad clips [T_i, D] with zeros to one array [B, T, D], and keep their lengths; faces likewise.

    A length of 0 says that the clip does not have that stream.

    T is that of the longest clip, or `longest`, rounded up to a multiple of 16: kernels are
    compiled for each shape they meet, so few shapes save time and memory.
    """
    voice, lengths = _pad(frames, longest)
    return Inputs(voice, lengths) if faces is None else Inputs(voice, lengths, *_pad(faces))


def _pad(clips: Sequence[Tensor], longest: int = 1) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    n_frames = -(-max(1, longest, int(lengths.max())) // _MULTIPLE) * _MULTIPLE
    padded = torch.zeros(len(clips), n_frames, clips[0].shape[1])
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return padded, lengths
