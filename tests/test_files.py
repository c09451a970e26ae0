"""A file is written whole, or what stood there before stays."""

import pytest

from affectus.files import decode_json, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_not_there_until_it_is_complete(tmp_path):
    path = tmp_path / "new.csv"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["new.csv"]


@pytest.mark.parametrize("error", [ValueError("bad row"), KeyboardInterrupt()])
def test_what_stood_there_stays_when_the_block_raises(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert names(tmp_path) == ["table.csv"]


def test_a_block_that_raises_before_it_writes_is_told_by_its_own_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to write"), replacing(tmp_path / "x.csv"):
        raise ValueError("nothing to write")


def test_a_rename_that_fails_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "folder") as temporary:
        temporary.write_text("text")
    assert names(tmp_path) == ["folder"]


def test_the_temporary_file_lies_in_the_same_folder_and_is_hidden(tmp_path):
    with replacing(tmp_path / "a.json") as temporary:
        temporary.touch()
        assert names(tmp_path) == [".a.json.tmp"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"1", '"\ud800"', b"NaN"])
def test_json_that_cannot_be_had_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"\w"):
        decode_json(data, dict[str, int])
    assert decode_json(b'{"a": 1}', dict[str, int]) == {"a": 1}


def test_an_error_about_the_temporary_name_is_told_of_the_file(tmp_path):
    path = tmp_path / "gone" / "table.csv"
    with pytest.raises(FileNotFoundError) as raised, replacing(path) as temporary:
        temporary.write_text("x")
    assert raised.value.filename == str(path)
