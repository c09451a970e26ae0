"""Late fusion: the pool by its formula, weights of dev clips alone, misfits refused."""

import json
import shutil

import numpy as np
import pytest
from msgspec.structs import replace
from small_run import prepare

from affectus.cli import run
from affectus.errors import EvaluationError, TrainingError
from affectus.evaluation import Predictions
from affectus.experiment import make_experiment
from affectus.fusion import (
    evaluate_fusion,
    export_fusion,
    fitting,
    fuse_runs,
    fuse_side,
    is_fusion,
    read_fusion,
)
from affectus.manifest import Manifest
from affectus.predictor import load_model
from affectus.training import train

LABELS = ("neutral", "happy", "sad", "angry")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two runs of two folds on the same tones: runs/tones and runs/plain."""
    place = tmp_path_factory.mktemp("fusion")
    first = prepare(place, training={"epochs": 2, "batch_size": 8})
    train(first, place / "runs")
    plain = {
        "name": "plain",
        "manifest": first.manifest,
        "store": first.store,
        "labels": {"scheme": "four"},
        "features": first.features,
        "split": {"protocol": "sequential-6fold", "folds": [1, 2]},
        "model": {"name": "logistic", "cost": 0.01},
        "augmentation": {"gain_db": 0.0},
    }
    train(make_experiment(plain), place / "runs")
    return place


@pytest.fixture
def runs(place):
    return [place / "runs" / name for name in ("tones", "plain")]


# --- runs ---


def test_fused_scores_are_the_pool_of_both_runs_with_the_folds_own_weights(place, runs):
    fusion = fuse_runs(runs, place / "fused")
    assert is_fusion(place / "fused")
    assert read_fusion(place / "fused") == fusion
    fused = fuse_side(place / "fused", "test")
    parts = [Predictions.read(runs[i] / "fold-2" / "predictions_test.csv") for i in (0, 1)]
    weights = fusion.of("fold-2", (0, 1))
    row = fused.clip_ids.index(parts[0].clip_ids[3])
    other = parts[1].clip_ids.index(parts[0].clip_ids[3])
    product = parts[0].scores[3] ** weights[0] * parts[1].scores[other] ** weights[1]
    np.testing.assert_allclose(fused.scores[row], product / product.sum(), rtol=1e-6)
    assert Predictions.read(place / "fused" / "predictions_test.csv").clip_ids == fused.clip_ids


def test_fitting_opens_no_test_side(place, runs, monkeypatch):
    opened = []
    inner = fitting.predict_side
    monkeypatch.setattr(
        fitting, "predict_side", lambda run, side: opened.append(side) or inner(run, side)
    )
    fuse_runs(runs, place / "closed")
    assert set(opened) == {"dev"}


def test_a_fusion_is_judged_like_a_run(place, runs):
    fuse_runs(runs, place / "judged")
    found = evaluate_fusion(place / "judged", "test")
    assert (found.n_answered, found.n_planned) == (24, 24)
    assert found.side == "test"
    assert found.protocol["name"] == "sequential-6fold"
    assert [part["run"] for part in found.provenance["fused"]] == [str(run) for run in runs]
    assert 0 <= found.uar.value <= 1


def test_what_limits_a_run_limits_the_fusion(place, runs):
    fusion = fuse_runs(runs, place / "limits")
    assert evaluate_fusion(place / "limits").cautions[: len(fusion.cautions)] == list(
        fusion.cautions
    )


def drop_dev_answers(run, n):
    """Leave out the last n dev predictions of a run's first fold, as of films without a face."""
    path = run / "fold-1" / "predictions_dev.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-n]) + "\n")


def test_clips_that_a_run_did_not_answer_are_answered_by_the_others(place, runs, tmp_path):
    less = tmp_path / "less"
    shutil.copytree(runs[1], less)
    drop_dev_answers(less, 3)
    fusion = fuse_runs([runs[0], less], tmp_path / "fused")
    assert {one.runs for one in fusion.weights} == {(0, 1), (0,), (1,)}  # whoever may be missing
    alone = fusion.of("fold-1", (0,))
    found = fuse_side(tmp_path / "fused", "dev")
    kept = Predictions.read(less / "fold-1" / "predictions_dev.csv").clip_ids
    own = Predictions.read(runs[0] / "fold-1" / "predictions_dev.csv")
    missing = [i for i in own.clip_ids if i not in kept]
    assert len(missing) == 3
    for clip_id in missing:
        power = own.scores[own.clip_ids.index(clip_id)] ** alone[0]
        np.testing.assert_allclose(
            found.scores[found.clip_ids.index(clip_id)], power / power.sum(), rtol=1e-6
        )


