"""Models that are fitted in one go, without epochs: their fold is one line of history."""

from __future__ import annotations

import time

import numpy as np

from affectus import models
from affectus.batches import class_weights
from affectus.evaluation import Predictions
from affectus.metrics import negative_log_likelihood
from affectus.models import Network
from affectus.runs import Epoch, Run
from affectus.splits import Split
from affectus.training.judging import dev_scores, predict
from affectus.training.learner import model_config_of
from affectus.training.sides import Sides


def fit_in_one_go(run: Run, split: Split, sides: Sides) -> tuple[Network, Predictions, Epoch]:
    """Fit a model to the means of the training clips' frames, and write its weights.

    Returns it, what it says of the dev clips, and its line of history.
    """
    began, scheme, training = time.monotonic(), run.experiment.scheme, sides.training
    config = model_config_of(run.experiment, training.frames[0].shape[1])
    weights = np.ones(len(training))
    if run.experiment.training.class_weights:
        weights = class_weights(training, config.n_labels).double().numpy()[training.labels]
    network, config = models.fit_model(
        config,
        np.stack([frames.double().mean(0).numpy() for frames in training.frames]),
        training.labels,
        weights,
        np.array([clip.speaker for clip in training.clips]),
    )
    heard = predict(network, training, scheme.labels, split.fold)
    answers = predict(network, sides.dev, scheme.labels, split.fold)
    line = Epoch(
        split.fold, 1, negative_log_likelihood(heard.truth, heard.scores), 0.0,
        **dev_scores(answers), best=True, seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip
    models.save(network, config, run.fold_dir(split) / "weights.safetensors")
    return network, answers, line
