import hashlib
import json

import pytest

from affectus.errors import ModelError
from affectus.model_folder import read_model

FILES = {"model.onnx": b"network", "weights.safetensors": b"weights", "MODEL_CARD.md": b"card"}
FACTS = {
    "schema": 1,
    "name": "m",
    "labels": ["neutral", "sad"],
    "scheme": "two",
    "extractor": {"name": "logmel", "version": 1},
    "temperature": 1.0,
    "evaluation": {},
    "corpora": [],
    "licences": [],
    "provenance": {},
    "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()},
}


@pytest.fixture
def folder(tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    write(tmp_path, FACTS)
    return tmp_path


def write(folder, facts):
    (folder / "model.json").write_text(json.dumps(facts))


def test_a_sound_folder_is_read(folder):
    facts, network = read_model(folder)
    assert facts.labels == ("neutral", "sad")
    assert network == b"network"


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_flipped_bit_in_any_file_is_refused(folder, name):
    data = bytearray(FILES[name])
    data[3] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name}: SHA-256 .* the file has changed since"):
        read_model(folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: No such file"):
        read_model(folder)


def test_a_folder_that_is_no_model_says_how_to_make_one(tmp_path):
    with pytest.raises(ModelError, match=r"no model\.json in it; .* affectus export"):
        read_model(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        read_model(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2; expected 1"),
        ({"labels": []}, "length >= 2"),
        ({"labels": ["sad", 7]}, "Expected `str`, got `int`"),
        ({"temperature": 0}, "Expected `float` > 0"),
        ({"surprise": 1}, "unknown field `surprise`"),
    ],
)
def test_a_model_json_that_does_not_fit_is_refused(folder, change, message):
    write(folder, {**FACTS, **change})
    with pytest.raises(ModelError, match=message):
        read_model(folder)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b"null"]
)
def test_a_damaged_model_json_is_refused_in_one_line(folder, text):
    (folder / "model.json").write_bytes(text)
    with pytest.raises(ModelError) as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)


def test_a_huge_model_json_is_not_parsed(folder):
    (folder / "model.json").write_bytes(b" " * 1_000_001)
    with pytest.raises(ModelError, match=r"1,000,001 bytes; expected at most 1,000,000"):
        read_model(folder)


def test_a_hash_that_is_missing_is_not_a_pass(folder):
    write(folder, {**FACTS, "sha256": {}})
    with pytest.raises(ModelError, match=r"expected one in model\.json"):
        read_model(folder)
