"""A run: the folder in which a training leaves everything, and what can be read from it.

runs/NAME/experiment.toml, splits.json       what was asked for
runs/NAME/fold-1/history.jsonl               a line an epoch
                 weights.safetensors         the best epoch by dev UAR; of a refit, its last
                 last.safetensors            the last epoch
                 first.safetensors           where training.refit is true: the best epoch by dev UAR
                 refit.jsonl                 and a line an epoch of the refit, without dev scores
                 provenance.json             what it came from
                 state-….safetensors         the last two checkpoints, until the fold is complete
                 predictions_dev.csv         written last: the fold is complete; by weights that
                                             did not learn from dev, so of a refit by the first
                 tensorboard/                curves, where training.tensorboard is true
                 predictions_test.csv        by `affectus evaluate --on test` alone
runs/NAME/evaluation_test.json               what came out; with --adapted …_test_adapted…
          predictions_test.csv               all folds, scores as judged, with notes on each clip
          report_test.html, report_test/     the page; its figures and tables

A run of several seeds holds a whole run for each, and what pools them:

runs/NAME/seeds.json                         which
runs/NAME/NAME-seed-0/                       a run as above
runs/NAME/predictions_test.csv               the mean of their scores, as judged
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from affectus.errors import TrainingError
from affectus.experiment import Experiment, read_experiment, write_experiment
from affectus.files import replacing
from affectus.manifest import hash_file
from affectus.splits import Split, read_splits, write_splits

T = TypeVar("T")

_SEEDS = "seeds.json"


@dataclass(frozen=True)
class Run:
    """A folder of trained folds; see the module's text.

    `members` are the runs of several seeds that it pools, whose folds are then not its own.
    """

    folder: Path
    experiment: Experiment
    splits: tuple[Split, ...]
    members: tuple[Run, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its members; of a run without, its own."""
        runs = self.members or (self,)
        return tuple(run.experiment.training.seed for run in runs)

    def fold_dir(self, split: Split) -> Path:
        """Return where a fold lies."""
        return self.folder / split.fold

    def finished(self, split: Split) -> bool:
        """Tell whether a fold was trained to its end."""
        return (self.fold_dir(split) / "predictions_dev.csv").is_file()


class Epoch(NamedTuple):
    """One line of history.jsonl; `loss` is the mean over training clips, dev without smoothing.

    In a line of refit.jsonl, dev is None: its clips are among those that train.
    """

    fold: str
    epoch: int
    loss: float
    learning_rate: float
    dev_uar: float | None
    dev_war: float | None
    dev_nll: float | None
    best: bool
    seconds: float

    def describe(self) -> str:
        """Return what a progress bar says of it."""
        dev = "" if self.dev_uar is None else f" dev UAR {self.dev_uar:.3f}"
        refit = " refit" if self.dev_uar is None else ""
        return f"{self.fold}{refit} epoch {self.epoch} loss {self.loss:.3f}{dev}"


def open_run(folder: Path | str) -> Run:
    """Read a run's folder. Raises TrainingError if a fold was not trained to its end."""
    folder = Path(folder)
    if not (folder / "experiment.toml").is_file():
        raise TrainingError(
            f"{folder}: no run; expected a folder with experiment.toml. Make one: affectus train"
        )
    experiment = read_experiment(folder / "experiment.toml")
    if (folder / _SEEDS).is_file():
        members = tuple(open_run(_member_dir(folder, experiment, s)) for s in read_seeds(folder))
        return Run(folder, experiment, members[0].splits, members)
    run = Run(folder, experiment, read_splits(folder / "splits.json"))
    unfinished = [split.fold for split in run.splits if not run.finished(split)]
    if unfinished:
        raise TrainingError(
            f"{folder}: {', '.join(unfinished)} not finished; expected {len(run.splits)} folds. "
            f"Go on with: affectus train EXPERIMENT --resume"
        )
    return run


def look_at_run(folder: Path) -> Run:
    """Read a run's folder as far as it has come: to be looked at, while it trains.

    Its folds need not be finished; of several seeds, those not begun are left out, and it has no
    folds while none is. Raises AffectusError or OSError where there is not yet that much.
    """
    experiment = read_experiment(folder / "experiment.toml")
    if not (folder / _SEEDS).is_file():
        return Run(folder, experiment, read_splits(folder / "splits.json"))
    folders = (_member_dir(folder, experiment, seed) for seed in read_seeds(folder))
    begun = (one for one in folders if (one / "experiment.toml").is_file())
    members = tuple(look_at_run(one) for one in begun)
    return Run(folder, experiment, members[0].splits if members else (), members)


