"""Runs to be browsed, finished or still training: read from their folders, never written to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from affectus.errors import AffectusError
from affectus.experiment import Experiment
from affectus.runs import Run, look_at_run, read_seeds
from affectus.server.replies import RequestError
from affectus.server.routes import to_json
from affectus.splits import Split

_MAX_FILE = 64 * 2**20  # bytes
_SIDES = ("dev", "test")
_EVALUATION = (
    "side", "labels", "scheme", "protocol", "n_planned", "n_answered", "n_speakers", "uar", "war",
    "macro_f1", "confusion", "classes", "groups", "speakers", "cautions",
)  # fmt: skip


def run_routes(runs_dir: Path) -> list[BaseRoute]:
    """Return the routes that tell of the runs in a folder."""

    async def list_runs(request: Request) -> Response:
        return to_json({"runs": await asyncio.to_thread(find_runs, runs_dir)})

    async def show_run(request: Request) -> Response:
        name = request.path_params["name"]
        found = await asyncio.to_thread(read_run, runs_dir, name)
        if found is None:
            raise RequestError("not-found", "no such run; /v1/runs lists them.")
        return to_json(found)

    return [Route("/v1/runs", list_runs), Route("/v1/runs/{name}", show_run)]


def _folders(runs_dir: Path) -> dict[str, Path]:
    """Return the folders of runs by name; a name from outside is only ever looked up in it."""
    return {
        path.name: path
        for path in sorted(runs_dir.iterdir())
        if (path / "experiment.toml").is_file() and not path.name.startswith(".")
    }


def find_runs(runs_dir: Path) -> list[dict[str, Any]]:
    """Return a line for each run: how far it is and what it reached."""
    opened = ((name, _open(folder)) for name, folder in _folders(runs_dir).items())
    return [
        _summary(name, run, _read_folds(run), _read_evaluation(run.folder, "test"))
        for name, run in opened
        if run is not None
    ]


def _summary(
    name: str, run: Run, folds: list[dict[str, Any]], test: dict[str, Any] | None
) -> dict[str, Any]:
    best = [max((epoch["dev_uar"] for epoch in fold["epochs"]), default=None) for fold in folds]
    reached = [value for value in best if value is not None]
    seeds = read_seeds(run.folder)
    return {
        "name": name,
        "model": run.experiment.model["name"],
        "features": run.experiment.features["name"],
        "protocol": run.splits[0].protocol if run.splits else None,
        "seeds": seeds,
        "folds": len(run.splits) * max(1, len(seeds)),
        "finished": sum(fold["finished"] for fold in folds),
        "epochs": sum(len(fold["epochs"]) for fold in folds),
        "dev_uar": sum(reached) / len(reached) if reached else None,
        "test_uar": test["uar"] if test else None,
        "changed": max((fold["changed"] for fold in folds), default=0.0),
    }


def read_run(runs_dir: Path, name: str) -> dict[str, Any] | None:
    """Return what is known of a run: experiment, curves, scores; None if there is none."""
    folder = _folders(runs_dir).get(name)
    run = _open(folder) if folder is not None else None
    if run is None:
        return None
    folds = _read_folds(run)
    evaluations = {side: _read_evaluation(run.folder, side) for side in _SIDES}
    return {
        **_summary(name, run, folds, evaluations["test"]),
        "experiment": _plain(run.experiment),
        "curves": folds,
        "evaluations": {side: found for side, found in evaluations.items() if found},
    }


def _open(folder: Path) -> Run | None:
    """Return a run, whether finished or not; None while it is being begun."""
    try:
        return look_at_run(folder)
    except (AffectusError, OSError):
        return None


def _plain(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment without where on this machine its files lie."""
    plain: dict[str, Any] = msgspec.to_builtins(experiment)
    for key in ("manifest", "store", "exclude"):
        if plain.get(key):
            plain[key] = Path(plain[key]).name
    return plain


def _read_folds(run: Run) -> list[dict[str, Any]]:
    """Return each fold's curves; of several seeds, those of all that were begun."""
    if run.members:
        return [
            {**fold, "fold": f"seed {seed} {fold['fold']}"}
            for seed, member in zip(run.seeds, run.members, strict=True)
            for fold in _read_folds(member)
        ]
    return [_read_fold(run, split) for split in run.splits]


def _read_fold(run: Run, split: Split) -> dict[str, Any]:
    path = run.fold_dir(split) / "history.jsonl"
    epochs, changed = [], 0.0
    if path.is_file() and path.stat().st_size <= _MAX_FILE:
        changed = path.stat().st_mtime
        # The last line may be in the making.
        lines = path.read_text("utf-8").split("\n")[:-1]
        epochs = [json.loads(line) for line in lines]
    return {
        "fold": split.fold,
        "finished": run.finished(split),
        "changed": changed,
        "epochs": epochs,
    }


def _read_evaluation(folder: Path, side: str) -> dict[str, Any] | None:
    path = folder / f"evaluation_{side}.json"
    if not path.is_file() or path.stat().st_size > _MAX_FILE:
        return None
    found = msgspec.json.decode(path.read_bytes())
    return {key: found[key] for key in _EVALUATION if key in found}
