"""Checkpoints: a fold that was killed goes on after its last whole epoch, to the same weights.

    fold-1/state-0007-1a2b3c4d5e6f7081.safetensors

A state is one file: weights, their average, the best of it, the optimiser's memory and the states
of the random numbers as tensors, all else as JSON in the header. Its name ends with the first 16
digits of its SHA-256, so a torn file is known by its name; it is synced, then renamed into place.
The last two are kept until the fold is complete; a refit's lie in fold-1/refit/ beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from affectus.runs import Epoch, sync
from affectus.training.learner import Learner, fixed_names
from affectus.training.together import ALONE, Team

_KEPT = 2
_SCHEMA = 1


def save_state(
    folder: Path, learner: Learner, origin: Mapping[str, Any], random_states: Sequence[Tensor]
) -> None:
    """Write the state after an epoch, complete or not at all; older ones but one are removed.

    `origin` is what the state came from and depends on: `load_state` wants the same.
    `random_states` are those of torch in each process.
    """
    facts = _facts(learner, origin, len(random_states))
    data = safetensors.torch.save(_tensors(learner, random_states), {"facts": json.dumps(facts)})
    digest = hashlib.sha256(data).hexdigest()[:16]
    path = folder / f"state-{learner.epoch:04d}-{digest}.safetensors"
    temporary = folder / ".state.tmp"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(folder)
    others = [other for other in find_states(folder) if other != path]
    for old in others[_KEPT - 1 :]:
        old.unlink()


def load_state(
    folder: Path,
    learner: Learner,
    origin: Mapping[str, Any],
    notice: Callable[[str], None],
    team: Team = ALONE,
) -> bool:
    """Bring a fresh learner to the last whole state of a fold; False if there is none.

    What is passed over (torn, of another origin) is told by `notice` in words, and so is whatever
    makes it doubtful that the end will be the same to the last bit.
    """
    for path in find_states(folder):
        found = _read(path, notice)
        if found is None:
            continue
        facts, tensors = found
        if facts["origin"] != json.loads(json.dumps(origin)):
            notice(f"{path}: made from other data or by another version; passed over.")
            continue
        for what, before in facts["machine"].items():
            if (now := _machine(learner, team.size).get(what)) != before:
                notice(
                    f"{path}: made with {what} {before}, now {now}: the weights will not be those "
                    f"of an undisturbed run to the last bit."
                )
        _restore(learner, facts, tensors, team.rank)
        return True
    return False


def find_states(folder: Path) -> list[Path]:
    """Return the states of a fold, the last first."""
    return sorted(folder.glob("state-*.safetensors"), key=lambda p: int(p.name.split("-")[1]))[::-1]


def refit_dir(folder: Path) -> Path:
    """Return where the states of a fold's refit lie until the fold is complete."""
    return folder / "refit"


def drop_states(folder: Path) -> None:
    """Remove a fold's states, its refit's too, and what a kill left of one being written."""
    for place in (folder, refit_dir(folder)):
        for path in (*find_states(place), place / ".state.tmp"):
            path.unlink(missing_ok=True)
    if refit_dir(folder).is_dir():
        refit_dir(folder).rmdir()


def _read(
    path: Path, notice: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    if digest != path.stem.rpartition("-")[2]:
        notice(f"{path}: damaged (its hash is {digest}); passed over for the one before.")
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        notice(f"{path}: {error}; passed over for the one before.")
        return None
    if facts.get("schema") != _SCHEMA:
        notice(f"{path}: written by another version of this package; passed over.")
        return None
    return facts, tensors


def _tensors(learner: Learner, random_states: Sequence[Tensor]) -> dict[str, Tensor]:
    parts = {
        "network": learner.network.state_dict(),
        "average": learner.average.state_dict(),
        "best": learner.best,
    }
    fixed = fixed_names(learner.network)
    named = {
        f"{part}.{name}": value
        for part, values in parts.items()
        for name, value in values.items()
        if name not in fixed  # which is where it came from
    }
    for number, parameter in enumerate(learner.network.parameters()):
        for name, value in learner.optimiser.state.get(parameter, {}).items():
            if value is not None:
                named[f"optimiser.{number}.{name}"] = value
    for rank, state in enumerate(random_states):
        named[_random_name(rank)] = state
    if learner.device.type == "cuda":
        named["random.cuda"] = torch.cuda.get_rng_state(learner.device)
    named["best_scores"] = torch.from_numpy(learner.best_scores)
    return {name: value.detach().cpu().contiguous() for name, value in named.items()}


def _random_name(rank: int) -> str:
    return f"random.torch.{rank}" if rank else "random.torch"


def _facts(learner: Learner, origin: Mapping[str, Any], n_processes: int) -> dict[str, Any]:
    plateau = learner.plateau
    return {
        "schema": _SCHEMA,
        "origin": origin,
        "machine": _machine(learner, n_processes),
        "epoch": learner.epoch,
        "step": learner.step,
        "best_standing": learner.best_standing,
        "since_best": learner.since_best,
        "scaler": learner.scaler.state_dict(),
        "plateau": [plateau.share, plateau.best, plateau.since_best],
        "random": learner.rng.bit_generator.state,
        "history": [epoch._asdict() for epoch in learner.history],
    }


@torch.no_grad()
def _restore(
    learner: Learner, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], rank: int
) -> None:
    def part(name: str) -> dict[str, Tensor]:
        prefix = f"{name}."
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    fixed = {
        name: value
        for name, value in learner.network.state_dict().items()
        if name in fixed_names(learner.network)
    }
    learner.network.load_state_dict({**part("network"), **fixed})
    learner.average.load_state_dict({**part("average"), **fixed})
    learner.best = {**part("best"), **fixed}
    for number, parameter in enumerate(learner.network.parameters()):
        for name, value in part(f"optimiser.{number}").items():
            if value.shape == parameter.shape:
                # Laid out as the parameter is: kernels for another layout may round differently.
                value = torch.empty_like(parameter).copy_(value)
            learner.optimiser.state[parameter][name] = value
    if _random_name(rank) in tensors:  # or there are more processes now, which was told
        torch.set_rng_state(tensors[_random_name(rank)])
    if learner.device.type == "cuda" and "random.cuda" in tensors and not rank:
        torch.cuda.set_rng_state(tensors["random.cuda"], learner.device)
    learner.best_scores = tensors["best_scores"].numpy()
    learner.epoch, learner.step = facts["epoch"], facts["step"]
    learner.best_standing = (facts["best_standing"][0], facts["best_standing"][1])
    learner.since_best = facts["since_best"]
    if facts.get("scaler"):
        learner.scaler.load_state_dict(facts["scaler"])
    plateau = learner.plateau
    plateau.share, plateau.best, plateau.since_best = facts["plateau"]
    learner.rng.bit_generator.state = facts["random"]
    learner.history = [Epoch(**line) for line in facts["history"]]


def _machine(learner: Learner, n_processes: int) -> dict[str, Any]:
    """Return what decides how sums are rounded."""
    return {
        "threads": torch.get_num_threads(),
        "processes": n_processes,
        "device": learner.device.type,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
