"""Several seeds of one experiment: a run of each, and the run that pools them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from affectus.errors import ConfigError
from affectus.experiment import Experiment
from affectus.runs import Epoch, Run, begin_pool, member_name, open_run
from affectus.training.running import Progress, train
from affectus.training.together import join_team


def train_seeds(
    experiment: Experiment,
    seeds: Sequence[int],
    runs_dir: Path | str = "runs",
    *,
    resume: bool = False,
    on_epoch: Progress = lambda epoch, done, total: None,
    **options: Any,
) -> Run:
    """Train an experiment once with each seed; return the run that pools them.

    Its folder is `runs_dir`/name; each seed's run lies in it. `options` are those of `train`.
    Judged, the scores of a clip are the mean over the seeds' networks.

    Raises ConfigError for fewer than two seeds, or one that comes twice; else as `train`.
    """
    if len(seeds) < 2 or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(
            f"seeds {', '.join(map(str, seeds)) or 'none'}; expected two or more, each once, 0 or "
            f"more. For one, use --set training.seed=SEED."
        )
    with join_team() as team:
        with team.leader_first():
            if team.leads:
                begin_pool(experiment, tuple(seeds), Path(runs_dir), resume)
        folder = Path(runs_dir) / experiment.name
        _train_each(experiment, seeds, folder, resume, on_epoch, options)
    return open_run(folder)


def _train_each(
    experiment: Experiment,
    seeds: Sequence[int],
    folder: Path,
    resume: bool,
    on_epoch: Progress,
    options: dict[str, Any],
) -> None:
    for place, seed in enumerate(seeds):

        def report(
            epoch: Epoch, done: int, total: int, place: int = place, seed: int = seed
        ) -> None:
            epoch = epoch._replace(fold=f"seed {seed} {epoch.fold}")
            on_epoch(epoch, place * total + done, len(seeds) * total)

        one = msgspec.structs.replace(
            experiment,
            name=member_name(experiment, seed),
            training=msgspec.structs.replace(experiment.training, seed=seed),
        )
        train(one, folder, resume=resume, on_epoch=report, **options)
