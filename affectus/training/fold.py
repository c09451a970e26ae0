"""One fold: a straight loop, read from top to bottom."""

from __future__ import annotations

import copy
import json
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from affectus import models
from affectus.batches import (
    Examples,
    class_weights,
    expected_draws,
    find_groups,
    fit_normalisation,
    training_batches,
)
from affectus.errors import TrainingError
from affectus.evaluation import Predictions
from affectus.experiment import Experiment
from affectus.manifest import Manifest, hash_file
from affectus.metrics import confusion_matrix, negative_log_likelihood, uar, war
from affectus.models import ModelConfig, Network
from affectus.runs import Epoch, Run, write_json
from affectus.splits import Split
from affectus.store import FeatureStore
from affectus.training.checks import band_centres
from affectus.training.judging import predict
from affectus.training.losses import soft_cross_entropy
from affectus.training.machine import describe_machine
from affectus.training.optimising import Plateau, create_optimiser, follow, limit_norms, schedule
from affectus.training.sides import Sides, load_sides


def train_fold(
    run: Run,
    split: Split,
    manifest: Manifest,
    store: FeatureStore,
    provenance: dict[str, Any],
    report: Callable[[Epoch], None],
) -> None:
    """Train a fold and leave in its folder all that `affectus.runs` says."""
    config, scheme = run.experiment.training, run.experiment.scheme
    folder = run.fold_dir(split)
    folder.mkdir(exist_ok=True)
    sides = load_sides(run.experiment, split, manifest, store)
    training, dev = sides.training, sides.dev
    if models.is_fitted(str(run.experiment.model["name"])):
        network, answers = _fit_in_one_go(run, split, training, dev, report)
        _finish_fold(run, split, provenance, network, sides, answers)
        return
    torch.manual_seed(config.seed)
    rng = np.random.default_rng([config.seed, _fold_number(split)])
    network, model_config = _create_network(run, training)
    average = copy.deepcopy(network)
    mean = network.mean.clone()
    groups = find_groups(training, config.sampling)
    draws = None if groups is None else expected_draws(groups)
    weights = (
        class_weights(training, model_config.n_labels, draws) if config.class_weights else None
    )
    optimiser = create_optimiser(network, config)
    plateau = Plateau(config.plateau_factor, config.plateau_patience)
    steps_per_epoch = math.ceil(len(training) / config.batch_size)
    total = steps_per_epoch * config.epochs
    centres = band_centres(run.experiment, store)

    best, since_best, step = (-1.0, -math.inf), 0, 0
    dev_uars: deque[float] = deque(maxlen=config.smooth)
    with (folder / "history.jsonl").open("w", encoding="utf-8") as history:
        for epoch in range(1, config.epochs + 1):
            began, losses = time.monotonic(), []
            network.train()
            batches = training_batches(
                training, model_config.n_labels, config.batch_size,
                run.experiment.augmentation, mean, rng, centres, groups,
            )  # fmt: skip
            for batch in batches:
                share = schedule(step, total, config.warmup, config.schedule)
                rate = config.learning_rate * share * plateau.share
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
                    logits = network(batch.inputs)
                loss = soft_cross_entropy(
                    logits.float(),
                    batch.targets,
                    weights,
                    config.label_smoothing,
                    batch.allowed,
                    config.focal_gamma,
                )
                if not torch.isfinite(loss):
                    names = ", ".join(training.clips[i].clip_id for i in batch.rows[:3])
                    raise TrainingError(
                        f"{split.fold} step {step}: the loss is {loss.item()}; expected a number. "
                        f"Lower training.learning_rate, or look at {names}."
                    )
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
                optimiser.step()
                if config.max_norm:
                    limit_norms(network, config.max_norm)
                step += 1
                follow(average, network, config.average, step)
                losses.append(loss.item() * len(batch.rows))

            answers = predict(average, dev, scheme.labels, split.fold)
            scores = _dev_scores(answers)
            dev_uars.append(scores["dev_uar"])
            standing = (sum(dev_uars) / len(dev_uars), -scores["dev_nll"])
            improved = standing > best
            if config.schedule == "plateau":
                plateau.see(standing[0])
            line = Epoch(
                split.fold, epoch, sum(losses) / len(training), rate, **scores,
                best=improved, seconds=round(time.monotonic() - began, 3),
            )  # fmt: skip
            history.write(json.dumps(line._asdict()) + "\n")
            history.flush()
            models.save(average, model_config, folder / "last.safetensors")
            if improved:
                best, since_best = standing, 0
                models.save(average, model_config, folder / "weights.safetensors")
                best_answers = answers
            else:
                since_best += 1
            report(line)
            if since_best >= config.patience:
                break

    _finish_fold(run, split, provenance, network, sides, best_answers)


