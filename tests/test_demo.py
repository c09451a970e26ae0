"""The whole chain, from files on disk to a report and a prediction, as `make demo` runs it."""

import json
from pathlib import Path

import pytest

from affectus.demo import run_demo
from affectus.errors import ConfigError


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "here"
    return folder, run_demo(folder, n_speakers=6, epochs=3)


def test_the_demo_leaves_everything_that_the_chain_makes(demo):
    folder, _ = demo
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert made >= {
        "voices.csv",
        "synthetic.csv",
        "split.json",
        "crnn.toml",
        "store/index.sqlite",
        "runs/crnn/report_test.html",
        "runs/crnn/evaluation_test.json",
        "model/model.onnx",
        "model/model.json",
        "model/MODEL_CARD.md",
    }


def test_the_demo_judges_speakers_it_has_not_heard(demo):
    folder, (evaluation, _) = demo
    (fold,) = json.loads((folder / "runs/crnn/splits.json").read_text())["folds"]
    # RAVDESS's names, under which the recordings lie, end with the actor's number.
    heard = {Path(clip_id).stem[-2:] for side in ("train", "dev") for clip_id in fold[side]}
    judged = {group.name.removeprefix("synthetic:") for group in evaluation.speakers}
    assert len(heard) == 5 and judged == {f"{n:02d}" for n in range(1, 7)} - heard
    assert evaluation.n_answered == evaluation.n_planned == 60


def test_the_demo_learns_more_than_chance(demo):
    _, (evaluation, _) = demo
    assert evaluation.uar.value > 1.5 * evaluation.chance


def test_the_report_calls_the_voices_synthetic_and_holds_them_against_nothing_published(demo):
    folder, (evaluation, _) = demo
    page = (folder / "runs/crnn/report_test.html").read_text()
    assert list(evaluation.corpora) == ["synthetic"]
    assert "60 of synthetic" in page
    assert "Beside published figures" not in page and "ravdess" not in page.lower()


def test_the_demo_answers_for_a_file(demo):
    _, (evaluation, answer) = demo
    assert answer.emotion in evaluation.labels
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-4)


def test_the_demo_never_empties_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds other things; expected a new folder"):
        run_demo(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "dear"
