"""An epoch: batches, steps, and the average of weights that follows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affectus.batches import (
    Bands,
    Batch,
    Examples,
    class_weights,
    expected_draws,
    find_groups,
    move_batch,
    pin_batch,
    prepare_ahead,
    training_batches,
)
from affectus.errors import TrainingError
from affectus.experiment import AugmentationConfig, Experiment, TrainingConfig
from affectus.training.devices import DTYPES
from affectus.training.learner import Learner
from affectus.training.losses import soft_cross_entropy
from affectus.training.optimising import follow, limit_norms, schedule, set_rate
from affectus.training.together import ALONE, Team, tell_copies, train_together


@dataclass(frozen=True)
class Lesson:
    """What stays the same in all epochs of a fold.

    `total` is how many steps all epochs have; `fill` [D] is the mean frame, `face_fill` [D']
    that of the face, `bands` are the mel bands, `groups` [N] those that are drawn alike, `weights`
    [K] the labels'. `is_sound` says that frames are samples of sound; `forward` is the network, or
    what a `team` of processes calls.
    """

    fold: str
    config: TrainingConfig
    augmentation: AugmentationConfig
    examples: Examples
    n_labels: int
    total: int
    fill: Tensor
    face_fill: Tensor | None
    bands: Bands | None
    groups: NDArray[np.intp] | None
    weights: Tensor | None
    is_sound: bool
    forward: nn.Module
    team: Team


def plan_lesson(
    experiment: Experiment,
    fold: str,
    training: Examples,
    learner: Learner,
    bands: Bands | None,
    team: Team = ALONE,
) -> Lesson:
    """Return what a fold's epochs need; what is fitted is fitted on its training clips."""
    config, n_labels = experiment.training, len(experiment.scheme.labels)
    groups = find_groups(training, config.sampling)
    draws = None if groups is None else expected_draws(groups)
    return Lesson(
        fold=fold,
        config=config,
        augmentation=experiment.augmentation,
        examples=training,
        n_labels=n_labels,
        total=math.ceil(len(training) / config.batch_size) * config.epochs,
        fill=learner.network.mean.cpu().clone(),
        face_fill=None if training.faces is None else learner.network.face_mean.cpu().clone(),
        bands=bands,
        groups=groups,
        weights=(
            class_weights(training, n_labels, draws).to(learner.device)
            if config.class_weights
            else None
        ),
        is_sound=learner.network.takes_raw,
        forward=train_together(learner.network, team),
        team=team,
    )


def run_epoch(learner: Learner, lesson: Lesson) -> tuple[float, float]:
    """Learn from every training clip once; return the mean loss and the last step's rate.

    Raises TrainingError, naming step and clips, if a loss is not finite.
    """
    losses, rate = [], 0.0
    learner.network.train()
    batches = training_batches(
        lesson.examples, lesson.n_labels, lesson.config.batch_size,
        lesson.augmentation, lesson.fill, learner.rng, lesson.bands, lesson.groups,
        face_fill=lesson.face_fill,
        is_sound=lesson.is_sound, part=(lesson.team.rank, lesson.team.size),
    )  # fmt: skip
    if learner.device.type == "cuda":
        batches = prepare_ahead(batches, pin_batch)
    for batch in batches:
        rate = _set_rate(learner, lesson)
        losses.append(_step(learner, lesson, move_batch(batch, learner.device)) * batch.n_all)
    learner.epoch += 1
    return sum(losses) / len(lesson.examples), rate


def _set_rate(learner: Learner, lesson: Lesson) -> float:
    config = lesson.config
    share = schedule(learner.step, lesson.total, config.warmup, config.schedule)
    rate = config.learning_rate * share * learner.plateau.share
    set_rate(learner.optimiser, rate)
    return rate


def _step(learner: Learner, lesson: Lesson, batch: Batch) -> float:
    """Move the weights once; return the batch's mean loss."""
    config, network = lesson.config, learner.network
    learner.optimiser.zero_grad()
    if lesson.team.size > 1:
        tell_copies(network, round(len(batch.rows) / (batch.share * batch.n_all)))
    dtype = DTYPES[config.precision]
    with torch.autocast(learner.device.type, dtype, enabled=dtype != torch.float32):
        logits = lesson.forward(batch.inputs)
    loss = soft_cross_entropy(
        logits.float(), batch.targets, lesson.weights, config.label_smoothing, batch.allowed,
        config.focal_gamma,
    )  # fmt: skip
    total = lesson.team.add_up(loss * batch.share)
    if not torch.isfinite(total):
        names = ", ".join(lesson.examples.clips[i].clip_id for i in batch.rows[:3])
        raise TrainingError(
            f"{lesson.fold} step {learner.step}: the loss is {total.item()}; expected a number. "
            f"Lower training.learning_rate, or look at {names}."
        )
    # Gradients are averaged over the processes, and should be summed.
    scaler = learner.scaler
    scaler.scale(loss * (batch.share * lesson.team.size)).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(learner.optimiser)
    nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
    scaler.step(learner.optimiser)
    scaler.update()
    if config.max_norm:
        limit_norms(network, config.max_norm)
    learner.step += 1
    follow(learner.average, network, config.average, learner.step)
    return total.item()
