"""A fold that is killed, wherever, ends with the weights of one that was not, to the last bit."""

import json
import os
from pathlib import Path

import msgspec
import pytest
import torch
from small_run import prepare

from affectus.runs import open_run
from affectus.training import train
from affectus.training.checkpoints import find_states


class Killed(BaseException):
    """No handler for errors may stop it, as none could stop a kill."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    # Dropout, masks, mixup and sampling: everything that draws random numbers.
    return prepare(
        tmp_path_factory.mktemp("tones"),
        split={"protocol": "sequential-6fold", "folds": [1]},
        model={"name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4},
        training={"epochs": 3, "batch_size": 12, "average": 0.8, "sampling": "class"},
        augmentation={"mixup": 0.2, "speed": 0.1},
    )


@pytest.fixture(scope="module")
def undisturbed(experiment, tmp_path_factory):
    return contents(train(experiment, tmp_path_factory.mktemp("undisturbed")))


def contents(run):
    """Everything that a run leaves but what tells the time."""
    found = {}
    for path in sorted(run.folder.rglob("*")):
        name = str(path.relative_to(run.folder))
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{**line, "seconds": 0} for line in lines]
        elif path.name == "provenance.json":
            found[name] = json.loads(path.read_text())["weights_sha256"]
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def killed_at(number, monkeypatch, experiment, runs, **options):
    """Train until the `number`-th thing that is done to the disk; tell whether it came to that."""
    done = 0

    def count(owner, name):
        plain = getattr(owner, name)

        def counted(*arguments, **settings):
            nonlocal done
            done += 1
            if done == number:
                raise Killed
            return plain(*arguments, **settings)

        monkeypatch.setattr(owner, name, counted)

    with monkeypatch.context():
        for owner, name in [
            (Path, "mkdir"), (Path, "write_text"), (Path, "write_bytes"), (Path, "replace"),
            (Path, "unlink"), (os, "fsync"),
        ]:  # fmt: skip
            count(owner, name)
        try:
            train(experiment, runs, **options)
        except Killed:
            return True
        finally:
            monkeypatch.undo()
    return False


def test_killed_at_any_write_it_ends_with_the_same_bytes(
    experiment, undisturbed, tmp_path, monkeypatch
):
    number = 1
    while killed_at(number, monkeypatch, experiment, tmp_path / str(number)):
        run = train(experiment, tmp_path / str(number), resume=True)
        assert contents(run) == undisturbed, number
        number += 5  # each of them: `make torture`
    assert number > 35  # else nothing was killed


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    experiment, undisturbed, tmp_path, monkeypatch
):
    numbers = iter([13, 3, 5, 11, 2, 8, 16, 9, 4, 100])
    n_kills = 0
    while killed_at(next(numbers), monkeypatch, experiment, tmp_path, resume=True):
        n_kills += 1
    assert n_kills > 4
    assert contents(open_run(tmp_path / "tones")) == undisturbed


def stopped_after(epoch, experiment, runs):
    """Train until an epoch is over; return the fold's folder."""

    def stop(line, done, total):
        if line.epoch == epoch:
            raise Killed

    with pytest.raises(Killed):
        train(experiment, runs, on_epoch=stop)
    return runs / experiment.name / "fold-1"


def test_two_checkpoints_are_kept_while_it_lasts_and_none_after(experiment, tmp_path):
    folder = stopped_after(3, experiment, tmp_path)
    assert [path.name[:10] for path in find_states(folder)] == ["state-0003", "state-0002"]
    train(experiment, tmp_path, resume=True)
    assert find_states(folder) == []


def test_only_epochs_that_are_not_done_are_run_again(experiment, tmp_path):
    stopped_after(2, experiment, tmp_path)
    lines = []
    train(experiment, tmp_path, resume=True, on_epoch=lambda line, *others: lines.append(line))
    assert [line.epoch for line in lines] == [3]


def flip(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], flip, lambda data: b""])
def test_a_torn_checkpoint_is_passed_over_for_the_last_good_one(
    experiment, undisturbed, tmp_path, capsys, damage
):
    last, before = find_states(stopped_after(2, experiment, tmp_path))
    last.write_bytes(damage(last.read_bytes()))
    lines = []
    run = train(experiment, tmp_path, resume=True, on_epoch=lambda e, *_: lines.append(e.epoch))
    assert f"{last}: damaged (its hash is" in capsys.readouterr().err
    assert lines == [2, 3]
    assert contents(run) == undisturbed
    assert before.name.startswith("state-0001")


def test_without_a_whole_checkpoint_it_begins_again(experiment, undisturbed, tmp_path, capsys):
    for state in find_states(stopped_after(2, experiment, tmp_path)):
        state.write_bytes(b"torn")
    run = train(experiment, tmp_path, resume=True)
    assert capsys.readouterr().err.count("passed over") == 2
    assert contents(run) == undisturbed


def test_a_renamed_checkpoint_of_another_fold_is_not_taken(
    experiment, undisturbed, tmp_path, capsys
):
    both = msgspec.structs.replace(
        experiment, split=msgspec.structs.replace(experiment.split, folds=(1, 2))
    )
    first = stopped_after(2, both, tmp_path)
    second = first.with_name("fold-2")
    second.mkdir()
    for state in find_states(first):
        state.rename(second / state.name)
    run = train(both, tmp_path, resume=True)
    assert "made from other data" in capsys.readouterr().err
    for name, expected in undisturbed.items():
        if name.startswith("fold-1"):
            assert contents(run)[name] == expected


def test_other_threads_are_told(experiment, tmp_path, capsys):
    stopped_after(2, experiment, tmp_path)
    torch.set_num_threads(2)
    try:
        train(experiment, tmp_path, resume=True)
    finally:
        torch.set_num_threads(1)
    text = capsys.readouterr().err
    assert "made with threads 1, now 2: the weights will not be" in text


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_every_optimiser_goes_on(experiment, tmp_path, optimiser):
    config = msgspec.structs.replace(
        experiment,
        training=msgspec.structs.replace(
            experiment.training, optimiser=optimiser, schedule="plateau", plateau_patience=1
        ),
    )
    stopped_after(2, config, tmp_path / "stopped")
    resumed = contents(train(config, tmp_path / "stopped", resume=True))
    assert resumed == contents(train(config, tmp_path / "whole"))


def test_early_stopping_counts_on(experiment, tmp_path):
    config = msgspec.structs.replace(
        experiment,
        training=msgspec.structs.replace(
            experiment.training, epochs=30, patience=2, learning_rate=1e-9
        ),
    )
    whole = train(config, tmp_path / "whole")
    n_epochs = len((whole.folder / "fold-1/history.jsonl").read_text().splitlines())
    stopped_after(n_epochs, config, tmp_path / "stopped")  # nothing but the end is left to do
    lines = []
    resumed = train(
        config, tmp_path / "stopped", resume=True, on_epoch=lambda *event: lines.append(event)
    )
    assert lines == []
    assert contents(resumed) == contents(whole)