def test_recordings_of_one_take_are_paired(place, runs, tmp_path):
    # The second run is of other files (films, say) of the same performances.
    film = tmp_path / "film"
    shutil.copytree(runs[1], film)
    manifest = Manifest.read(place / "manifest.csv")
    voices = Manifest(tuple(replace(c, take=f"take:{c.clip_id}") for c in manifest))
    films = Manifest(tuple(replace(c, clip_id=f"{c.clip_id}-film") for c in voices))
    films.write(tmp_path / "films.csv")
    shutil.copytree(runs[0], tmp_path / "voice")
    voices.write(tmp_path / "voices.csv")
    old = str(place / "manifest.csv")
    for member, table in ((film, "films.csv"), (tmp_path / "voice", "voices.csv")):
        path = member / "experiment.toml"
        path.write_text(path.read_text().replace(old, str(tmp_path / table)))
    for path in (film / "splits.json", *film.glob("fold-*/predictions_dev.csv")):
        text = path.read_text()
        for clip in manifest:
            for after in ('"', ","):
                text = text.replace(f"{clip.clip_id}{after}", f"{clip.clip_id}-film{after}")
        path.write_text(text)
    fuse_runs([tmp_path / "voice", film], tmp_path / "paired")
    fuse_runs(runs, tmp_path / "same")
    np.testing.assert_allclose(
        fuse_side(tmp_path / "paired", "dev").scores, fuse_side(tmp_path / "same", "dev").scores
    )


# --- the model folder ---


def test_an_exported_fusion_answers_recordings_as_the_fusion_answers_clips(place, runs, tmp_path):
    fuse_runs(runs, tmp_path / "fused")
    wanted = fuse_side(tmp_path / "fused", "dev")
    assert export_fusion(tmp_path / "fused", tmp_path / "model", fold=2) < 1e-4
    model = load_model(tmp_path / "model", speech="off")
    assert model.labels == wanted.labels and model.streams == ("voice",)
    paths = {clip.clip_id: clip.path for clip in Manifest.read(place / "manifest.csv")}
    rows = [row for row, fold in enumerate(wanted.folds) if fold == "fold-2"][:6]
    for row in rows:
        scores = model.predict(paths[wanted.clip_ids[row]]).scores
        np.testing.assert_allclose(list(scores.values()), wanted.scores[row], atol=1e-3)
    assert model.facts.provenance["fold"] == "fold-2"
    assert {found.members for found in model.facts.weights} == {(0,), (1,), (0, 1)}
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "- 1 (tones) and 2 (plain): " in card


def test_nothing_is_left_of_an_export_that_fails(runs, tmp_path):
    fuse_runs(runs, tmp_path / "fused")
    with pytest.raises(EvaluationError, match="fold 3: expected 1 to 2"):
        export_fusion(tmp_path / "fused", tmp_path / "model", fold=3)
    path = tmp_path / "fused" / "fusion.json"
    copy = tmp_path / "copy"
    shutil.copytree(runs[1], copy)
    path.write_text(path.read_text().replace(str(runs[1]), str(copy)))
    (copy / "fold-1" / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(TrainingError, match="not the weights that this fold trained"):
        export_fusion(tmp_path / "fused", tmp_path / "model")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy", "fused"]


# --- what is refused ---


def test_one_run_is_no_fusion(runs, tmp_path):
    with pytest.raises(EvaluationError, match="1 runs to be fused; expected 2 to 6"):
        fuse_runs(runs[:1], tmp_path / "fused")


def test_a_folder_that_is_there_is_kept(place, runs):
    with pytest.raises(EvaluationError, match="there already; expected a new folder"):
        fuse_runs(runs, place / "runs")


def change(run, old, new):
    for path in (run / "experiment.toml", run / "splits.json"):
        path.write_text(path.read_text().replace(old, new))


def test_other_labels_are_refused(place, runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "other")
    change(tmp_path / "other", 'scheme = "four"', 'scheme = "six"')
    with pytest.raises(EvaluationError, match=r"answers with 6 labels.*expected what .*4 labels"):
        fuse_runs([runs[0], tmp_path / "other"], tmp_path / "fused")


def test_other_folds_are_refused(place, runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "other")
    change(tmp_path / "other", '"fold-2"', '"fold-3"')
    (tmp_path / "other" / "fold-2").rename(tmp_path / "other" / "fold-3")
    with pytest.raises(EvaluationError, match=r"expected those of .*: fold-1, fold-2"):
        fuse_runs([runs[0], tmp_path / "other"], tmp_path / "fused")


def test_a_run_that_was_trained_on_the_others_test_speakers_is_refused(place, runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "other")
    path = tmp_path / "other" / "splits.json"
    path.write_text(path.read_text().replace('"train"', '"?"').replace('"test"', '"train"')
                    .replace('"?"', '"test"'))  # fmt: skip
    with pytest.raises(EvaluationError, match=r"fold-1: .* on side train of one run and test of"):
        fuse_runs([runs[0], tmp_path / "other"], tmp_path / "fused")


def test_a_damaged_fusion_is_refused(tmp_path):
    (tmp_path / "fusion.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"expected a fusion\. Make one: affectus fuse"):
        read_fusion(tmp_path)


def test_the_commands_fuse_and_judge(place, runs, capsys):
    out = place / "commanded"
    assert run(["fuse", *map(str, runs), "-o", str(out)]) == 0
    assert "2 runs fused" in capsys.readouterr().out
    assert run(["evaluate", str(out), "--on", "test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_answered"] == 24
    assert (out / "evaluation_test.json").is_file()
    assert "commanded" in (out / "report_test.html").read_text("utf-8")
