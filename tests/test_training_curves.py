"""Curves for TensorBoard, read back by TensorBoard's own reader."""

import pytest
import torch
from small_run import prepare
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from affectus.runs import read_history
from affectus.training import train


@pytest.fixture
def experiment(tmp_path):
    torch.set_num_threads(1)
    return prepare(
        tmp_path,
        split={"protocol": "sequential-6fold", "folds": [1]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={"epochs": 3, "batch_size": 16, "tensorboard": True},
    )


def curves(run):
    reader = EventAccumulator(str(run.fold_dir(run.splits[0]) / "tensorboard"))
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def test_a_fold_s_curves_are_its_history(experiment, tmp_path):
    run = train(experiment, tmp_path / "runs")
    found = curves(run)
    history = read_history(run)
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    for tag, key in {
        "train/loss": "loss",
        "train/learning_rate": "learning_rate",
        "dev/UAR": "dev_uar",
        "dev/WAR": "dev_war",
        "dev/NLL": "dev_nll",
        "train/seconds": "seconds",
    }.items():
        assert [step for step, _ in found[tag]] == [1, 2, 3]
        expected = [getattr(epoch, key) for epoch in history]
        assert [value for _, value in found[tag]] == pytest.approx(expected, rel=1e-6)


def test_the_curves_of_a_fold_that_was_killed_have_each_epoch_once(experiment, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch, done, total):
        if epoch.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train(experiment, tmp_path / "runs", on_epoch=kill)
    run = train(experiment, tmp_path / "runs", resume=True)
    assert [step for step, _ in curves(run)["dev/UAR"]] == [1, 2, 3]


def test_without_asking_there_are_none(tmp_path):
    plain = prepare(
        tmp_path,
        split={"protocol": "sequential-6fold", "folds": [1]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={"epochs": 1, "batch_size": 16},
    )
    run = train(plain, tmp_path / "runs")
    assert not (run.fold_dir(run.splits[0]) / "tensorboard").exists()
