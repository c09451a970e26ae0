"""Refitting: dev chooses the epoch, then trains, and is judged by those who did not hear it."""

import json

import msgspec
import numpy as np
import pytest
import torch
from small_run import prepare
from test_training_resume import Killed, contents, killed_at

from affectus import models
from affectus.errors import ConfigError, TrainingError
from affectus.evaluation import Predictions
from affectus.experiment import make_experiment
from affectus.export import export_run
from affectus.manifest import Manifest
from affectus.metrics import find_temperature
from affectus.runs import check_weights, open_run, read_history, read_provenance
from affectus.store import FeatureStore
from affectus.training import evaluate_run, predict, predict_side, train
from affectus.training.checkpoints import find_states, refit_dir
from affectus.training.sides import read_examples

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return prepare(
        tmp_path_factory.mktemp("tones"),
        split={"protocol": "sequential-6fold", "folds": [1]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={
            "epochs": 4, "batch_size": 12, "average": 0.8, "sampling": "class",
            "learning_rate": 0.02,
        },
        augmentation={"mixup": 0.2, "speed": 0.1},
    )  # fmt: skip


@pytest.fixture(scope="module")
def experiment(plain):
    return changed(plain, refit=True)


def changed(experiment, **training):
    return msgspec.structs.replace(
        experiment, training=msgspec.structs.replace(experiment.training, **training)
    )


@pytest.fixture(scope="module")
def without(plain, tmp_path_factory):
    return train(plain, tmp_path_factory.mktemp("without"))


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    return train(experiment, tmp_path_factory.mktemp("refitted"))


def answers_of(run, path, clip_ids):
    network, _ = models.load(path)
    clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
    with FeatureStore(run.experiment.store) as store:
        examples = read_examples(run.experiment, [clips[i] for i in clip_ids], store)
    return predict(network, examples, run.experiment.scheme.labels).scores


def test_the_first_training_is_that_of_a_run_without_refit(run, without):
    (split,) = run.splits
    one, other = run.fold_dir(split), without.fold_dir(split)
    for mine, its in (
        ("first.safetensors", "weights.safetensors"),
        ("last.safetensors", "last.safetensors"),
        ("predictions_dev.csv", "predictions_dev.csv"),
    ):
        assert (one / mine).read_bytes() == (other / its).read_bytes()
    assert (one / "weights.safetensors").read_bytes() != (one / "first.safetensors").read_bytes()
    mine, its = (
        [epoch._replace(seconds=0) for epoch in read_history(each)] for each in (run, without)
    )
    assert mine == its


def test_the_network_kept_is_normalised_by_train_and_dev_together(run):
    (split,) = run.splits
    clips = {clip.clip_id: clip for clip in Manifest.read(run.experiment.manifest)}
    with FeatureStore(run.experiment.store) as store:
        frames = np.concatenate(
            [store.get("logmel", clips[i].content_key) for i in (*split.train, *split.dev)]
        )
    network, _ = models.load(check_weights(run, split))
    np.testing.assert_allclose(network.mean, frames.mean(0), rtol=1e-4)


def test_the_network_kept_is_that_of_a_training_on_both_sides_to_the_chosen_epoch(
    run, plain, tmp_path
):
    # Trained by hand: dev given to train, and what was dev judged, which moves no weight.
    from dataclasses import replace

    from affectus.splits import write_splits

    (split,) = run.splits
    spare = split.test[:4]
    by_hand = replace(
        split, train=(*split.train, *split.dev), dev=spare, test=split.test[4:], leaky=True
    )
    write_splits((by_hand,), tmp_path / "splits.json")
    chosen = read_provenance(run)[0]["refit"]["epochs"]
    folder = tmp_path / "hand"
    config = msgspec.structs.replace(
        plain,
        split=msgspec.structs.replace(plain.split, file=str(tmp_path / "splits.json"), folds=()),
    )

    def stop(line, done, total):
        if line.epoch == chosen:
            raise Killed

    with pytest.raises(Killed):
        train(config, folder, allow_leak=True, on_epoch=stop)
    expected, _ = models.load(folder / "tones" / "fold-1" / "last.safetensors")
    kept, _ = models.load(check_weights(run, split))
    for name, value in expected.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name]), name


def test_dev_is_never_judged_by_the_network_that_learnt_from_it(run, monkeypatch):
    (split,) = run.splits
    first = run.fold_dir(split) / "first.safetensors"
    told = predict_side(run, "dev")
    np.testing.assert_allclose(told.scores, answers_of(run, first, told.clip_ids), atol=1e-6)
    loaded = []
    load = models.load

    def spy(path):
        loaded.append(path.name)
        return load(path)

    monkeypatch.setattr(models, "load", spy)
    predict_side(run, "dev", adapted=True)
    assert loaded == ["first.safetensors"]
    predict_side(run, "test", adapted=True)
    assert loaded == ["first.safetensors", "weights.safetensors"]


