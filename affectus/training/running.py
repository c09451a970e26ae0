"""An experiment to a run: everything is checked, then its folds are trained one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from affectus import models
from affectus.console import say
from affectus.errors import DiskError
from affectus.experiment import Experiment
from affectus.extraction import check_coverage, near_pairs, sound_hashes
from affectus.manifest import Manifest
from affectus.runs import Epoch, Run, begin_run
from affectus.splits import Split, check_split
from affectus.store import FeatureStore
from affectus.training.checkpoints import drop_states
from affectus.training.checks import (
    check_face,
    check_features,
    check_labels,
    check_training,
    choose_splits,
    find_missing_clips,
    find_uncompared,
    leave_out,
    tell_left_out,
)
from affectus.training.devices import choose_device
from affectus.training.fold import train_fold
from affectus.training.heard import check_encoder
from affectus.training.learner import model_config_of
from affectus.training.standardised import check_standardised
from affectus.training.together import Team, join_team

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

    `resume` keeps folds that are finished, and goes on in one that is not after its last whole
    epoch; the weights are then those of an undisturbed run, to the last bit. What is passed over
    on the way, and results that look too good, are told on standard error. `allow_incomplete`
    trains although clips of a published corpus are missing, `allow_leak` although a split shares
    speakers or recordings, an encoder was trained on these corpora, or imported features were
    standardised by all clips; each is recorded, and printed by every report. Processes that
    torchrun started train together; the first one writes and reports.

    Raises AuditError, SplitError, StoreError, ConfigError or TrainingError before the first step.
    """
    with join_team() as team:
        return _train_all(
            experiment, Path(runs_dir), team, on_epoch,
            resume=resume, allow_incomplete=allow_incomplete, allow_leak=allow_leak,
        )  # fmt: skip


def _train_all(
    experiment: Experiment,
    runs_dir: Path,
    team: Team,
    on_epoch: Progress,
    *,
    resume: bool,
    allow_incomplete: bool,
    allow_leak: bool,
) -> Run:
    with FeatureStore(experiment.store) as store:
        with team.leader_first():
            manifest, splits, provenance = _check(
                experiment, store, allow_incomplete=allow_incomplete, allow_leak=allow_leak
            )
            run = Run(runs_dir / experiment.name, experiment, splits)
            if team.leads:
                run = begin_run(experiment, splits, runs_dir, resume)
        to_do = [split for split in splits if not run.finished(split)]
        team.wait()  # before the first of them is finished
        if team.leads:
            for split in splits:
                if run.finished(split):
                    drop_states(run.fold_dir(split))
        n_epochs = experiment.training.epochs
        n_in_all = n_epochs * (1 + experiment.training.refit)  # at most: dev may choose an earlier
        for place, split in enumerate(to_do):

            def report(epoch: Epoch, done: int = place * n_in_all) -> None:
                first = n_epochs * (epoch.dev_uar is None)
                on_epoch(epoch, done + first + epoch.epoch, len(to_do) * n_in_all)

            def notice(text: str) -> None:
                if team.leads:
                    say(text)

            try:
                train_fold(run, split, manifest, store, provenance, report, notice, team)
            except (OSError, SafetensorError) as error:
                raise DiskError(
                    f"{run.fold_dir(split)}: {error}; expected a folder to write. Free some "
                    f"space, then go on with --resume: what was finished is kept."
                ) from error
        team.wait()
    return run


def _check(
    experiment: Experiment, store: FeatureStore, *, allow_incomplete: bool, allow_leak: bool
) -> tuple[Manifest, tuple[Split, ...], dict[str, Any]]:
    """Look at everything that can be looked at before the first step.

    Returns the manifest, the splits, stamped where they leak, and what provenance says of them.
    """
    everything = Manifest.read(experiment.manifest)
    cautions = find_missing_clips(everything, allow_incomplete)
    manifest = leave_out(everything, experiment)
    cautions += tell_left_out(manifest, experiment)
    features = str(experiment.features["name"])
    origin, n_features = check_features(experiment, store)
    face_origin, n_face = check_face(experiment, store)
    imported = origin["features"].get("kind") == "imported"
    told, known = check_encoder(experiment, manifest, imported=imported, allow_leak=allow_leak)
    cautions += told
    check_coverage(manifest, store, features)
    audio = sound_hashes(manifest, store, features)
    fingerprints = store.fingerprints(features)
    near = near_pairs(manifest, store, features, fingerprints, audio)
    cautions += find_uncompared(manifest, fingerprints)
    chosen = choose_splits(manifest, experiment)
    seen: list[str] = []
    if imported:
        seen = check_standardised(manifest, chosen, store, features, allow_leak=allow_leak)
        cautions += seen
    splits = []
    for split in chosen:
        leaks = check_split(manifest, split, audio=audio, near=near, allow_leak=allow_leak)
        cautions += [f"{split.fold}: {leak}" for leak in leaks if not split.leaky]
        splits.append(replace(split, leaky=split.leaky or bool(leaks or seen) or known))
    check_training(experiment)
    check_labels(manifest, experiment, splits)
    choose_device(experiment.training.device)  # or refuse it here
    models.create_model(model_config_of(experiment, n_features, n_face))  # or refuse it here
    provenance = {
        "manifest_sha256": manifest.sha256, **origin, **face_origin, "cautions": cautions,
    }  # fmt: skip
    return manifest, tuple(splits), provenance
