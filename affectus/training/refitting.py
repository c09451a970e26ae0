"""A fold's second training: on train and dev together, to the epoch that dev chose in the first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from affectus import models
from affectus.batches import Bands, Examples
from affectus.models import Network
from affectus.runs import Epoch, Run, write_history
from affectus.splits import Split
from affectus.training.checkpoints import load_state, refit_dir, save_state
from affectus.training.epoch import plan_lesson, run_epoch
from affectus.training.learner import create_learner, fold_number
from affectus.training.together import Team


@dataclass(frozen=True)
class Refitted:
    """A network that learnt from train and dev together, `n_epochs` long."""

    network: Network
    n_epochs: int


def refit(
    run: Run,
    split: Split,
    both: Examples,
    n_epochs: int,
    bands: Bands | None,
    origin: Mapping[str, Any],
    report: Callable[[Epoch], None],
    notice: Callable[[str], None],
    team: Team,
) -> Refitted:
    """Train a fresh network on `both`, or go on with it, and write it as the fold's weights.

    Seed and schedule are those of the first training, of which it takes the first `n_epochs`;
    nothing is judged. Its states have a folder of their own until the fold is complete.
    """
    experiment, folder = run.experiment, run.fold_dir(split)
    states = refit_dir(folder)
    learner, model_config = create_learner(experiment, both, fold_number(split.fold), team.rank)
    lesson = plan_lesson(experiment, split.fold, both, learner, bands, team)
    origin = {**origin, "refit": n_epochs}
    if team.leads:
        states.mkdir(exist_ok=True)
    load_state(states, learner, origin, notice, team)
    team.expect_same(learner.step, str(states))
    if team.leads:
        write_history(learner.history, folder / "refit.jsonl")
    while learner.epoch < n_epochs:
        began = time.monotonic()
        loss, rate = run_epoch(learner, lesson)
        line = Epoch(
            split.fold, learner.epoch, loss, rate, dev_uar=None, dev_war=None, dev_nll=None,
            best=learner.epoch == n_epochs, seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        learner.history.append(line)
        random_states = team.random_states()
        if team.leads:
            with (folder / "refit.jsonl").open("a", encoding="utf-8") as history:
                history.write(json.dumps(line._asdict()) + "\n")
            save_state(states, learner, origin, random_states)
            report(line)
    if team.leads:
        models.save(learner.average, model_config, folder / "weights.safetensors")
    return Refitted(learner.average, n_epochs)