def test_test_is_judged_by_the_network_kept_at_the_temperature_of_the_first(run):
    (split,) = run.splits
    evaluate_run(run, "test")
    told = Predictions.read(run.fold_dir(split) / "predictions_test.csv")
    kept = answers_of(run, run.fold_dir(split) / "weights.safetensors", told.clip_ids)
    np.testing.assert_allclose(told.scores, kept, atol=1e-6)
    dev = Predictions.read(run.fold_dir(split) / "predictions_dev.csv")
    scaled = told.scaled({"fold-1": find_temperature(dev.truth, dev.scores)})
    judged = Predictions.read(run.folder / "predictions_test.csv")
    np.testing.assert_allclose(judged.scores, scaled.scores, atol=1e-6)


def test_protocol_cautions_and_provenance_say_that_dev_trained(run, without):
    (split,) = run.splits
    found, before = evaluate_run(run, "test"), evaluate_run(without, "test")
    assert "dev and train together trained" in found.protocol["text"]
    assert "together trained" not in before.protocol["text"]
    assert "together trained" not in evaluate_run(run, "dev").protocol["text"]
    assert any(text.startswith("Refitted: ") for text in found.cautions)
    assert not any(text.startswith("Refitted: ") for text in before.cautions)
    (facts,) = read_provenance(run)
    assert facts["n_train"] == len(split.train) + len(split.dev)
    assert facts["refit"]["n_first"] == len(split.train)
    best = [epoch.epoch for epoch in read_history(run) if epoch.best][-1]
    assert facts["refit"]["epochs"] == best
    lines = (run.fold_dir(split) / "refit.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, best + 1))
    assert {json.loads(line)["dev_uar"] for line in lines} == {None}
    assert "refit" not in read_provenance(without)[0]


def test_a_refitted_fold_is_exported_as_the_network_kept(run, tmp_path):
    export_run(run, tmp_path / "model")
    (split,) = run.splits
    kept = (run.fold_dir(split) / "weights.safetensors").read_bytes()
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == kept


def test_weights_of_the_first_training_that_were_changed_are_refused(experiment, tmp_path):
    trained = train(changed(experiment, epochs=1), tmp_path)
    (split,) = trained.splits
    first = trained.fold_dir(split) / "first.safetensors"
    first.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(TrainingError, match=r"first\.safetensors: not the weights"):
        predict_side(trained, "dev", adapted=True)
    predict_side(trained, "test")


def test_killed_in_either_training_it_ends_with_the_same_bytes(
    experiment, run, tmp_path, monkeypatch
):
    whole = {name: data for name, data in contents(run).items() if is_of_training(name)}
    in_refit, number = 0, 6
    while killed_at(number, monkeypatch, experiment, tmp_path / str(number)):
        fold = tmp_path / str(number) / "tones" / "fold-1"
        in_refit += bool(find_states(refit_dir(fold)))
        again = contents(train(experiment, tmp_path / str(number), resume=True))
        assert {name: data for name, data in again.items() if is_of_training(name)} == whole, number
        assert not refit_dir(fold).exists()
        number += 7
    assert in_refit > 1


def is_of_training(name):
    return "predictions_test" not in name and not name.startswith(("evaluation", "predictions"))


def test_only_epochs_of_the_refit_that_are_not_done_are_run_again(experiment, run, tmp_path):
    def stop(line, done, total):
        if line.dev_uar is None:
            raise Killed

    with pytest.raises(Killed):
        train(experiment, tmp_path, on_epoch=stop)
    lines, steps = [], []

    def tell(line, done, total):
        lines.append(line)
        steps.append((done, total))

    train(experiment, tmp_path, resume=True, on_epoch=tell)
    chosen = read_provenance(run)[0]["refit"]["epochs"]
    assert [(line.dev_uar, line.epoch) for line in lines] == [
        (None, epoch) for epoch in range(2, chosen + 1)
    ]
    assert steps == [(4 + epoch, 8) for epoch in range(2, chosen + 1)]


def test_an_unfinished_refit_is_no_finished_run(experiment, tmp_path):
    def stop(line, done, total):
        if line.dev_uar is None:
            raise Killed

    with pytest.raises(Killed):
        train(experiment, tmp_path, on_epoch=stop)
    with pytest.raises(TrainingError, match="fold-1 not finished"):
        open_run(tmp_path / "tones")


def test_a_plateau_has_no_dev_to_follow(experiment):
    content = msgspec.to_builtins(changed(experiment, schedule="plateau"))
    with pytest.raises(ConfigError, match=r"refit is true, but .* is 'plateau'"):
        make_experiment(content)


def test_what_is_fitted_in_one_go_is_not_refitted(experiment, tmp_path):
    config = msgspec.structs.replace(
        changed(experiment, sampling="none"), model={"name": "logistic"}
    )
    with pytest.raises(ConfigError, match=r"training\.refit is True"):
        train(config, tmp_path)
