"""Runs are browsed as their folders are: curves, scores, nothing else of the machine."""

import json

import pytest
from small_run import prepare

from affectus.runs import begin_pool, open_run
from affectus.server.runs import find_runs, read_run
from affectus.training import train_seeds


@pytest.fixture(scope="module")
def run(tones_folder):
    """A small run, trained."""
    return open_run(tones_folder / "runs/tones")


def test_a_run_is_listed_and_shown_with_its_curves(run):
    (line,) = find_runs(run.folder.parent)
    assert line["name"] == run.folder.name
    assert line["finished"] == line["folds"] == len(run.splits)
    found = read_run(run.folder.parent, run.folder.name)
    for split, fold in zip(run.splits, found["curves"], strict=True):
        text = (run.fold_dir(split) / "history.jsonl").read_text().splitlines()
        assert fold["epochs"] == [json.loads(one) for one in text]
    best = [max(epoch["dev_uar"] for epoch in fold["epochs"]) for fold in found["curves"]]
    assert line["dev_uar"] == pytest.approx(sum(best) / len(best))
    assert str(run.folder.parent) not in json.dumps(found)


@pytest.mark.parametrize("name", ["..", ".", "", "nothing", "../runs", "/etc", "a\0b"])
def test_only_a_run_of_the_folder_is_shown(run, name):
    assert read_run(run.folder.parent, name) is None


def test_an_epoch_in_the_making_is_not_shown(run):
    path = run.fold_dir(run.splits[0]) / "history.jsonl"
    before = path.read_text()
    shown = read_run(run.folder.parent, run.folder.name)["curves"][0]["epochs"]
    try:
        path.write_text(before + '{"epoch": 99, "dev_')
        assert read_run(run.folder.parent, run.folder.name)["curves"][0]["epochs"] == shown
    finally:
        path.write_text(before)


@pytest.fixture(scope="module")
def pool(tmp_path_factory, one_thread):
    """A small run of two seeds, trained."""
    folder = tmp_path_factory.mktemp("pooled")
    small = {"epochs": 2, "batch_size": 12, "average": 0.0, "learning_rate": 0.02}
    return train_seeds(prepare(folder, training=small), [3, 5], folder / "runs")


def test_a_run_of_several_seeds_is_shown_with_the_curves_of_all(pool):
    (line,) = find_runs(pool.folder.parent)
    assert line["seeds"] == (3, 5)
    assert line["folds"] == line["finished"] == 4
    found = read_run(pool.folder.parent, pool.folder.name)
    names = [f"seed {seed} {split.fold}" for seed in (3, 5) for split in pool.splits]
    assert [fold["fold"] for fold in found["curves"]] == names
    for member, folds in zip(pool.members, (found["curves"][:2], found["curves"][2:]), strict=True):
        for split, fold in zip(member.splits, folds, strict=True):
            text = (member.fold_dir(split) / "history.jsonl").read_text().splitlines()
            assert fold["epochs"] == [json.loads(one) for one in text]


def test_a_run_of_several_seeds_is_shown_as_far_as_it_has_come(pool, tmp_path):
    folder = begin_pool(pool.experiment, (3, 5), tmp_path, resume=False)
    (line,) = find_runs(tmp_path)
    assert (line["folds"], line["finished"], line["dev_uar"]) == (0, 0, None)
    (folder / pool.members[0].folder.name).symlink_to(pool.members[0].folder)
    (line,) = find_runs(tmp_path)
    assert (line["folds"], line["finished"]) == (4, 2)  # the other seed is still to come
