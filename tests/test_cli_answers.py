"""`affectus predict` and `affectus models` as a user types them."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from small_run import PITCHES

from affectus.adaptation import read_profile
from affectus.cli import run
from affectus.media import write_audio
from affectus.notice import NOTICE
from affectus.predictor import load_model

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tones_folder):
    folder = shutil.copytree(tones_folder, tmp_path_factory.mktemp("answers") / "tones")
    time = np.arange(6 * RATE) / RATE
    sounds = [0.3 * np.sin(2 * np.pi * PITCHES[name] * time) for name in ("happy", "angry")]
    noise = np.random.default_rng(0).normal(0, 0.03, 2 * len(time))
    write_audio(folder / "long.wav", (np.concatenate(sounds) + noise).astype(np.float32))
    return folder


@pytest.fixture
def predict(folder, capsys, monkeypatch, tmp_path):
    """Run `affectus predict` with the small model; return exit code, output and errors."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def call(*arguments):
        capsys.readouterr()
        given = ["--model", folder / "model", "--speech", "off", *arguments]
        return run(["predict", *map(str, given)]), *capsys.readouterr()

    return call


def test_a_long_recording_is_told_in_segments(folder, predict):
    code, out, _ = predict(folder / "long.wav")
    assert code == 0
    parts = [line for line in out.splitlines() if " – " in line]
    assert len(parts) == 2 and "happy" in parts[0] and "angry" in parts[1]
    assert parts[0].startswith("      0.00 –     ") and " 12.00 s" in parts[1]


def test_each_window_can_be_had(folder, predict):
    _, out, _ = predict(folder / "long.wav", "--window", 3, "--hop", 1.5, "--no-smooth", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [float(row["start"]) for row in rows] == [1.5 * n for n in range(7)]


def test_fewer_labels_than_the_models_are_refused_as_more(folder, predict):
    code, _, err = predict(folder / "long.wav", "--labels", "eight")
    assert code == 2 and "this model never answers calm, fearful, disgust, surprised" in err
    code, out, _ = predict(folder / "long.wav", "--labels", "four", "--json")
    assert code == 0 and list(json.loads(out)["predictions"][0]["scores"]) == list(PITCHES)


def test_below_the_score_that_was_asked_for_there_is_no_answer(folder, predict):
    file = folder / "recordings/spk0/sad_0.wav"
    code, out, _ = predict(file, "--abstain", 0.999999)
    assert code == 0 and out.startswith(f"{file}: no answer: unsure\n") and "sad" in out
    code, _, err = predict(file, "--abstain", 1.5)
    assert code == 2 and "abstain is 1.5" in err


def test_a_speakers_clips_become_a_profile_that_can_be_used_again(folder, predict, tmp_path):
    clips, file = folder / "recordings/spk1", folder / "recordings/spk1/sad_0.wav"
    profile = tmp_path / "me.json"
    code, adapted, _ = predict(file, "--json", "--speaker-clips", clips, "--save-speaker", profile)
    assert code == 0
    assert read_profile(profile).n_clips == 12
    _, again, _ = predict(file, "--json", "--speaker", profile)
    _, plain, _ = predict(file, "--json")
    assert again == adapted != plain
    model = load_model(folder / "model", speech="off")
    expected = model.predict(file, speaker=model.learn_speaker(sorted(clips.iterdir())))
    assert json.loads(adapted)["predictions"][0]["scores"] == expected.scores


def test_a_speaker_is_followed_from_clip_to_clip(folder, predict, tmp_path):
    clips = sorted((folder / "recordings/spk2").iterdir())
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    given = ["--follow-speaker", "--save-speaker", tmp_path / "me.json", "--json"]
    code, out, err = predict(*clips[:3], bad, *clips[3:], *given)
    assert code == 1 and "E1002" in err
    found = [answer["scores"] for answer in json.loads(out)["predictions"]]
    model = load_model(folder / "model", speech="off")
    for number in (1, 7, 12):  # what is known by then, the clip itself included
        profile = model.learn_speaker(clips[:number])
        expected = model.predict(clips[number - 1], speaker=profile).scores
        assert found[number - 1] == pytest.approx(expected, abs=1e-5)
    saved = read_profile(tmp_path / "me.json")
    assert saved.n_clips == 12 and saved.mean == pytest.approx(profile.mean)


def test_a_profile_of_other_features_is_refused(folder, predict, tmp_path):
    profile = tmp_path / "me.json"
    clips = folder / "recordings/spk1"
    predict(clips, "--speaker-clips", clips, "--save-speaker", profile)
    profile.write_text(profile.read_text().replace('"features":"', '"features":"0'))
    code, _, err = predict(clips, "--speaker", profile)
    assert code == 2 and "made of other features than those of model 'tones'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json", "--csv"), "--json and --csv together; expected one of them"),
        (("--save-speaker", "x.json"), "no speaker; expected --speaker-clips or --follow"),
        (("--follow-speaker", "--window", "1"), "expected whole clips"),
        (("--speaker", "nowhere.json"), "nowhere.json: No such file"),
        (("--labels", "nine"), "invalid value"),
        (("--quiet",), "--quiet, but the notice was not accepted here; expected that once"),
    ],
)
def test_what_does_not_fit_together_is_refused(folder, predict, arguments, message):
    code, out, err = predict(folder / "recordings/spk0/sad_0.wav", *arguments)
    assert code == 2 and out == "" and message in " ".join(err.replace("│", " ").split())


