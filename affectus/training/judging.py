"""What a run answers, and how good that is: here the test side is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affectus import models
from affectus.adaptation import adapt, learn
from affectus.batches import Examples, move_batch, ordered_batches
from affectus.errors import EvaluationError, TrainingError
from affectus.evaluation import (
    Evaluation,
    Predictions,
    annotate,
    count_left_out,
    evaluate_predictions,
    join_predictions,
    judged_name,
)
from affectus.manifest import Clip, Manifest
from affectus.metrics import (
    confusion_matrix,
    find_temperature,
    negative_log_likelihood,
    uar,
    war,
)
from affectus.models import Network
from affectus.runs import Run, check_weights, read_provenance, write_json
from affectus.store import FeatureStore
from affectus.training.checks import leave_out
from affectus.training.pooling import average_predictions, describe_spread
from affectus.training.sides import read_examples
from affectus.training.together import Team

_OF_ONE_FOLD = (
    "fold", "weights_sha256", "n_train", "n_dev", "train_uar", "refit",
    "label_sets", "cautions",
)  # fmt: skip


def predict_side(run: Run, side: str, *, adapted: bool = False) -> Predictions:
    """Return the pooled predictions of every fold for dev (as kept) or test (computed, written).

    Each clip is answered by the fold that has it on that side; of a refit, dev by its first
    training, which did not hear it. This function and `cross_runs` alone
    read features of the test side. Of a run of several seeds, the scores are the mean over them.
    With `adapted`, each speaker's features are first adapted by that speaker's own clips of the
    side, as a predictor does with a speaker's clips; such answers are computed anew, and not kept
    with the fold.
    """
    if run.members:
        return _pool(run, side, adapted)[0]
    if side not in ("dev", "test"):
        raise EvaluationError(f"side '{side}': not to be judged; expected dev or test.")
    if side == "dev" and not adapted:
        parts = [Predictions.read(run.fold_dir(s) / "predictions_dev.csv") for s in run.splits]
        return join_predictions(parts)
    clips = read_clips(run)
    parts = []
    with FeatureStore(run.experiment.store) as store:
        for split in run.splits:
            network, _ = models.load(check_weights(run, split, side=side))
            wanted = [clips[i] for i in split.side(side)]
            examples = read_examples(run.experiment, wanted, store)
            if adapted:
                examples = adapt_examples(examples, network)
            part = predict(network, examples, run.experiment.scheme.labels, split.fold)
            if not adapted:
                part.write(run.fold_dir(split) / "predictions_test.csv")
            parts.append(part)
    return join_predictions(parts)


def read_clips(run: Run) -> dict[str, Clip]:
    """Return the clips that a run was trained and is judged on, by id.

    Raises TrainingError if they have changed since.
    """
    manifest = leave_out(Manifest.read(run.experiment.manifest), run.experiment)
    expected = {split.manifest_sha256 for split in run.splits if split.manifest_sha256}
    if expected - {manifest.sha256}:
        raise TrainingError(
            f"{run.experiment.manifest}: changed since the run was trained, or its list of "
            f"exclusions; expected the same clips. Import again, or train again."
        )
    return {clip.clip_id: clip for clip in manifest}


def adapt_examples(examples: Examples, network: Network) -> Examples:
    """Return examples whose frames are adapted by all clips that each speaker has among them.

    No label is looked at, and no face. Raises TrainingError for a clip without a speaker, and for a
    network that takes faces alone.
    """
    if "voice" not in network.streams:
        raise TrainingError(
            "a model of faces alone; expected one of voices, whose features can be adapted to a "
            "speaker. Leave --adapted out."
        )
    nobody = [clip.clip_id for clip in examples.clips if not clip.speaker]
    if nobody:
        raise TrainingError(
            f"{len(nobody):,} clips without a speaker (the first: {nobody[0]}); expected one each, "
            f"to adapt to. Leave --adapted out."
        )
    mean, deviation = network.mean.double().numpy(), network.deviation.double().numpy()
    frames = [clip.numpy() for clip in examples.frames]
    own: dict[str, list[NDArray[np.float32]]] = {}
    for clip, rows in zip(examples.clips, frames, strict=True):
        own.setdefault(clip.speaker, []).append(rows)
    profiles = {speaker: learn(clips) for speaker, clips in own.items()}
    adapted = (
        torch.from_numpy(adapt(rows, profiles[clip.speaker], mean, deviation))
        for clip, rows in zip(examples.clips, frames, strict=True)
    )
    return replace(examples, frames=tuple(adapted))


def tell_refit(run: Run) -> str:
    """Return what a run's protocol says of who trained, if dev did in the end."""
    if not run.experiment.training.refit:
        return ""
    return "; once dev had chosen the epoch, dev and train together trained anew as long (refit)"


def find_temperatures(run: Run, *, adapted: bool = False) -> dict[str, float]:
    """Return for each fold the temperature that fits its answers to the speakers of its dev side.

    They chose the epoch, but did not train the weights; no clip of test is looked at.
    """
    dev = predict_side(run, "dev", adapted=adapted)
    folds = np.asarray(dev.folds)
    return {
        split.fold: find_temperature(dev.truth[own], dev.scores[own])
        for split in run.splits
        for own in [folds == split.fold]
    }


