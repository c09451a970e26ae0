"""Every model goes the whole way: trained on a tiny corpus, judged on its test side, exported."""

import json

import msgspec
import numpy as np
import pytest
from small_models import SMALL
from small_run import prepare

from affectus import models
from affectus.errors import ConfigError
from affectus.experiment import make_experiment
from affectus.export import export_run
from affectus.manifest import Manifest
from affectus.predictor import load_model
from affectus.runs import read_history, read_provenance
from affectus.training import evaluate_run, predict_side, train

NO_DROPOUT = {"branch_dropout": 0.0, "dropout": [0.0, 0.0, 0.0]}
SETTINGS = {
    **SMALL,
    "svm": {},
    "branched_lstm": {**SMALL["branched_lstm"], "n_face": 0, **NO_DROPOUT},
    "cnn_pooling_lstm": {**SMALL["cnn_pooling_lstm"], "dropout": [0.0, 0.0]},
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("corpus"))


pytestmark = pytest.mark.usefixtures("one_thread")


def config(experiment, name, **training):
    return make_experiment(
        {
            "name": name,
            "manifest": experiment.manifest,
            "store": experiment.store,
            "labels": {"scheme": "four"},
            "features": dict(experiment.features),
            "split": {"protocol": "sequential-6fold", "folds": [3]},
            "model": {"name": name, **SETTINGS[name]},
            "training": {
                "epochs": 3,
                "batch_size": 8,
                "learning_rate": 5e-3,
                "average": 0.0,
                **training,
            },
            "augmentation": {"band_masks": 0, "frame_masks": 0, "stretch": 0.0, "gain_db": 0.0},
        }
    )


@pytest.mark.parametrize("name", SMALL)
def test_every_model_trains_and_is_judged(name, experiment, tmp_path):
    run = train(config(experiment, name), tmp_path)
    history = read_history(run)
    assert all(np.isfinite([line.loss, line.dev_nll]).all() for line in history)
    assert evaluate_run(run, "test").n_answered == 12
    if not models.is_fitted(name):
        assert history[-1].loss < history[0].loss


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_fitted_model_knows_tones_it_has_not_heard(name, experiment, tmp_path):
    run = train(config(experiment, name), tmp_path)
    (line,) = read_history(run)
    assert (line.epoch, line.best) == (1, True)
    assert evaluate_run(run, "test").uar[0] == 1.0  # four pitches, between those it heard
    facts = read_provenance(run)[0]
    network, its = models.load(run.folder / "fold-3/weights.safetensors")
    assert its.settings["cost"] in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 0.1, 0.3, 3.0, 10.0, 30.0)
    assert facts["n_parameters"] == models.count_parameters(network)
    assert facts["n_train"] == 3 * 12
    train(config(experiment, name), tmp_path, resume=True)  # finds it finished
    assert read_history(run) == [line]


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_fitted_model_is_exported_and_predicts(name, experiment, tmp_path):
    run = train(config(experiment, name), tmp_path)
    assert export_run(run, tmp_path / "m") < 1e-4
    seconds = np.arange(8_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 3000 * 1.04 * seconds)).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.03, 8_000).astype(np.float32)
    prediction = load_model(tmp_path / "m", speech="off").predict((tone + noise, 16_000))
    assert prediction.emotion == "angry"
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)
    assert not [path for path in (tmp_path / "m").iterdir() if path.suffix in (".pkl", ".joblib")]
    json.loads((tmp_path / "m/model.json").read_text())


def test_what_a_fitted_model_would_leave_out_is_refused(experiment, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.partial_labels is True, but model 'svm' is"):
        train(config(experiment, "svm", partial_labels=True), tmp_path)


def test_class_weights_reach_a_fitted_model(experiment, tmp_path):
    # Of `neutral`, all but one speaker's clips are called sad: weights must bring the rest forward.
    manifest = Manifest.read(experiment.manifest)
    few = tuple(
        msgspec.structs.replace(clip, emotion="sad")
        if clip.emotion == "neutral" and not clip.speaker.endswith("5")
        else clip
        for clip in manifest
    )
    Manifest(few).write(tmp_path / "few.csv")
    fewer = msgspec.structs.replace(experiment, manifest=str(tmp_path / "few.csv"))
    scores = {}
    for weighted in (True, False):
        chosen = config(fewer, "logistic", class_weights=weighted)
        chosen = msgspec.structs.replace(chosen, model={"name": "logistic", "cost": 0.001})
        run = train(chosen, tmp_path / str(weighted))
        scores[weighted] = predict_side(run, "dev").scores[:, 0].mean()
    assert scores[True] > 2 * scores[False]
