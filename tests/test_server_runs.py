"""Runs are browsed as their folders are: curves, scores, nothing else of the machine."""

import json

import pytest

from affectus.runs import open_run
from affectus.server.runs import find_runs, read_run


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
