"""One fold: a straight loop, read from top to bottom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from affectus import models
from affectus.evaluation import Predictions
from affectus.manifest import Manifest, hash_file
from affectus.models import Network
from affectus.runs import Epoch, Run, sync, write_history, write_json
from affectus.splits import Split
from affectus.store import FeatureStore
from affectus.training.checkpoints import drop_states, load_state, save_state
from affectus.training.checks import find_bands
from affectus.training.curves import draw_curves
from affectus.training.devices import describe_device
from affectus.training.doubts import find_doubts, measure_uar
from affectus.training.epoch import plan_lesson, run_epoch
from affectus.training.fitted import fit_in_one_go
from affectus.training.judging import as_predictions, dev_scores, predict, predict_together
from affectus.training.learner import create_learner, fold_number
from affectus.training.machine import describe_machine
from affectus.training.refitting import Refitted, refit
from affectus.training.sides import Sides, load_sides
from affectus.training.together import ALONE, Team


def train_fold(
    run: Run,
    split: Split,
    manifest: Manifest,
    store: FeatureStore,
    provenance: dict[str, Any],
    report: Callable[[Epoch], None],
    notice: Callable[[str], None],
    team: Team = ALONE,
) -> None:
    """Train a fold, or go on with it, and leave in its folder all that `affectus.runs` says.

    Of a `team` of processes, the first one writes and reports.

    `notice` is told in words of every checkpoint that is passed over, and of results to doubt.
    """
    folder = run.fold_dir(split)
    if team.leads:
        folder.mkdir(exist_ok=True)
    sides = load_sides(run.experiment, split, manifest, store)
    if models.is_fitted(str(run.experiment.model["name"])):
        if team.leads:
            network, answers, line = fit_in_one_go(run, split, sides)
            write_history([line], folder / "history.jsonl")
            report(line)
            _finish_fold(run, split, provenance, network, sides, answers, notice)
        return
    config, labels = run.experiment.training, run.experiment.scheme.labels
    kept = folder / ("first.safetensors" if config.refit else "weights.safetensors")
    learner, model_config = create_learner(
        run.experiment, sides.training, fold_number(split.fold), team.rank
    )
    lesson = plan_lesson(
        run.experiment, split.fold, sides.training, learner, find_bands(run.experiment, store), team
    )
    origin = {
        "fold": split.fold,
        **{key: provenance[key] for key in ("manifest_sha256", "features")},
    }
    if encoder := model_config.settings.get("weights"):
        origin["encoder"] = encoder
    resumed = load_state(folder, learner, origin, notice, team)
    team.expect_same(learner.step, str(folder))
    if team.leads:
        if resumed:
            # What was written after that state is undone, so that all files are of one epoch.
            models.save(learner.average, model_config, folder / "last.safetensors")
            models.save(learner.best_network(), model_config, kept)
        write_history(learner.history, folder / "history.jsonl")
    wanted = config.tensorboard and team.leads
    with draw_curves(folder, learner.history, wanted=wanted) as draw:
        while learner.epoch < config.epochs and learner.since_best < config.patience:
            began = time.monotonic()
            loss, rate = run_epoch(learner, lesson)
            answers = predict_together(learner.average, sides.dev, labels, split.fold, team)
            scores = dev_scores(answers)
            improved = learner.judge(scores["dev_uar"], scores["dev_nll"], answers.scores, config)
            line = Epoch(
                split.fold, learner.epoch, loss, rate, **scores,
                best=improved, seconds=round(time.monotonic() - began, 3),
            )  # fmt: skip
            learner.history.append(line)
            random_states = team.random_states()
            if not team.leads:
                continue
            models.save(learner.average, model_config, folder / "last.safetensors")
            if improved:
                models.save(learner.average, model_config, kept)
            with (folder / "history.jsonl").open("a", encoding="utf-8") as history:
                history.write(json.dumps(line._asdict()) + "\n")
            draw(line)
            save_state(folder, learner, origin, random_states)
            report(line)
    refitted = None
    if config.refit:
        n_epochs = max(line.epoch for line in learner.history if line.best)
        refitted = refit(
            run, split, sides.both, n_epochs, lesson.bands, origin, report, notice, team
        )
    if team.leads:
        answers = as_predictions(sides.dev, labels, split.fold, learner.best_scores)
        first = learner.best_network()
        _finish_fold(run, split, provenance, first, sides, answers, notice, refitted)
        drop_states(folder)


def _finish_fold(
    run: Run,
    split: Split,
    provenance: dict[str, Any],
    network: Network,
    sides: Sides,
    answers: Predictions,
    notice: Callable[[str], None],
    refitted: Refitted | None = None,
) -> None:
    """Write what a fold came from, and last its dev predictions: with them it is complete.

    `network` is the one that did not learn from dev, and gave the `answers`; a refit's is kept.
    All is on the disk before they get their name, so that a fold that looks complete is.
    """
    folder = run.fold_dir(split)
    heard = predict(network, sides.training, run.experiment.scheme.labels, split.fold)
    doubts = [f"{split.fold}: {text}" for text in find_doubts(heard, answers)]
    for text in doubts:
        notice(text)
    names = ["weights.safetensors", "provenance.json", ".predictions_dev.new"]
    told: dict[str, Any] = {}
    if refitted is not None:
        heard = predict(refitted.network, sides.both, run.experiment.scheme.labels, split.fold)
        names.append("first.safetensors")
        told["refit"] = {
            "epochs": refitted.n_epochs,
            "n_first": len(sides.training),
            "weights_sha256": hash_file(folder / "first.safetensors"),
        }
    facts = {
        **provenance,
        "cautions": [*provenance["cautions"], *sides.cautions, *doubts],
        "fold": split.fold,
        "weights_sha256": hash_file(folder / "weights.safetensors"),
        "n_parameters": models.count_parameters(network),
        "n_train": len(sides.both),
        "n_dev": len(sides.dev),
        "train_uar": measure_uar(heard),
        **told,
        "label_sets": sides.label_sets,
        "device": describe_device(network.mean.device),
        **describe_machine(),
    }
    write_json(facts, folder / "provenance.json")
    answers.write(folder / ".predictions_dev.new")
    for name in names:
        sync(folder / name)
    (folder / ".predictions_dev.new").replace(folder / "predictions_dev.csv")
    sync(folder)
