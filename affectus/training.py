"""Training: an experiment to a run. One straight loop, read from top to bottom.

The test side is never opened here but by `predict_side`, and that only when asked for 'test'.
"""

from __future__ import annotations

import copy
import json
import math
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from affectus import models
from affectus.audit import check_completeness
from affectus.batches import (
    Examples,
    class_weights,
    fit_normalisation,
    load_examples,
    ordered_batches,
    training_batches,
)
from affectus.corpora import expected_clips, expected_counts
from affectus.errors import (
    AuditError,
    ConfigError,
    DiskError,
    EvaluationError,
    TrainingError,
)
from affectus.evaluation import Evaluation, Predictions, evaluate_predictions, join_predictions
from affectus.experiment import Experiment
from affectus.extraction import (
    check_coverage,
    count_without_fingerprint,
    near_pairs,
    sound_hashes,
)
from affectus.features import create_extractor, describe_extractor, hash_record, read_record
from affectus.manifest import Manifest, hash_file, read_exclusions
from affectus.metrics import confusion_matrix, negative_log_likelihood, uar, war
from affectus.models import ModelConfig, Network
from affectus.runs import Epoch, Run, begin_run, check_weights, read_provenance, write_json
from affectus.splits import Split, check_split, make_splits, read_splits
from affectus.store import FeatureStore

_OF_ONE_FOLD = ("fold", "weights_sha256", "n_train", "n_dev", "cautions")

Progress = Callable[[Epoch, int, int], None]  # (what ended, epochs done, of all folds)


def train(
    experiment: Experiment,
    runs_dir: Path | str = "runs",
    *,
    resume: bool = False,
    allow_incomplete: bool = False,
    allow_leak: bool = False,
    on_epoch: Progress = lambda epoch, done, total: None,
) -> Run:
    """Train every fold of an experiment and return the run.

    `resume` keeps folds that are finished. `allow_incomplete` trains although clips of a published
    corpus are missing, `allow_leak` although a split shares speakers or recordings; both are
    recorded, and printed by every report.

    Raises AuditError, SplitError, StoreError, ConfigError or TrainingError before the first step.
    """
    everything = Manifest.read(experiment.manifest)
    cautions = _missing_clips(everything, allow_incomplete)
    manifest = _leave_out(everything, experiment)
    cautions += _left_out(manifest, experiment)
    features = str(experiment.features["name"])
    with FeatureStore(experiment.store) as store:
        origin, n_features = _check_features(experiment, store)
        check_coverage(manifest, store, features)
        audio = sound_hashes(manifest, store, features)
        fingerprints = store.fingerprints(features)
        near = near_pairs(manifest, fingerprints, audio)
        cautions += _uncompared(manifest, fingerprints)
        splits = []
        for split in _make_splits(manifest, experiment):
            leaks = check_split(manifest, split, audio=audio, near=near, allow_leak=allow_leak)
            cautions += [f"{split.fold}: {leak}" for leak in leaks if not split.leaky]
            splits.append(replace(split, leaky=split.leaky or bool(leaks)))
        models.create_model(_model_config(experiment, n_features))  # or refuse it here
        run = begin_run(experiment, tuple(splits), Path(runs_dir), resume)
        provenance = {
            "manifest_sha256": manifest.sha256,
            **origin,
            "cautions": cautions,
        }
        to_do = [split for split in splits if not run.finished(split)]
        n_epochs = experiment.training.epochs
        for place, split in enumerate(to_do):

            def report(epoch: Epoch, done: int = place * n_epochs) -> None:
                on_epoch(epoch, done + epoch.epoch, len(to_do) * n_epochs)

            try:
                _train_fold(run, split, manifest, store, provenance, report)
            except (OSError, SafetensorError) as error:
                raise DiskError(
                    f"{run.fold_dir(split)}: {error}; expected a folder to write. Free some "
                    f"space, then go on with --resume: finished folds are kept."
                ) from error
    return run