def begin_run(
    experiment: Experiment, splits: tuple[Split, ...], runs_dir: Path, resume: bool
) -> Run:
    """Make a run's folder, or find it again to resume. Raises TrainingError if it does not fit."""
    folder = runs_dir / experiment.name
    if _begun(folder, experiment, resume):
        if (folder / _SEEDS).is_file():
            raise TrainingError(
                f"{folder}: begun with several seeds; expected the same to resume. Add --seeds "
                f"{','.join(map(str, read_seeds(folder)))}, or choose another name."
            )
        if read_splits(folder / "splits.json") != splits:
            raise TrainingError(
                f"{folder}: begun on other clips or another split; expected the same to resume. "
                f"Choose another name."
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_splits(splits, folder / "splits.json")
    write_experiment(experiment, folder / "experiment.toml")
    return Run(folder, experiment, splits)


def begin_pool(
    experiment: Experiment, seeds: tuple[int, ...], runs_dir: Path, resume: bool
) -> Path:
    """Make the folder of a run of several seeds, or find it again; errors as of `begin_run`."""
    folder = runs_dir / experiment.name
    if _begun(folder, experiment, resume):
        begun = read_seeds(folder)
        if begun != seeds:
            raise TrainingError(
                f"{folder}: begun with {_in_words(begun)}; expected {_in_words(seeds)} to resume. "
                f"Choose another name, or the same seeds."
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json({"seeds": seeds}, folder / _SEEDS)
    write_experiment(experiment, folder / "experiment.toml")
    return folder


def member_name(experiment: Experiment, seed: int) -> str:
    """Return what the run of one of several seeds is called."""
    return f"{experiment.name}-seed-{seed}"


def _begun(folder: Path, experiment: Experiment, resume: bool) -> bool:
    """Tell whether a run is there already; refuse one that is not to be, or cannot be, resumed."""
    if not (folder / "experiment.toml").is_file():
        return False
    if not resume:
        raise TrainingError(
            f"{folder}: there already; expected a new name. Choose another with --set name=NEW, or "
            f"go on with --resume."
        )
    if read_experiment(folder / "experiment.toml") != experiment:
        raise TrainingError(
            f"{folder}: begun with another configuration; expected the same to resume. Choose "
            f"another name."
        )
    return True


def _in_words(seeds: tuple[int, ...]) -> str:
    return f"seeds {', '.join(map(str, seeds))}" if seeds else "one seed"


def read_seeds(folder: Path) -> tuple[int, ...]:
    """Return the seeds that a run pools; none where it was trained with its own alone."""
    if not (folder / _SEEDS).is_file():
        return ()
    return _read(folder / _SEEDS, lambda text: tuple(map(int, json.loads(text)["seeds"])))


def _member_dir(folder: Path, experiment: Experiment, seed: int) -> Path:
    return folder / member_name(experiment, seed)


def write_history(epochs: Sequence[Epoch], path: Path) -> None:
    """Write a fold's history.jsonl or refit.jsonl anew, complete or not at all."""
    text = "".join(json.dumps(epoch._asdict()) + "\n" for epoch in epochs)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_history(run: Run) -> list[Epoch]:
    """Return every epoch of every fold, in order."""
    if run.members:
        return [
            epoch._replace(fold=f"seed {seed} {epoch.fold}")
            for seed, member in zip(run.seeds, run.members, strict=True)
            for epoch in read_history(member)
        ]
    found = []
    for split in run.splits:
        path = run.fold_dir(split) / "history.jsonl"
        found += _read(path, lambda text: [Epoch(**json.loads(x)) for x in text.splitlines()])
    return found


def read_provenance(run: Run) -> list[dict[str, Any]]:
    """Return each fold's provenance.json; of several seeds, all of them."""
    if run.members:
        return [
            {**facts, "fold": f"seed {seed} {facts['fold']}"}
            for seed, member in zip(run.seeds, run.members, strict=True)
            for facts in read_provenance(member)
        ]
    return [_read_facts(run, split) for split in run.splits]


def _read_facts(run: Run, split: Split) -> dict[str, Any]:
    return _read(run.fold_dir(split) / "provenance.json", lambda text: dict(json.loads(text)))


def _read(path: Path, take: Callable[[str], T]) -> T:
    """Return what `take` makes of a file of the run; TrainingError where it cannot."""
    try:
        return take(path.read_text("utf-8"))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TrainingError(
            f"{path}: {error}; expected what the training wrote. Copy the run again, or train anew."
        ) from None


def check_weights(run: Run, split: Split, *, side: str = "test") -> Path:
    """Return a fold's weights file, refused (TrainingError) if it is not the one it trained.

    For side dev, those that did not learn from it: of a refit, the first training's.
    """
    if run.members:
        raise TrainingError(
            f"{run.folder}: the run of {len(run.members)} seeds; expected one of them. Take "
            f"{run.members[0].folder}."
        )
    facts, name = _read_facts(run, split), "weights"
    if side == "dev" and run.experiment.training.refit:
        facts, name = facts.get("refit", {}), "first"
    path = run.fold_dir(split) / f"{name}.safetensors"
    expected = str(facts.get("weights_sha256"))
    if not path.is_file() or hash_file(path) != expected:
        raise TrainingError(
            f"{path}: not the weights that this fold trained; expected SHA-256 "
            f"{expected[:12]}…. Train again."
        )
    return path


def sync(path: Path) -> None:
    """Make a file's bytes durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(value: Any, path: Path) -> None:
    """Write a value as indented JSON, complete or not at all; NaN becomes null."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
