"""An experiment to a run: everything is checked, then its folds are trained one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError

from affectus import models
from affectus.console import say
from affectus.errors import DiskError
from affectus.experiment import Experiment
from affectus.extraction import check_coverage, near_pairs, sound_hashes
from affectus.manifest import Manifest
from affectus.runs import Epoch, Run, begin_run
from affectus.splits import check_split
from affectus.store import FeatureStore
from affectus.training.checkpoints import drop_states
from affectus.training.checks import (
    check_features,
    check_training,
    choose_splits,
    find_missing_clips,
    find_uncompared,
    leave_out,
    tell_left_out,
)
from affectus.training.fold import train_fold
from affectus.training.heard import check_encoder
from affectus.training.learner import model_config_of

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
    speakers or recordings, or an encoder was trained on these corpora; both are recorded, and
    printed by every report.

    Raises AuditError, SplitError, StoreError, ConfigError or TrainingError before the first step.
    """
    everything = Manifest.read(experiment.manifest)
    cautions = find_missing_clips(everything, allow_incomplete)
    manifest = leave_out(everything, experiment)
    cautions += tell_left_out(manifest, experiment)
    features = str(experiment.features["name"])
    with FeatureStore(experiment.store) as store:
        origin, n_features = check_features(experiment, store)
        imported = origin["features"].get("kind") == "imported"
        told, known = check_encoder(experiment, manifest, imported=imported, allow_leak=allow_leak)
        cautions += told
        check_coverage(manifest, store, features)
        audio = sound_hashes(manifest, store, features)
        fingerprints = store.fingerprints(features)
        near = near_pairs(manifest, store, features, fingerprints, audio)
        cautions += find_uncompared(manifest, fingerprints)
        splits = []
        for split in choose_splits(manifest, experiment):
            leaks = check_split(manifest, split, audio=audio, near=near, allow_leak=allow_leak)
            cautions += [f"{split.fold}: {leak}" for leak in leaks if not split.leaky]
            splits.append(replace(split, leaky=split.leaky or bool(leaks) or known))
        check_training(experiment)
        models.create_model(model_config_of(experiment, n_features))  # or refuse it here
        run = begin_run(experiment, tuple(splits), Path(runs_dir), resume)
        provenance = {
            "manifest_sha256": manifest.sha256,
            **origin,
            "cautions": cautions,
        }
        to_do = [split for split in splits if not run.finished(split)]
        for split in splits:
            if run.finished(split):
                drop_states(run.fold_dir(split))
        n_epochs = experiment.training.epochs
        for place, split in enumerate(to_do):

            def report(epoch: Epoch, done: int = place * n_epochs) -> None:
                on_epoch(epoch, done + epoch.epoch, len(to_do) * n_epochs)

            try:
                train_fold(run, split, manifest, store, provenance, report, say)
            except (OSError, SafetensorError) as error:
                raise DiskError(
                    f"{run.fold_dir(split)}: {error}; expected a folder to write. Free some "
                    f"space, then go on with --resume: what was finished is kept."
                ) from error
    return run
