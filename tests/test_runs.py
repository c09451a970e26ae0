import json

import msgspec
import pytest

from affectus.errors import TrainingError
from affectus.experiment import make_experiment
from affectus.metrics import Interval
from affectus.runs import Epoch, begin_run, open_run, read_history, read_provenance, write_json
from affectus.splits import Split

EXPERIMENT = make_experiment({"name": "x", "manifest": "m.csv", "store": "s"})
SPLITS = tuple(
    Split(f"fold-{n}", ("a",), ("b",), ("c",), "own", 1, "by hand", False, 0, "0" * 64)
    for n in (1, 2)
)
EPOCH = Epoch("fold-1", 1, 2.0, 0.1, 0.5, 0.5, 1.5, True, 3.0)


def finish(run):
    for split in run.splits:
        folder = run.fold_dir(split)
        folder.mkdir(exist_ok=True)
        line = json.dumps(EPOCH._replace(fold=split.fold)._asdict())
        (folder / "history.jsonl").write_text(line + "\n")
        (folder / "provenance.json").write_text(json.dumps({"fold": split.fold}))
        (folder / "predictions_dev.csv").write_text("")


def test_a_run_is_read_as_it_was_begun(tmp_path):
    begun = begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    finish(begun)
    run = open_run(tmp_path / "x")
    assert run == begun
    assert [epoch.fold for epoch in read_history(run)] == ["fold-1", "fold-2"]
    assert read_history(run)[0] == EPOCH
    assert [facts["fold"] for facts in read_provenance(run)] == ["fold-1", "fold-2"]


def test_an_unfinished_run_is_not_opened(tmp_path):
    run = begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    finish(run)
    (run.fold_dir(SPLITS[1]) / "predictions_dev.csv").unlink()
    with pytest.raises(TrainingError, match=r"fold-2 not finished.*--resume"):
        open_run(tmp_path / "x")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"no run; expected a folder with experiment\.toml"):
        open_run(tmp_path)


def test_a_run_is_never_overwritten(tmp_path):
    begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    with pytest.raises(TrainingError, match=r"there already.*--set name=NEW.*--resume"):
        begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    begin_run(EXPERIMENT, SPLITS, tmp_path, resume=True)


def test_resuming_needs_the_same_configuration_and_splits(tmp_path):
    begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    other = msgspec.structs.replace(EXPERIMENT, store="elsewhere")
    with pytest.raises(TrainingError, match="begun with another configuration"):
        begin_run(other, SPLITS, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="begun on other clips or another split"):
        begin_run(EXPERIMENT, SPLITS[:1], tmp_path, resume=True)


def test_json_keeps_none_and_leaves_nothing_half_written(tmp_path):
    write_json({"uar": Interval(0.5, None, None)}, tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text()) == {"uar": [0.5, None, None]}
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", '"a"', "null", '{"a":' * 100_000, "\udcff"])
def test_a_damaged_file_of_a_run_is_named_in_one_line(content, tmp_path):
    run = begin_run(EXPERIMENT, SPLITS, tmp_path, resume=False)
    finish(run)
    data = content.encode("utf-8", "surrogateescape")
    for file, read in (("history.jsonl", read_history), ("provenance.json", read_provenance)):
        (run.folder / "fold-2" / file).write_bytes(data)
        if not (file == "history.jsonl" and not content):  # no line yet
            with pytest.raises(TrainingError, match=rf"fold-2/{file}: .*; expected what the tra"):
                read(run)
