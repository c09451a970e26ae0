"""What a run answers, and how good that is: the one place where the test side is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affectus import models
from affectus.batches import Examples, load_examples, ordered_batches
from affectus.errors import EvaluationError, TrainingError
from affectus.evaluation import Evaluation, Predictions, evaluate_predictions, join_predictions
from affectus.manifest import Manifest
from affectus.metrics import confusion_matrix, negative_log_likelihood, uar, war
from affectus.models import Network
from affectus.runs import Run, check_weights, read_provenance
from affectus.store import FeatureStore
from affectus.training.checks import leave_out
from affectus.training.pooling import average_predictions, describe_spread

_OF_ONE_FOLD = ("fold", "weights_sha256", "n_train", "n_dev", "train_uar", "label_sets", "cautions")


def predict_side(run: Run, side: str) -> Predictions:
    """Return the pooled predictions of every fold for dev (as kept) or test (computed, written).

    Each clip is answered by the fold that has it on that side. This is the only function that
    reads features of the test side. Of a run of several seeds, the scores are the mean over them.
    """
    if run.members:
        return _pool(run, side)[0]
    if side not in ("dev", "test"):
        raise EvaluationError(f"side '{side}': not to be judged; expected dev or test.")
    if side == "dev":
        parts = [Predictions.read(run.fold_dir(s) / "predictions_dev.csv") for s in run.splits]
        return join_predictions(parts)
    manifest = leave_out(Manifest.read(run.experiment.manifest), run.experiment)
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
    predictions, parts = _pool(run, side) if run.members else (predict_side(run, side), [])
    manifest = leave_out(Manifest.read(run.experiment.manifest), run.experiment)
    emotions = {clip.clip_id: clip.emotion for clip in manifest}
    scheme = run.experiment.scheme
    planned = [scheme.label(emotions[i]) for split in run.splits for i in split.side(side)]
    facts = read_provenance(run)
    cautions = list(dict.fromkeys(text for fold in facts for text in fold["cautions"]))
    first = run.splits[0]
    spread: dict[str, Any] = {"seed": run.experiment.training.seed}
    if parts:
        text, figures = describe_spread(run.seeds, parts)
        spread = {"seed": list(run.seeds), "seeds_alone": figures}
        cautions.append(text)
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
        cautions=cautions,
        provenance={
            **{key: value for key, value in facts[0].items() if key not in _OF_ONE_FOLD},
            "weights_sha256": {fold["fold"]: fold["weights_sha256"] for fold in facts},
            **spread,
        },
    )


def _pool(run: Run, side: str) -> tuple[Predictions, list[Predictions]]:
    """Return the mean over a run's members, which is written, and what each of them says."""
    parts = [predict_side(member, side) for member in run.members]
    pooled = average_predictions(parts)
    pooled.write(run.folder / f"predictions_{side}.csv")
    return pooled, parts


@torch.no_grad()
def predict(
    network: Network, examples: Examples, labels: Sequence[str], fold: str = ""
) -> Predictions:
    """Return a network's scores for examples, in float32, in the examples' order."""
    network.eval()
    scores = np.zeros((len(examples), len(labels)))
    for batch in ordered_batches(examples, len(labels)):
        scores[batch.rows] = torch.softmax(network(batch.inputs).double(), 1).numpy()
    return as_predictions(examples, labels, fold, scores)


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
