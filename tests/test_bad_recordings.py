"""Bad recordings through every door: the same code in each, one line, nothing left behind."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from bad_recordings import CASES
from served import Served, error_code

from affectus.errors import MediaError
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import read_audio
from affectus.store import FeatureStore

EXPECTED = tomllib.loads(Path(__file__).with_name("bad_recordings.toml").read_text("utf-8"))
REFUSED = {name for name, expected in EXPECTED.items() if not expected.startswith("ok")}


def file_name(case):
    """The name that a case is sent under; an ending only where the case is about it."""
    return case + (".wav" if case.endswith("_named_wav") else "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every case as a file."""
    folder = tmp_path_factory.mktemp("bad")
    for case, make in CASES.items():
        (folder / file_name(case)).write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def model(tones_folder):
    """A model folder, of a minute network that knows tones."""
    return tones_folder / "model"


def test_there_are_as_many_cases_as_expectations():
    assert list(CASES) == list(EXPECTED)
    assert len(CASES) >= 150


def test_every_expectation_is_of_codes_that_are_explained():
    from affectus import media

    for expected in EXPECTED.values():
        code, *warnings = expected.split()
        assert code == "ok" or re.fullmatch(r"E1\d{3}", code)
        assert code == "ok" or not warnings
        for known in (code, *warnings):
            assert known == "ok" or known in media.__doc__


@pytest.mark.parametrize("case", CASES)
def test_the_gate_says_what_is_expected(folder, case):
    began = time.process_time()  # of this process: another's work does not count
    try:
        found = read_audio(folder / file_name(case))
        said = " ".join(["ok", *(warning.code for warning in found.warnings)])
    except MediaError as error:
        said = error.code
        assert str(error).isprintable()
        assert "expected" in error.text.lower() or "limit" in error.text, "it says what is expected"
    assert said == EXPECTED[case]
    assert time.process_time() - began <= (3 if "bomb" in case else 2)


# Runs a command and prints its exit code and the peak memory of its children in bytes.
COMMAND = """
import json, resource, sys
from affectus.cli import run
code = run(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([code, peak]), file=sys.stderr)
"""


def affectus(*arguments, cwd):
    """Run a command in a process of its own: (exit code, children's peak, output, errors)."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        check=True, capture_output=True, text=True, cwd=cwd,
        env={**os.environ, "TMPDIR": str(cwd)},
    )  # fmt: skip
    *said, last = done.stderr.splitlines()
    code, children = json.loads(last)
    return code, children, done.stdout, said


def test_extraction_lists_each_bad_recording_with_its_code(folder, tmp_path):
    clips = [
        Clip(clip_id=case, corpus="bad", file=str(folder / file_name(case)), speaker=f"s{n}",
             emotion="sad")
        for n, case in enumerate(CASES)
    ]  # fmt: skip
    with_hashes(Manifest(clips)).write(tmp_path / "bad.csv")
    (tmp_path / "empty").mkdir()
    code, children, _, said = affectus(
        "extract", tmp_path / "bad.csv", "--store", tmp_path / "store", "--max-error-rate", "1",
        cwd=tmp_path / "empty",
    )  # fmt: skip
    assert code == 1
    assert children <= 400 * 2**20
    assert not any("Traceback" in line for line in said)
    with FeatureStore(tmp_path / "store") as store:
        failed = {row.clip_id: row.code for row in store.ledger("logmel") if row.code}
    cut_off = {name for name, expected in EXPECTED.items() if "W1101" in expected}
    assert failed == {name: EXPECTED[name] for name in REFUSED} | dict.fromkeys(cut_off, "E1101")
    assert list((tmp_path / "empty").iterdir()) == []


def test_predict_names_each_bad_recording_with_its_code(folder, model, tmp_path):
    files = [folder / file_name(case) for case in CASES]
    code, _, output, said = affectus("predict", *files, "--model", model, "--json", cwd=tmp_path)
    assert code == 1
    answer = json.loads(output)
    failed = {Path(one["file"]).stem: one["code"] for one in answer["failed"]}
    assert failed == {name: EXPECTED[name] for name in REFUSED}
    told = {
        Path(one["file"]).stem: {warning.split()[0] for warning in one["warnings"]}
        for one in answer["predictions"]
    }
    for case in CASES.keys() - REFUSED:
        assert set(EXPECTED[case].split()[1:]) <= told[case], case
    assert not any("Traceback" in line for line in said)
    assert list(tmp_path.iterdir()) == []


STATUS = {  # by what is wrong: not a recording, one too large, or one that cannot be used
    "E1002": 415, "E1109": 415, "E1501": 413, "E1502": 413, "E1605": 413,
}  # fmt: skip


def test_the_service_refuses_each_bad_recording_with_its_code(folder, model, tmp_path):
    (tmp_path / "empty").mkdir()
    served = Served(
        model, options=["--workers", "1"], environment={"TMPDIR": str(tmp_path / "empty")}
    )
    said, told = {}, {}
    try:
        for case in CASES:
            data = (folder / file_name(case)).read_bytes()
            reply = served.post(data, f"/v1/predict?name={file_name(case)}")
            if reply[0] == 200:
                (answer,) = json.loads(reply[2])["predictions"]
                said[case] = (200, "ok")
                told[case] = {warning.split()[0] for warning in answer["warnings"]}
            else:
                said[case] = (reply[0], error_code(reply))
    finally:
        assert served.stop() == 0
    assert said == {
        name: (STATUS.get(code, 400), code) if name in REFUSED else (200, "ok")
        for name, expected in EXPECTED.items()
        for code in [expected.split()[0]]
    }
    for case, warnings in told.items():
        assert set(EXPECTED[case].split()[1:]) <= warnings, case
    assert list((tmp_path / "empty").iterdir()) == []
    assert "ended by an error" not in served.log