def predict_side(run: Run, side: str) -> Predictions:
    """Return the pooled predictions of every fold for dev (as kept) or test (computed, written).

    Each clip is answered by the fold that has it on that side. This is the only function that
    reads features of the test side.
    """
    if side not in ("dev", "test"):
        raise EvaluationError(f"side '{side}': not to be judged; expected dev or test.")
    if side == "dev":
        parts = [Predictions.read(run.fold_dir(s) / "predictions_dev.csv") for s in run.splits]
        return join_predictions(parts)
    manifest = _leave_out(Manifest.read(run.experiment.manifest), run.experiment)
    clips = {clip.clip_id: clip for clip in manifest}
    features = str(run.experiment.features["name"])
    parts = []
    with FeatureStore(run.experiment.store) as store:
        for split in run.splits:
            if split.manifest_sha256 and manifest.sha256 != split.manifest_sha256:
                raise TrainingError(
                    f"{run.experiment.manifest}: changed since the run was trained, or its list of "
                    f"exclusions; expected the same clips. Import again, or train again."
                )
            network, _ = models.load(check_weights(run, split))
            examples = load_examples(
                [clips[clip_id] for clip_id in split.test], store, features, run.experiment.scheme
            )
            part = predict(network, examples, run.experiment.scheme.labels, split.fold)
            part.write(run.fold_dir(split) / "predictions_test.csv")
            parts.append(part)
    return join_predictions(parts)


def evaluate_run(run: Run, side: str = "dev") -> Evaluation:
    """Judge a run on its dev side, or on its test side: the one way to open it."""
    predictions = predict_side(run, side)
    manifest = _leave_out(Manifest.read(run.experiment.manifest), run.experiment)
    emotions = {clip.clip_id: clip.emotion for clip in manifest}
    scheme = run.experiment.scheme
    planned = [scheme.label(emotions[i]) for split in run.splits for i in split.side(side)]
    facts = read_provenance(run)
    first = run.splits[0]
    return evaluate_predictions(
        predictions,
        manifest,
        name=run.experiment.name,
        side=side,
        scheme=scheme.describe(),
        protocol={
            "name": first.protocol,
            "version": first.version,
            "text": first.text,
            "leaky": any(split.leaky for split in run.splits),
            "folds": len(run.splits),
            "seed": first.seed,
        },
        n_planned=sum(label is not None for label in planned),
        cautions=list(dict.fromkeys(text for fold in facts for text in fold["cautions"])),
        provenance={
            **{key: value for key, value in facts[0].items() if key not in _OF_ONE_FOLD},
            "weights_sha256": {fold["fold"]: fold["weights_sha256"] for fold in facts},
            "seed": run.experiment.training.seed,
        },
    )


@torch.no_grad()
def predict(
    network: Network, examples: Examples, labels: Sequence[str], fold: str = ""
) -> Predictions:
    """Return a network's scores for examples, in float32, in the examples' order."""
    network.eval()
    scores = np.zeros((len(examples), len(labels)))
    for inputs, _, rows in ordered_batches(examples, len(labels)):
        scores[rows] = torch.softmax(network(inputs).double(), 1).numpy()
    return Predictions(
        labels=tuple(labels),
        clip_ids=tuple(clip.clip_id for clip in examples.clips),
        speakers=tuple(clip.speaker for clip in examples.clips),
        folds=(fold,) * len(examples),
        truth=examples.labels,
        scores=scores,
    )


# --- one fold ----------------------------------------------------------------------------------


