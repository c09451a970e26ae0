"""The commands as a user types them, in one process; see test_demo.py for the whole chain."""

import csv
import errno
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from making import tone
from small_run import prepare

from affectus.cli import app, run
from affectus.experiment import write_experiment
from affectus.manifest import read_exclusions
from affectus.media import write_audio


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with manifest, store, experiment, trained run and model folder."""
    folder = tmp_path_factory.mktemp("cli")
    write_experiment(prepare(folder), folder / "tones.toml")
    runs = ["--runs", str(folder / "runs")]
    assert run(["train", str(folder / "tones.toml"), *runs]) == 0
    assert run(["evaluate", str(folder / "runs/tones"), "--on", "test"]) == 0
    assert run(["export", str(folder / "runs/tones"), "-o", str(folder / "model")]) == 0
    return folder


@pytest.fixture
def affectus(capsys):
    """Run a command; return exit code, standard output and standard error."""

    def call(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def one_line(text):
    """What a user error must be: one line, no traceback."""
    assert text.count("\n") == 1 and "Traceback" not in text, text
    return text


def commands():
    return [command.name or command.callback.__name__ for command in app.registered_commands]


@pytest.mark.parametrize("command", [*commands(), ""])
def test_every_command_has_help(command, affectus):
    code, out, _ = affectus(*([command] if command else []), "--help")
    assert code == 0
    assert len(out) > 100


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "affectus", "corpora", "--json"], capture_output=True, check=True
    )
    assert "ravdess" in [row["name"] for row in json.loads(done.stdout)]


def test_import_prints_counts_and_notes(tmp_path, affectus):
    (tmp_path / "mine.csv").write_text("file,emotion\na.wav,happy\nb.wav,sad\n")
    for name in "ab":
        write_audio(tmp_path / f"{name}.wav", np.ones(8_000, np.float32) / 9)
    code, out, err = affectus("import", "table", tmp_path / "mine.csv", "-o", tmp_path / "m.csv")
    assert (code, out) == (0, f"{tmp_path}/m.csv: 2 clips of 0 speakers\n")
    assert "no speaker is known" in err


def test_import_exits_1_when_files_are_not_understood(tmp_path, affectus):
    for name in ("03-01-05-01-02-01-12", "03-01-09-01-02-01-12"):
        write_audio(tmp_path / f"{name}.wav", np.ones(8_000, np.float32) / 9)
    code, out, err = affectus("import", "ravdess", tmp_path, "-o", tmp_path / "m.csv")
    assert code == 1
    assert "1 clip of 1 speaker, 1 file not understood" in out
    assert "emotion is '09'; expected 01 to 08" in err


def test_import_never_overwrites_its_source(tmp_path, affectus):
    (tmp_path / "m.csv").write_text("file,emotion,speaker\na.wav,happy,1\n")
    code, _, err = affectus("import", "table", tmp_path / "m.csv", "-o", tmp_path / "m.csv")
    assert code == 2 and "would overwrite the table" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "crema", "."), "no corpus 'crema'; known corpora: banglaser, cremad"),
        (("import", "ravdes", "."), "Did you mean 'ravdess'?"),
        (("import", "ravdess", "nowhere"), "no such folder; expected a folder of recordings"),
        (("audit", "nothing.csv"), "no such file; expected a manifest"),
        (("status", "nowhere"), "no feature store; expected a folder with index.sqlite"),
        (("train", "nothing.toml"), "No such file or directory; expected an experiment"),
        (("evaluate", "nowhere"), "no run; expected a folder with experiment.toml"),
        (("evaluate", "nowhere", "--on", "train"), "no such side; expected dev or test"),
        (("export", "nowhere", "-o", "m"), "no run; expected a folder"),
        (("predict", "x.wav", "--model", "nowhere"), "no model 'nowhere': no such folder"),
        (("split",), "no manifest; expected one"),
    ],
)
def test_user_errors_are_one_line_and_exit_2(arguments, message, affectus):
    code, out, err = affectus(*arguments)
    assert (code, out) == (2, "")
    assert message in one_line(err)


def test_an_unknown_emotion_lists_the_known_and_proposes_the_nearest(tmp_path, affectus):
    (tmp_path / "mine.csv").write_text("file,emotion,speaker\na.wav,hapy,1\n")
    code, _, err = affectus("import", "table", tmp_path / "mine.csv")
    assert code == 2
    assert "mine.csv:2: emotion 'hapy' is not known; known emotions: neutral, calm" in one_line(err)
    assert "Did you mean 'happy'?" in err


def test_unknown_protocols_features_and_keys_propose_the_nearest(place, affectus):
    manifest = place / "manifest.csv"
    code, _, err = affectus("split", manifest, "--protocol", "sequential-5folds")
    assert code == 2 and "Did you mean 'sequential-5fold'?" in one_line(err)
    code, _, err = affectus("extract", manifest, "--store", "s", "--features", "logmels")
    assert code == 2 and "Did you mean 'logmel'?" in one_line(err)
    code, _, err = affectus("train", place / "tones.toml", "--set", "training.epoch=3")
    assert code == 2 and "Did you mean 'epochs'?" in one_line(err)


def test_a_store_with_other_parameters_is_refused_naming_them(place, affectus):
    arguments = ("extract", place / "manifest.csv", "--store", place / "store")
    code, _, err = affectus(*arguments, "--set", "n_mels=64", "--set", "f_max=6000.0")
    assert code == 2
    assert "n_mels is 32 there and 64 here; expected the same" in one_line(err)


def test_audit_exits_0_on_sound_data_and_prints_json(place, affectus):
    code, out, _ = affectus("audit", place / "manifest.csv", "--json")
    assert code == 0
    assert json.loads(out)["counts"][0]["present"] == 72


def test_audit_looks_at_a_store_and_writes_a_page_and_a_list(place, tmp_path, affectus):
    arguments = ("audit", place / "manifest.csv", "--workers", "0", "--store", place / "store")
    page, bad = tmp_path / "audit.html", tmp_path / "bad.csv"
    code, out, _ = affectus(*arguments, "--html", page, "--exclusions", bad)
    assert code == 0
    assert re.search(r"logmel +tones +72 +72 +0 +0 +32 ", out)
    assert out.endswith(f"No clip need be left out.\n{page}\n{bad}\n")
    assert "manifest.csv" in page.read_text()
    assert bad.read_text() == '"clip_id","reason"\n'
    report = json.loads(affectus(*arguments, "--json")[1])
    assert report["features"][0]["done"] == 72
    assert not [f for f in report["findings"] if f["check"] in ("features", "dimensions", "frames")]


def test_audit_lists_clips_that_training_then_leaves_out(tmp_path, affectus):
    (tmp_path / "mine.csv").write_text("file,emotion,speaker\na.wav,happy,1\nb.wav,sad,2\n")
    for name, level in (("a", 0.1), ("b", 0.0)):
        write_audio(tmp_path / f"{name}.wav", tone(0.5, level=level))
    affectus("import", "table", tmp_path / "mine.csv", "-o", tmp_path / "m.csv")
    bad = tmp_path / "bad.csv"
    code, out, _ = affectus("audit", tmp_path / "m.csv", "--workers", "0", "--exclusions", bad)
    assert code == 1 and "1 clip is better left out" in out
    assert read_exclusions(bad) == {"mine/b.wav": "silent"}


def test_audit_exits_1_and_names_what_is_wrong(tmp_path, affectus):
    for name in ("03-01-05-01-02-01-12", "03-01-05-02-02-01-12"):
        write_audio(tmp_path / f"{name}.wav", tone(0.5))
    affectus("import", "ravdess", tmp_path, "-o", tmp_path / "m.csv")
    code, out, _ = affectus("audit", tmp_path / "m.csv")
    assert code == 1
    assert "ravdess: 2 of 1,440 clips" in out
    assert "identical audio (the files are byte-identical)" in out


def test_split_prints_sizes_and_writes_folds(place, affectus, tmp_path):
    out_file = tmp_path / "split.json"
    code, out, _ = affectus(
        "split", place / "manifest.csv", "--protocol", "leave-one-speaker-out", "-o", out_file
    )
    assert code == 0 and "fold-6" in out
    assert len(json.loads(out_file.read_text())["folds"]) == 6
    code, out, _ = affectus("split", "--list", "--json")
    assert "random-5fold" in [row["protocol"] for row in json.loads(out)]


def test_extract_again_finds_all_done(place, affectus):
    arguments = ("extract", place / "manifest.csv", "--store", place / "store")
    code, out, _ = affectus(*arguments, "--set", "n_mels=32", "--set", "f_max=6000.0", "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["planned"], report["done"], report["new"]) == (72, 72, 0)


def test_extract_names_what_failed_and_status_remembers(place, tmp_path, affectus):
    write_audio(tmp_path / "good.wav", np.ones(8_000, np.float32) / 9)
    (tmp_path / "bad.wav").write_text("not audio")
    (tmp_path / "mine.csv").write_text("file,emotion,speaker\ngood.wav,sad,1\nbad.wav,sad,2\n")
    affectus("import", "table", tmp_path / "mine.csv", "-o", tmp_path / "m.csv")
    code, out, err = affectus("extract", tmp_path / "m.csv", "--store", tmp_path / "s")
    assert code == 1
    assert "2 planned = 1 done (1 now) + 1 failed + 0 skipped" in out
    assert "no features: mine/bad.wav: E1002 not audio: a text" in err
    code, out, _ = affectus("status", tmp_path / "s")
    assert code == 1 and "failed: mine/bad.wav: E1002" in out


def test_evaluate_says_what_became_of_calm_and_surprised(place, affectus):
    _, out, _ = affectus("evaluate", place / "runs/tones", "--on", "test")
    scheme = json.loads((place / "runs/tones/evaluation_test.json").read_text())["scheme"]
    assert "calm" in scheme and "surprised" in scheme
    assert f"\nScheme: {scheme}.\n" in out


def test_evaluate_writes_json_and_a_report(place, affectus):
    code, out, _ = affectus("evaluate", place / "runs/tones", "--on", "test", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["n_answered"] == found["n_planned"] == 24
    assert json.loads((place / "runs/tones/evaluation_test.json").read_text()) == found
    assert "<html" in (place / "runs/tones/report_test.html").read_text()
    beside = {path.name for path in (place / "runs/tones/report_test").iterdir()}
    assert {"confusion.png", "dev-uar.svg", "tables.tex", "tables.md"} <= beside


def test_evaluate_prints_the_denominator_and_stamps_adapted_scores(place, affectus):
    _, out, _ = affectus("evaluate", place / "runs/tones", "--on", "test", "--adapted")
    assert "tones, test, ADAPTED: 24 planned = 24 answered + 0 failed, 2 speakers" in out
    assert "Caution: ADAPTED: " in out
    assert (place / "runs/tones/report_test_adapted.html").is_file()


def test_evaluate_errors_hears_every_clip_and_plays_and_copies_none(place, affectus):
    before = sorted((place / "recordings").rglob("*"))
    code, out, _ = affectus("evaluate", place / "runs/tones", "--on", "dev", "--errors")
    assert code == 0 and "The surest mistakes" in out and "Errors by thirds" in out
    assert sorted((place / "recordings").rglob("*")) == before
    text = (place / "runs/tones/predictions_dev.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert all(0.3 < float(row["seconds"]) < 0.7 for row in rows)
    assert {row["right"] for row in rows} <= {"yes", "no"}
    assert all(row["file"].endswith(".wav") for row in rows)


def test_compare_puts_runs_side_by_side(place, affectus, tmp_path):
    one, two = tmp_path / "one.csv", place / "runs/tones"
    one.write_bytes((place / "runs/tones/predictions_test.csv").read_bytes())
    code, out, _ = affectus("compare", one, two, "-o", tmp_path / "page.html")
    assert code == 0
    assert "24 clips that all answered, 2 speakers" in out and "one - tones" in out
    assert "Only 2 speakers: a difference cannot reach p 0.05" in out
    assert "are not shown to differ" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "page/comparison.png").is_file()
    found = json.loads(affectus("compare", one, two, "-o", tmp_path / "p.html", "--json")[1])
    assert found["pairs"][0]["p_holm"] == 1.0


def test_compare_wants_runs_that_were_evaluated(place, affectus, tmp_path):
    (tmp_path / "run").mkdir()
    code, _, err = affectus("compare", tmp_path / "run", place / "runs/tones")
    assert code == 2
    assert "no predictions_test.csv; expected a run that was evaluated. Run: affectus" in err
    code, _, err = affectus("compare", place / "runs/tones", place / "runs/tones")
    assert code == 2 and "a second 'tones'; expected names that differ" in err


def test_predict_answers_in_words_json_and_csv(place, affectus):
    file = place / "recordings/spk0/angry_0.wav"
    model = ("--model", place / "model", "--speech", "off")
    code, out, err = affectus("predict", file, *model)
    assert code == 0 and one_line(err).startswith("Notice: output is a statistical guess")
    assert out.startswith(f"{file}: angry\n")
    _, out, _ = affectus("predict", file, *model, "--json")
    (answer,) = json.loads(out)["predictions"]
    assert answer["emotion"] == "angry" and answer["warnings"][0].startswith("W1202 short")
    _, out, _ = affectus("predict", file, *model, "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert list(row) == ["file", "start", "end", "emotion", "neutral", "happy", "sad", "angry"]
    assert float(row["angry"]) == answer["scores"]["angry"]


def test_predict_takes_folders(place, affectus):
    code, out, _ = affectus(
        "predict", place / "recordings/spk1", "--model", place / "model", "--csv", "--speech", "off"
    )
    assert code == 0
    assert len(out.splitlines()) == 1 + 12


def test_good_files_are_answered_beside_bad_ones(place, tmp_path, affectus):
    good = place / "recordings/spk0/sad_0.wav"
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"")
    gone = tmp_path / "gone.wav"
    code, out, err = affectus(
        "predict", gone, good, bad, good, "--model", place / "model", "--json", "--speech", "off"
    )
    assert code == 1
    found = json.loads(out)
    assert [answer["emotion"] for answer in found["predictions"]] == ["sad", "sad"]
    assert [failure["code"] for failure in found["failed"]] == ["E1000", "E1001"]
    assert "E1000" in err and "E1001" in err


def test_one_bad_file_alone_exits_2_and_one_beyond_a_limit_4(place, tmp_path, affectus):
    (tmp_path / "text.wav").write_text("hello")
    code, _, err = affectus("predict", tmp_path / "text.wav", "--model", place / "model")
    assert code == 2 and "E1002" in one_line(err)
    file = place / "recordings/spk0/sad_0.wav"
    arguments = ("predict", file, "--model", place / "model", "--max-seconds", "0.2")
    code, _, err = affectus(*arguments)
    assert code == 4 and "E1502" in one_line(err)


def test_predict_on_silence_says_no_answer(place, tmp_path, affectus):
    write_audio(tmp_path / "x.wav", np.zeros(16_000, np.float32))
    code, out, _ = affectus("predict", tmp_path / "x.wav", "--model", place / "model")
    assert code == 0
    assert "no answer" in out and "W1304" in out
    _, out, _ = affectus("predict", tmp_path / "x.wav", "--model", place / "model", "--csv")
    assert out.splitlines()[1] == f"{tmp_path}/x.wav,0.0,1.0,,,,,"


def test_a_model_with_one_bit_flipped_is_refused(place, tmp_path, affectus):
    import shutil

    shutil.copytree(place / "model", tmp_path / "m")
    data = bytearray((tmp_path / "m/model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "m/model.onnx").write_bytes(data)
    code, out, err = affectus(
        "predict", place / "recordings/spk0/sad_0.wav", "--model", tmp_path / "m"
    )
    assert (code, out) == (2, "")
    assert "the file has changed since it was exported" in one_line(err)


def test_a_run_is_not_overwritten_by_training_again(place, affectus):
    code, _, err = affectus("train", place / "tones.toml", "--runs", place / "runs")
    assert code == 2 and "there already; expected a new name" in one_line(err)


def test_an_interruption_exits_130_and_says_what_to_do(place, affectus, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("affectus.extraction.extract_features", interrupt)
    code, _, err = affectus("extract", place / "manifest.csv", "--store", place / "store")
    assert code == 130 and "run the command again to go on" in err


@pytest.mark.parametrize(
    ("more", "how"), [([], "again with --resume to go on"), (["--resume"], "again to go on")]
)
def test_an_interrupted_training_says_how_it_goes_on(place, affectus, monkeypatch, more, how):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("affectus.training.train", interrupt)
    code, _, err = affectus("train", place / "tones.toml", "--runs", place / "other", *more)
    assert code == 130 and how in one_line(err)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("predict", "affectus predict: missing argument 'files'. See: affectus predict --help"),
        ("predikt", "affectus: no such command 'predikt'. Did you mean 'predict'? See: affectus "),
        ("predict a.wav --label six", "affectus predict: no such option: --label (Possible option"),
        ("predict a.wav --labels x", "affectus predict: invalid value for '--labels': 'x' is not "),
    ],
)
def test_wrong_arguments_exit_2_with_one_line(affectus, words, line):
    code, _, err = affectus(*words.split())
    assert code == 2 and one_line(err).startswith(line)


def test_without_a_command_the_help_is_shown_and_no_line_of_it_is_cut(affectus, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = affectus()
    assert code == 2 and "Commands:" in out + err
    assert "..." not in (out + err).split("Commands:")[1]


def test_a_run_is_no_model_yet(place, affectus):
    run_folder = place / "runs/tones"
    code, _, err = affectus("predict", "a.wav", "--model", run_folder)
    assert code == 2
    assert one_line(err) == (
        f"ModelError: {run_folder}: a run; expected a model folder. Make one with: affectus export "
        f"{run_folder} -o MODEL\n"
    )


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("folder", "folder: Is a directory; expected a path that can be written. Name another."),
        ("text/split.json", "split.json: Not a directory; expected a path that can be written."),
        ("x" * 300, "File name too long; expected a path that can be written."),
    ],
)
def test_a_path_that_cannot_be_written_is_one_line(place, affectus, tmp_path, out, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("")
    code, _, err = affectus(
        "split", place / "manifest.csv", "--protocol", "sequential-5fold", "-o", tmp_path / out
    )
    assert code == 2 and words in one_line(err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "text"]


@pytest.mark.parametrize("command", [["train", "x.toml"], ["evaluate", "x"], ["demo", "x"]])
def test_without_torch_training_says_what_to_install(command, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from affectus.cli import run; "
        f"sys.exit(run({command}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert "torch is not installed; expected the extra 'train'" in one_line(done.stderr)
    assert "pip install 'affectus[train]'" in done.stderr


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device; expected a place to write"),
        (errno.EACCES, "Permission denied; expected one that you may read, or write to."),
    ],
)
def test_a_full_disk_or_a_denied_path_is_one_line_and_exits_5(
    place, affectus, monkeypatch, number, words
):
    def fail(*arguments):
        raise OSError(number, os.strerror(number), "split.json")

    monkeypatch.setattr("affectus.splits.write_splits", fail)
    code, _, err = affectus("split", place / "manifest.csv", "--protocol", "sequential-6fold")
    assert code == 5
    assert f"split.json: {words}" in one_line(err)


def test_an_error_of_our_own_code_is_not_hidden(monkeypatch, affectus, place):
    # Only user errors become one line: a bug keeps its traceback.
    def broken(*arguments, **settings):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("affectus.predictor.load_model", broken)
    with pytest.raises(ZeroDivisionError):
        affectus("predict", "x.wav", "--model", place / "model")


def test_it_says_which_version_it_is(affectus):
    from affectus import __version__

    assert affectus("--version") == (0, f"affectus {__version__}\n", "")
