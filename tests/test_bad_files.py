"""Bad tables, experiments and models: the library and the command refuse each in the same line."""

import json
import os
import re
import shutil
import time
import tomllib
from pathlib import Path

import pytest
from bad_files import EXPERIMENTS, MANIFESTS, MODELS
from served import write_voice

from affectus.cli import run
from affectus.errors import AffectusError
from affectus.experiment import read_experiment
from affectus.manifest import Manifest
from affectus.predictor import Predictor

EXPECTED = tomllib.loads(Path(__file__).with_name("bad_files.toml").read_text("utf-8"))
CASES = [*MANIFESTS, *EXPERIMENTS, *MODELS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand in an empty folder, where a trap that is sprung would leave a folder of its own."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "trapped").exists(), "something was unpickled"


def said_by(call):
    """What the library says: 'ok', or the line of its error."""
    try:
        call()
    except AffectusError as error:
        return str(error)
    return "ok"


def check(case, library, command, capsys):
    """The library says what is expected, and the command the same in one line."""
    began = time.process_time()
    said = said_by(library)
    assert time.process_time() - began <= 2
    expected = EXPECTED[case]
    assert said == "ok" if expected == "ok" else expected in said, said
    code = run(command)
    shown = capsys.readouterr().err
    if said == "ok":
        assert not re.search("(Config|Manifest|Model|Label)Error|Traceback", shown)
    else:
        assert (code, shown.count("\n")) == (2, 1)
        assert shown == said + "\n"
    return code


def test_there_are_as_many_cases_as_expectations():
    assert list(EXPECTED) == CASES
    assert len(CASES) >= 140


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_bad_manifest(case, here, capsys):
    Path("clips.csv").write_bytes(MANIFESTS[case]())
    check(case, lambda: Manifest.read("clips.csv"), ["describe", "clips.csv"], capsys)


@pytest.mark.parametrize("case", EXPERIMENTS)
def test_a_bad_experiment(case, here, capsys):
    Path("run.toml").write_bytes(EXPERIMENTS[case]())
    check(case, lambda: read_experiment("run.toml"), ["train", "run.toml"], capsys)
    assert [path.name for path in here.iterdir()] == ["run.toml"]


@pytest.mark.parametrize("case", MODELS)
def test_a_bad_model(case, here, small_model, capsys):
    if case == "network_unreadable" and os.getuid() == 0:
        pytest.skip("root may read everything")
    shutil.copytree(small_model, "m")
    Path("secret").write_bytes(b"\0\0\x80?")
    MODELS[case](here / "m")
    write_voice("a.wav")
    command = ["predict", "a.wav", "--model", "./m", "--json"]
    code = check(case, lambda: Predictor("./m").predict("a.wav"), command, capsys)
    assert (code == 0) == (EXPECTED[case] == "ok")


def test_what_is_taken_is_right(here, small_model, capsys):
    # Else 'ok' would be said of a file that is read as something else.
    Path("clips.csv").write_bytes(MANIFESTS["manifest_formula"]())
    Manifest.read("clips.csv").write("again.csv")
    assert "=cmd()" in Path("again.csv").read_text()
    assert json.loads((small_model / "model.json").read_bytes())["schema"] == 1