def _train_fold(
    run: Run,
    split: Split,
    manifest: Manifest,
    store: FeatureStore,
    provenance: dict[str, Any],
    report: Callable[[Epoch], None],
) -> None:
    config, scheme = run.experiment.training, run.experiment.scheme
    folder = run.fold_dir(split)
    folder.mkdir(exist_ok=True)
    training, dev = _load_sides(run, split, manifest, store)
    if models.is_fitted(str(run.experiment.model["name"])):
        network, answers = _fit_in_one_go(run, split, training, dev, report)
        _finish_fold(run, split, provenance, network, training, dev, answers)
        return
    torch.manual_seed(config.seed)
    rng = np.random.default_rng([config.seed, _fold_number(split)])
    network, model_config = _create_network(run, training)
    average = copy.deepcopy(network)
    mean = network.mean.clone()
    weights = class_weights(training, model_config.n_labels) if config.class_weights else None
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps_per_epoch = math.ceil(len(training) / config.batch_size)
    total = steps_per_epoch * config.epochs
    centres = _band_centres(run.experiment, store)

    best, since_best, step = (-1.0, -math.inf), 0, 0
    dev_uars: deque[float] = deque(maxlen=config.smooth)
    with (folder / "history.jsonl").open("w", encoding="utf-8") as history:
        for epoch in range(1, config.epochs + 1):
            began, losses = time.monotonic(), []
            network.train()
            batches = training_batches(
                training, model_config.n_labels, config.batch_size,
                run.experiment.augmentation, mean, rng, centres,
            )  # fmt: skip
            for batch in batches:
                rate = config.learning_rate * schedule(step, total, config.warmup)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
                    logits = network(batch.inputs)
                loss = soft_cross_entropy(
                    logits.float(), batch.targets, weights, config.label_smoothing
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
                step += 1
                follow(average, network, config.average, step)
                losses.append(loss.item() * len(batch.rows))

            answers = predict(average, dev, scheme.labels, split.fold)
            scores = _dev_scores(answers)
            dev_uars.append(scores["dev_uar"])
            standing = (sum(dev_uars) / len(dev_uars), -scores["dev_nll"])
            improved = standing > best
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

    _finish_fold(run, split, provenance, network, training, dev, best_answers)


def _fit_in_one_go(
    run: Run, split: Split, training: Examples, dev: Examples, report: Callable[[Epoch], None]
) -> tuple[Network, Predictions]:
    """Fit a model that has no epochs to the means of the clips' frames; its history is a line."""
    began, folder, scheme = time.monotonic(), run.fold_dir(split), run.experiment.scheme
    config = _model_config(run.experiment, training.frames[0].shape[1])
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
    training: Examples,
    dev: Examples,
    answers: Predictions,
) -> None:
    """Write what a fold came from, and last its dev predictions: with them it is complete."""
    folder = run.fold_dir(split)
    facts = {
        **provenance,
        "fold": split.fold,
        "weights_sha256": hash_file(folder / "weights.safetensors"),
        "n_parameters": models.count_parameters(network),
        "n_train": len(training),
        "n_dev": len(dev),
        **_machine(),
    }
    write_json(facts, folder / "provenance.json")
    answers.write(folder / "predictions_dev.csv")


def _load_sides(
    run: Run, split: Split, manifest: Manifest, store: FeatureStore
) -> tuple[Examples, Examples]:
    """Return the training and the dev examples of a fold; the test side stays unread."""
    clips = {clip.clip_id: clip for clip in manifest}
    features, scheme = str(run.experiment.features["name"]), run.experiment.scheme
    training, dev = (
        load_examples([clips[clip_id] for clip_id in split.side(side)], store, features, scheme)
        for side in ("train", "dev")
    )
    if not len(dev) or not len(training):
        raise TrainingError(f"{split.fold}: no clips in train or dev; expected some of each.")
    return training, dev


def _model_config(experiment: Experiment, n_features: int) -> ModelConfig:
    settings = {key: value for key, value in experiment.model.items() if key != "name"}
    name, n_labels = str(experiment.model["name"]), len(experiment.scheme.labels)
    return ModelConfig(name, n_features, n_labels, settings)


def _create_network(run: Run, training: Examples) -> tuple[Network, ModelConfig]:
    """Return a fresh network that normalises by the training clips' statistics."""
    config = _model_config(run.experiment, training.frames[0].shape[1])
    network = models.create_model(config)
    mean, deviation = fit_normalisation(training)
    network.mean.copy_(mean)
    network.deviation.copy_(deviation)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, config


