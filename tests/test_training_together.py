"""Two processes that torchrun starts train as one does, and only the first of them writes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_run import prepare
from torch import multiprocessing, nn

from affectus.batches import training_batches
from affectus.experiment import AugmentationConfig, write_experiment
from affectus.training import train
from affectus.training.together import SharedBatchNorm, Team, is_first, share_statistics

# What draws in the network would be drawn apart in each process.
PLAIN = {
    "name": "crnn", "channels": [4, 4], "n_hidden": 4, "n_attention": 4, "dropout": 0.0,
}  # fmt: skip
TRAINING = {
    "epochs": 2, "batch_size": 9, "average": 0.5, "precision": "float32", "optimiser": "sgd",
    "learning_rate": 0.05,
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    # 36 training clips in batches of 7: the last has one, which is fewer than processes.
    return prepare(
        tmp_path_factory.mktemp("tones"),
        split={"protocol": "sequential-6fold", "folds": [1]},
        model=PLAIN,
        training=TRAINING | {"batch_size": 7},
        augmentation={"mixup": 0.2, "speed": 0.1},
    )


def test_two_processes_are_one(experiment, tmp_path):
    write_experiment(experiment, tmp_path / "tones.toml")
    alone = train(experiment, tmp_path / "alone")
    finished = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone",
            "--nproc-per-node", "2", "-m", "affectus", "train", str(tmp_path / "tones.toml"),
            "--runs", str(tmp_path / "together"), "--json",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["folds"] == ["fold-1"]  # printed once
    first, second = alone.folder / "fold-1", tmp_path / "together/tones/fold-1"
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    for name in ("weights.safetensors", "last.safetensors"):
        one, two = load_file(first / name), load_file(second / name)
        assert set(one) == set(two)
        for key in one:
            np.testing.assert_allclose(one[key], two[key], atol=1e-4, err_msg=key)
    histories = [
        [json.loads(line) for line in (place / "history.jsonl").read_text().splitlines()]
        for place in (first, second)
    ]
    assert [line["epoch"] for line in histories[1]] == [1, 2]
    for mine, its in zip(*histories, strict=True):
        for key in ("loss", "learning_rate", "dev_nll", "dev_uar"):
            assert mine[key] == pytest.approx(its[key], abs=1e-4)


def normalise_apart(rank, images, results, address):
    """In one of two processes: normalise its part, and go back."""
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    share_statistics(net)
    assert isinstance(net[1], SharedBatchNorm)
    part = images[rank::2].clone().requires_grad_()
    output = net(part)
    (output**3).sum().backward()
    gradient = net[0].weight.grad.clone()
    torch.distributed.all_reduce(gradient)
    results[rank] = {
        "output": output.detach().numpy(),
        "input": part.grad.numpy(),
        "weight": gradient.numpy(),
        "mean": net[1].running_mean.numpy(),
        "variance": net[1].running_var.numpy(),
    }
    torch.distributed.destroy_process_group()


def test_statistics_over_two_processes_are_those_of_the_whole_batch(tmp_path):
    images = torch.randn(5, 2, 6, 4) * 3 + 1  # three clips here, two there
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    whole = images.clone().requires_grad_()
    output = net(whole)
    (output**3).sum().backward()
    with multiprocessing.get_context("spawn").Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(
            normalise_apart, (images, results, f"file://{tmp_path}/meet"), nprocs=2
        )
        found = dict(results)
    for rank in (0, 1):
        part = found[rank]
        np.testing.assert_allclose(part["output"], output[rank::2].detach(), atol=1e-5)
        np.testing.assert_allclose(part["input"], whole.grad[rank::2], atol=1e-3, rtol=1e-4)
        np.testing.assert_allclose(part["weight"], net[0].weight.grad, atol=1e-2, rtol=1e-3)
        np.testing.assert_allclose(part["mean"], net[1].running_mean, atol=1e-6)
        np.testing.assert_allclose(part["variance"], net[1].running_var, atol=1e-5)


def test_parts_of_a_batch_are_the_batch(experiment):
    from affectus.manifest import Manifest
    from affectus.store import FeatureStore
    from affectus.training.checks import choose_splits
    from affectus.training.sides import load_sides

    manifest = Manifest.read(experiment.manifest)
    with FeatureStore(experiment.store) as store:
        (split,) = choose_splits(manifest, experiment)
        examples = load_sides(experiment, split, manifest, store).training

    def batches(number, n_parts):
        return list(
            training_batches(
                examples, 4, 7, AugmentationConfig(mixup=0.2), torch.zeros(32),
                np.random.default_rng(1), part=(number, n_parts),
            )
        )  # fmt: skip

    whole, parts = batches(0, 1), [batches(number, 2) for number in (0, 1)]
    assert {len(batch.rows) for batch in whole} == {7, 1}
    for place, batch in enumerate(whole):
        for number in (0, 1):
            part = parts[number][place]
            own = slice(number, None, 2) if len(batch.rows) > 1 else slice(None)
            assert torch.equal(part.inputs.voice, batch.inputs.voice[own])
            assert torch.equal(part.targets, batch.targets[own])
            assert part.n_all == len(batch.rows)
        assert sum(parts[number][place].share for number in (0, 1)) == pytest.approx(1)


def test_alone_a_process_is_the_first_and_waits_for_nobody():
    team = Team()
    assert is_first() and team.leads
    with team.leader_first():
        team.wait()
    assert team.add_up(torch.ones(2)).tolist() == [1, 1]
    assert len(team.random_states()) == 1
    team.expect_same(7, "here")