def evaluate_run(run: Run, side: str = "dev", *, adapted: bool = False) -> Evaluation:
    """Judge a run on its dev side, or on its test side: the one way to open it.

    On test, each fold's scores get the temperature that fits its dev side; on dev they are judged
    as they are. `adapted` adapts each judged speaker's features by that speaker's own clips,
    without labels, and says so in every report. The evaluation and the scores as they were judged,
    with notes on each clip, are written into the run's folder.
    """
    predictions, parts = (
        _pool(run, side, adapted) if run.members else (predict_side(run, side, adapted=adapted), [])
    )
    temperatures = find_temperatures(run, adapted=adapted) if side == "test" else {}
    manifest = leave_out(Manifest.read(run.experiment.manifest), run.experiment)
    emotions = {clip.clip_id: clip.emotion for clip in manifest}
    scheme = run.experiment.scheme
    planned = [
        clip_id
        for split in run.splits
        for clip_id in split.side(side)
        if scheme.label(emotions[clip_id]) is not None
    ]
    facts = read_provenance(run)
    cautions = list(dict.fromkeys(text for fold in facts for text in fold["cautions"]))
    if adapted and run.experiment.face:
        cautions.append("Adapted is the voice alone: the face's features are as they are.")
    first = run.splits[0]
    spread: dict[str, Any] = {"seed": run.experiment.training.seed}
    if parts:
        text, figures = describe_spread(run.seeds, parts)
        spread = {"seed": list(run.seeds), "seeds_alone": figures}
        cautions.append(text)
    found = evaluate_predictions(
        predictions,
        manifest,
        name=run.experiment.name,
        side=side,
        scheme=scheme,
        protocol={
            "name": first.protocol,
            "version": first.version,
            "text": first.text + tell_refit(run) * (side == "test"),
            "leaky": any(split.leaky for split in run.splits),
            "folds": len(run.splits),
            "seed": first.seed,
        },
        n_planned=len(planned),
        adapted=adapted,
        temperatures=temperatures,
        left_out=count_left_out(manifest, scheme, set(planned), set(predictions.clip_ids), side),
        cautions=cautions,
        provenance={
            **{key: value for key, value in facts[0].items() if key not in _OF_ONE_FOLD},
            "weights_sha256": {fold["fold"]: fold["weights_sha256"] for fold in facts},
            **spread,
        },
    )
    name = judged_name(side, adapted=adapted)
    clips = {clip.clip_id: clip for clip in manifest}
    judged = predictions.scaled(temperatures)
    notes = annotate(judged, [clips[clip_id] for clip_id in judged.clip_ids])
    judged.write(run.folder / f"predictions_{name}.csv", notes)
    write_json(found, run.folder / f"evaluation_{name}.json")
    return found


def _pool(run: Run, side: str, adapted: bool) -> tuple[Predictions, list[Predictions]]:
    """Return the mean over a run's members, and what each of them says."""
    parts = [predict_side(member, side, adapted=adapted) for member in run.members]
    return average_predictions(parts), parts


@torch.no_grad()
def predict(
    network: Network, examples: Examples, labels: Sequence[str], fold: str = ""
) -> Predictions:
    """Return a network's scores for examples, in float32, in the examples' order."""
    network.eval()
    device = network.mean.device
    scores = np.zeros((len(examples), len(labels)))
    # A second of sound is sixteen thousand frames: fewer clips at once.
    batch_size = 8 if network.takes_raw else 64
    for batch in ordered_batches(examples, len(labels), batch_size):
        logits = network(move_batch(batch, device).inputs).cpu()
        scores[batch.rows] = torch.softmax(logits.double(), 1).numpy()
    return as_predictions(examples, labels, fold, scores)


def predict_together(
    network: Network, examples: Examples, labels: Sequence[str], fold: str, team: Team
) -> Predictions:
    """Return what `predict` does, each process of a team having answered some of the clips."""
    if team.size == 1:
        return predict(network, examples, labels, fold)
    rows = np.arange(len(examples))[team.rank :: team.size]
    part = replace(
        examples,
        clips=tuple(examples.clips[row] for row in rows),
        frames=tuple(examples.frames[row] for row in rows),
        labels=examples.labels[rows],
    )
    scores = np.zeros((len(examples), len(labels)))
    if len(rows):
        scores[rows] = predict(network, part, labels, fold).scores
    return as_predictions(examples, labels, fold, team.add_up_scores(scores))


def as_predictions(
    examples: Examples, labels: Sequence[str], fold: str, scores: NDArray[np.float64]
) -> Predictions:
    """Return scores [N, K] of examples as predictions."""
    return Predictions(
        labels=tuple(labels),
        clip_ids=tuple(clip.clip_id for clip in examples.clips),
        speakers=tuple(clip.speaker for clip in examples.clips),
        folds=(fold,) * len(examples),
        truth=examples.labels,
        scores=scores,
    )


def dev_scores(answers: Predictions) -> dict[str, float]:
    """Return what an epoch is judged by."""
    confusion = confusion_matrix(answers.truth, answers.prediction, len(answers.labels))
    return {
        "dev_uar": float(uar(confusion)),
        "dev_war": float(war(confusion)),
        "dev_nll": negative_log_likelihood(answers.truth, answers.scores),
    }