def _fit_in_one_go(
    run: Run, split: Split, training: Examples, dev: Examples, report: Callable[[Epoch], None]
) -> tuple[Network, Predictions]:
    """Fit a model that has no epochs to the means of the clips' frames; its history is a line."""
    began, folder, scheme = time.monotonic(), run.fold_dir(split), run.experiment.scheme
    config = model_config_of(run.experiment, training.frames[0].shape[1])
    weights = np.ones(len(training))
    if run.experiment.training.class_weights:
        weights = class_weights(training, config.n_labels).double().numpy()[training.labels]
    network, config = models.fit_model(
        config,
        np.stack([frames.double().mean(0).numpy() for frames in training.frames]),
        training.labels,
        weights,
        np.array([clip.speaker for clip in training.clips]),
    )
    heard = predict(network, training, scheme.labels, split.fold)
    answers = predict(network, dev, scheme.labels, split.fold)
    line = Epoch(
        split.fold, 1, negative_log_likelihood(heard.truth, heard.scores), 0.0,
        **_dev_scores(answers), best=True, seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip
    text = json.dumps(line._asdict()) + "\n"
    (folder / "history.jsonl").write_text(text, encoding="utf-8")
    models.save(network, config, folder / "weights.safetensors")
    report(line)
    return network, answers


def _finish_fold(
    run: Run,
    split: Split,
    provenance: dict[str, Any],
    network: Network,
    sides: Sides,
    answers: Predictions,
) -> None:
    """Write what a fold came from, and last its dev predictions: with them it is complete."""
    folder = run.fold_dir(split)
    facts = {
        **provenance,
        "cautions": [*provenance["cautions"], *sides.cautions],
        "fold": split.fold,
        "weights_sha256": hash_file(folder / "weights.safetensors"),
        "n_parameters": models.count_parameters(network),
        "n_train": len(sides.training),
        "n_dev": len(sides.dev),
        "label_sets": sides.label_sets,
        **describe_machine(),
    }
    write_json(facts, folder / "provenance.json")
    answers.write(folder / "predictions_dev.csv")


def _create_network(run: Run, training: Examples) -> tuple[Network, ModelConfig]:
    """Return a fresh network that normalises by the training clips' statistics."""
    config = model_config_of(run.experiment, training.frames[0].shape[1])
    network = models.create_model(config)
    mean, deviation = fit_normalisation(training)
    network.mean.copy_(mean)
    network.deviation.copy_(deviation)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, config


def _dev_scores(answers: Predictions) -> dict[str, float]:
    confusion = confusion_matrix(answers.truth, answers.prediction, len(answers.labels))
    return {
        "dev_uar": float(uar(confusion)),
        "dev_war": float(war(confusion)),
        "dev_nll": negative_log_likelihood(answers.truth, answers.scores),
    }


def _fold_number(split: Split) -> int:
    return int("".join(filter(str.isdecimal, split.fold)) or 0)


def model_config_of(experiment: Experiment, n_features: int) -> ModelConfig:
    """Return what the experiment's network is made from."""
    settings = {key: value for key, value in experiment.model.items() if key != "name"}
    name, n_labels = str(experiment.model["name"]), len(experiment.scheme.labels)
    return ModelConfig(name, n_features, n_labels, settings)