def schedule(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate at a step: a linear rise, then half a cosine to 0."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def soft_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    """Return the mean cross entropy of logits [B, K] to targets [B, K], clips weighted by class.

    `weights` is [K]; a clip of mixed classes has the mixed weight. Smoothing moves that share of
    each target to all classes alike (Szegedy et al. 2016, "Rethinking the Inception Architecture").
    """
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    losses = -(smooth * torch.log_softmax(logits, 1)).sum(1)
    if weights is not None:
        losses = losses * (targets @ weights)
    return losses.mean()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the running average of weights towards the network's; faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for mine, its in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(its, 1 - decay)
        else:
            mine.copy_(its)


def _dev_scores(answers: Predictions) -> dict[str, float]:
    confusion = confusion_matrix(answers.truth, answers.prediction, len(answers.labels))
    return {
        "dev_uar": float(uar(confusion)),
        "dev_war": float(war(confusion)),
        "dev_nll": negative_log_likelihood(answers.truth, answers.scores),
    }


# --- before and after --------------------------------------------------------------------------


def _leave_out(manifest: Manifest, experiment: Experiment) -> Manifest:
    """Return the manifest with a fault at each clip that the experiment leaves out."""
    reasons = read_exclusions(experiment.exclude) if experiment.exclude else {}
    return manifest.excluding(reasons)


def _left_out(manifest: Manifest, experiment: Experiment) -> list[str]:
    n_clips = sum(clip.fault.startswith("excluded: ") for clip in manifest)
    return [f"{n_clips:,} clips are left out by {experiment.exclude}"] if n_clips else []


def _missing_clips(manifest: Manifest, allow_incomplete: bool) -> list[str]:
    """Return what is missing of the published corpora, in words; refuse it unless allowed."""
    findings = check_completeness(manifest, expected_clips(manifest), expected_counts(manifest))
    texts = [finding.message for finding in findings]
    if texts and not allow_incomplete:
        raise AuditError(
            f"{'; '.join(texts)}; expected all of it. Complete it, or add --allow-incomplete: "
            f"every report will then say so."
        )
    return texts


def _uncompared(manifest: Manifest, fingerprints: Mapping[str, bytes]) -> list[str]:
    """Return a caution if copies of some clips could not be looked for."""
    count = count_without_fingerprint(manifest, fingerprints)
    if not count:
        return []
    return [
        f"The sound of {count:,} of {len(manifest):,} clips was not compared with that of others "
        f"(features imported, or extracted before fingerprints were kept): near-identical copies "
        f"on two sides would not be seen."
    ]


def _check_features(experiment: Experiment, store: FeatureStore) -> tuple[dict[str, Any], int]:
    """Return what the features come from, for the provenance, and how many columns they have.

    Features of this package must have been made with the experiment's parameters. Imported ones
    have no extractor: their columns and the hash of all their arrays stand for them.
    """
    name = str(experiment.features["name"])
    record = store.record(name) if name in store.features() else {}
    if record.get("kind") != "imported":
        extractor = create_extractor(**experiment.features)
        decoder = str(store.record(name)["decoder"])
        store.define(name, {**describe_extractor(extractor), "decoder": decoder})
        if not hasattr(extractor, "centres"):
            _refuse_gain(experiment)
        origin = {"features": describe_extractor(extractor), "decoder": decoder}
        return origin, len(extractor.columns)
    if others := [key for key in experiment.features if key != "name"]:
        raise ConfigError(
            f"features '{name}' were imported and have no parameter '{others[0]}'; expected a name "
            f"alone. Leave features.{others[0]} out."
        )
    _refuse_gain(experiment)
    columns, frame_rate = read_record(record)
    kept = [(item.key, item.audio_sha256) for item in store.ledger(name) if item.state == "done"]
    return {
        "features": {
            **{key: value for key, value in record.items() if key != "columns"},
            "n_columns": len(columns),
            "frame_rate": frame_rate,
            "sha256": hash_record(dict(kept)),
        }
    }, len(columns)


def _refuse_gain(experiment: Experiment) -> None:
    if experiment.augmentation.gain_db:
        raise ConfigError(
            f"augmentation.gain_db is {experiment.augmentation.gain_db:g}, but the features "
            f"'{experiment.features['name']}' are not in dB; expected 0. Add --set "
            f"augmentation.gain_db=0"
        )


def _band_centres(experiment: Experiment, store: FeatureStore) -> NDArray[np.float64] | None:
    """Return the centres of mel bands in Hz; None where the features are none."""
    if store.record(str(experiment.features["name"])).get("kind") == "imported":
        return None
    return getattr(create_extractor(**experiment.features), "centres", None)


def _make_splits(manifest: Manifest, experiment: Experiment) -> tuple[Split, ...]:
    config = experiment.split
    if config.file:
        splits = read_splits(config.file)
    else:
        splits = make_splits(manifest, config.protocol, seed=config.seed)
    for number in config.folds:
        if not 1 <= number <= len(splits):
            raise ConfigError(f"split.folds has {number}; expected 1 to {len(splits)}.")
    chosen = [splits[number - 1] for number in config.folds] or list(splits)
    return tuple(chosen)


def _fold_number(split: Split) -> int:
    return int("".join(filter(str.isdecimal, split.fold)) or 0)


def _machine() -> dict[str, Any]:
    """Return what else a figure depends on: versions, processor, threads, command."""
    return {
        "versions": {p: version(p) for p in ("affectus", "torch", "numpy", "soundfile", "soxr")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