def test_the_notice_is_given_once_a_run_and_not_beside_errors_alone(folder, predict, tmp_path):
    _, _, err = predict(folder / "recordings/spk0", "--json")
    assert err.count("Notice:") == 1 and err.startswith(NOTICE)
    (tmp_path / "bad.wav").write_text("not audio")
    _, _, err = predict(tmp_path / "bad.wav")
    assert "Notice:" not in err


def test_who_accepted_the_notice_may_be_quiet(folder, predict, tmp_path):
    file = folder / "recordings/spk0/sad_0.wav"
    _, out, _ = predict(file, "--json")
    assert json.loads(out)["use_accepted_on"] is None
    code, _, err = predict(file, "--accept-use", "--quiet")
    assert code == 0 and err == f"{NOTICE}\naccepted; remembered in {accepted(tmp_path)}\n"
    code, out, err = predict(file, "--quiet", "--json")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["use_accepted_on"]) == len("2026-01-31")
    accepted(tmp_path).unlink()
    assert predict(file, "--quiet")[0] == 2


def accepted(tmp_path):
    return tmp_path / "config/affectus/accepted-use.json"


def test_a_recording_beyond_ten_minutes_needs_to_be_asked_for(predict, tmp_path):
    write_audio(tmp_path / "x.flac", np.zeros((4_000 * 660, 8), np.float32), 4_000)
    code, _, err = predict(tmp_path / "x.flac")
    assert code == 4 and "the limit is 600 s" in err and "--max-seconds" in err
    code, out, _ = predict(tmp_path / "x.flac", "--max-seconds", 700)
    assert code == 0 and "no answer: no speech" in out


def test_prediction_needs_no_torch(folder):
    file = folder / "recordings/spk0/sad_0.wav"
    hide = "import sys; sys.modules['torch'] = None; from affectus.cli import run; "
    words = ["predict", str(file), "--model", str(folder / "model"), "--speech", "energy"]
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}sys.exit(run({words}))"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{file}: ")


@pytest.fixture
def shipped(folder, tmp_path, monkeypatch):
    """A package that ships the small model as 'voice'."""
    shutil.copytree(folder / "model", tmp_path / "pretrained/voice")
    for module in ("affectus.model_folder", "affectus.predictor.network"):
        monkeypatch.setattr(f"{module}.PRETRAINED", tmp_path / "pretrained")


def test_a_model_that_ships_is_known_by_its_name(shipped, folder, predict, capsys):
    file = folder / "recordings/spk0/sad_0.wav"
    capsys.readouterr()
    assert run(["predict", str(file), "--speech", "off", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert answer["emotion"] == "sad" and answer["card"] == "affectus models voice"
    assert answer["not_for"] == ["employment", "education", "law-enforcement", "insurance"]


def test_models_lists_what_ships_and_prints_a_card(shipped, folder, capsys):
    capsys.readouterr()
    assert run(["models"]) == 0
    out = capsys.readouterr().out
    assert "tones" in out and "not judged" in out and "neutral, happy, sad, angry" in out
    assert NOTICE in out
    assert run(["models", "voice"]) == 0
    assert capsys.readouterr().out == (folder / "model/MODEL_CARD.md").read_text()
    assert run(["models", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["name"] == "tones"


def test_where_no_model_ships_that_is_said(folder, predict, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("affectus.model_folder.PRETRAINED", tmp_path / "nothing")
    assert run(["predict", str(folder / "long.wav")]) == 2
    err = capsys.readouterr().err
    assert "ModelError: no model 'voice': no such folder, and none ships with this version" in err
    assert run(["models"]) == 0
    assert "affectus export" in capsys.readouterr().out
