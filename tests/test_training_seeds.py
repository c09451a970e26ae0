"""Several seeds: each is the run it would be alone; together they answer by their mean."""

import hashlib
import json

import msgspec
import numpy as np
import pytest
from small_run import prepare

from affectus import cli
from affectus.errors import ConfigError, TrainingError
from affectus.evaluation import Predictions
from affectus.experiment import write_experiment
from affectus.runs import check_weights, open_run, read_history
from affectus.training import evaluate_run, predict_side, train, train_seeds

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return prepare(
        tmp_path_factory.mktemp("tones"),
        split={"protocol": "sequential-6fold", "folds": [1, 2]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={"epochs": 2, "batch_size": 12, "average": 0.0, "learning_rate": 0.02},
    )


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    return train_seeds(experiment, [0, 7], tmp_path_factory.mktemp("runs"))


def test_each_seed_is_the_run_it_would_be_alone(run, experiment, tmp_path):
    training = msgspec.structs.replace(experiment.training, seed=7)
    alone = train(msgspec.structs.replace(experiment, training=training), tmp_path)
    member = run.folder / "tones-seed-7"
    for fold in ("fold-1", "fold-2"):
        same = [
            hashlib.sha256((folder / fold / "weights.safetensors").read_bytes()).hexdigest()
            for folder in (alone.folder, member)
        ]
        assert same[0] == same[1]


def test_its_scores_are_the_mean_over_seeds(run):
    found = evaluate_run(run, "test")
    parts = [
        Predictions.read(run.folder / f"tones-seed-{seed}" / fold / "predictions_test.csv")
        for seed in (0, 7)
        for fold in ("fold-1", "fold-2")
    ]
    pooled = predict_side(run, "test")
    first, second = (np.concatenate([p.scores for p in parts[n : n + 2]]) for n in (0, 2))
    np.testing.assert_allclose(pooled.scores, (first + second) / 2, rtol=1e-12)
    assert found.n_answered == len(pooled) == 24
    assert found.war.value == np.mean(pooled.prediction == pooled.truth)


def test_the_spread_over_seeds_is_told(run):
    found = evaluate_run(run, "dev")
    alone = [evaluate_run(member, "dev").uar.value for member in run.members]
    figures = found.provenance["seeds_alone"]
    assert [figures["0"]["uar"], figures["7"]["uar"]] == alone
    mean, spread = np.mean(alone), np.std(alone, ddof=1)
    (text,) = [text for text in found.cautions if "seeds 0, 7" in text]
    assert text.endswith(f"mean {mean:.3f}, standard deviation {spread:.3f}.")
    assert found.provenance["seed"] == [0, 7]
    assert set(found.provenance["weights_sha256"]) == {
        f"seed {seed} fold-{fold}" for seed in (0, 7) for fold in (1, 2)
    }


def test_it_is_opened_again_and_its_history_names_the_seed(run):
    again = open_run(run.folder)
    assert again == run and again.seeds == (0, 7)
    folds = [epoch.fold for epoch in read_history(again)]
    assert folds == [f"seed {s} fold-{f}" for s in (0, 7) for f in (1, 2) for _ in range(2)]


def test_progress_runs_over_all_seeds(experiment, tmp_path):
    events = []
    train_seeds(experiment, [1, 2], tmp_path, on_epoch=lambda *event: events.append(event))
    assert [event[1:] for event in events] == [(n, 8) for n in range(1, 9)]
    assert events[-1][0].fold == "seed 2 fold-2"


def test_one_seed_of_several_is_exported_not_all(run):
    with pytest.raises(TrainingError, match=r"the run of 2 seeds; expected one .*tones-seed-0"):
        check_weights(run, run.splits[0])


@pytest.mark.parametrize("seeds", [[0], [1, 1], [0, -1], []])
def test_seeds_are_two_or_more_each_once(experiment, tmp_path, seeds):
    with pytest.raises(ConfigError, match="expected two or more, each once"):
        train_seeds(experiment, seeds, tmp_path)


def test_it_is_resumed_with_the_same_seeds_alone(experiment, run):
    runs = run.folder.parent
    with pytest.raises(TrainingError, match=r"there already; expected a new name"):
        train_seeds(experiment, [0, 7], runs)
    with pytest.raises(TrainingError, match=r"begun with seeds 0, 7; expected seeds 0, 8"):
        train_seeds(experiment, [0, 8], runs, resume=True)
    with pytest.raises(TrainingError, match=r"begun with several seeds.*--seeds 0,7"):
        train(experiment, runs, resume=True)
    (run.folder / "tones-seed-7/fold-2/predictions_dev.csv").unlink()
    lines = []
    again = train_seeds(
        experiment, [0, 7], runs, resume=True, on_epoch=lambda e, *_: lines.append(e.fold)
    )
    assert lines == ["seed 7 fold-2"] * 2
    assert again == run


def test_a_run_of_one_seed_does_not_become_one_of_several(experiment, tmp_path):
    train(experiment, tmp_path)
    with pytest.raises(TrainingError, match=r"begun with one seed; expected seeds 0, 1"):
        train_seeds(experiment, [0, 1], tmp_path, resume=True)


def test_the_command_runs_and_pools(experiment, tmp_path, capsys):
    write_experiment(experiment, tmp_path / "tones.toml")
    arguments = [str(tmp_path / "tones.toml"), "--runs", str(tmp_path), "--seeds", "3,4", "--json"]
    assert cli.run(["train", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [3, 4]
    assert cli.run(["evaluate", str(tmp_path / "tones"), "--on", "test"]) == 0
    assert "Scores are the mean over 2 networks a fold (seeds 3, 4)" in capsys.readouterr().out
    assert "seed 4" in (tmp_path / "tones/report_test.html").read_text()
    assert cli.run(["train", *arguments[:-3], "--seeds", "0;1"]) == 2
    assert "--seeds 0;1; expected whole numbers" in capsys.readouterr().err
