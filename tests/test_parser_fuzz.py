"""Tables, experiments and model folders of any content: read, or refused in one line.

Damaged at random for a moment here, guided and for minutes in `make torture`; and content of the
right form with anything in it, by hypothesis.
"""

import csv
import io
import json
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent))

from affectus.errors import AffectusError
from affectus.experiment import make_experiment, parse_changes, read_experiment, write_experiment
from affectus.manifest import COLUMNS
from torture.parsers import FACTS, PARSERS, refused_well, try_at_random


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that examples are written into, one after another."""
    return tmp_path_factory.mktemp("parsed")


@pytest.mark.parametrize("name", PARSERS)
def test_a_file_damaged_at_random_is_read_or_refused(name, tmp_path):
    file, read, make = PARSERS[name]
    assert refused_well(tmp_path / file, read, make()) == "", "undamaged, it is read"
    try_at_random(name, tmp_path / file, at_least=200)


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("text", ["[", '{"a":', "a = [", '"', "\ufeff", "\0", "=cmd()", "9" * 9])
def test_a_file_of_one_thing_over_and_over_is_read_or_refused(name, text, tmp_path):
    file, read, _ = PARSERS[name]
    for end in ("", "\n", ",sad"):
        for start in ("", "a=", "a.b="):
            refused_well(tmp_path / file, read, (start + text * 50_000 + end).encode())


@pytest.mark.parametrize(
    "careless", [lambda path: int(path.read_bytes()), lambda path: tomllib.loads("[" * 10_000)]
)
def test_a_reader_that_raises_something_else_is_found_out(careless, monkeypatch, tmp_path):
    monkeypatch.setitem(PARSERS, "careless", ("a.txt", careless, lambda: b"12"))
    with pytest.raises((ValueError, RecursionError)) as found:
        try_at_random("careless", tmp_path / "a.txt", at_least=1_000)
    assert found.value.__notes__[0].startswith("careless, from the bytes b'")


# --- the right form, with anything in it

_CELLS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "sad", "-0", "1e9", "nan", "inf", "0.5", "2", "sad:1", "voice+face", "'"]),
)


@given(st.lists(st.tuples(*[_CELLS] * len(COLUMNS)), max_size=4))
@example([("a.wav", "", "9" * 5_000, "own/a", *[""] * 17)])
@example([("a.wav", "", "", "own/a", "", "-0", "2", *[""] * 14)])
def test_a_manifest_of_any_cells_comes_back_the_same_or_is_refused(place, rows):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    _, read, _ = PARSERS["manifest"]
    refused_well(place / "clips.csv", read, text.getvalue().encode("utf-8", "surrogatepass"))


_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(2**62, 2**70), st.floats(),
        st.text(max_size=5), st.sampled_from(["adamw", "crnn", "eight", "bf16", "../x", "."]),
        st.dates(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip


def _paths(content, before=()):
    for key, value in content.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from _paths(value, (*before, key))


def _changed(content, changes):
    content = json.loads(json.dumps(content))
    for path, value in changes:
        inner = content
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[path[-1]] = value
    return content


_EXPERIMENT = tomllib.loads(PARSERS["experiment"][2]().decode())


@given(st.lists(st.tuples(st.sampled_from(list(_paths(_EXPERIMENT))), _VALUES), max_size=3))
def test_an_experiment_with_any_value_comes_back_the_same_or_is_refused(place, changes):
    try:
        made = make_experiment(_changed(_EXPERIMENT, changes))
    except AffectusError as error:
        assert str(error).isprintable()
        return
    write_experiment(made, place / "run.toml")
    assert read_experiment(place / "run.toml") == made


@given(st.lists(st.text(max_size=30) | st.just("training.epochs=5"), max_size=3))
def test_changes_of_any_text_are_taken_or_refused(changes):
    try:
        assert isinstance(parse_changes(changes), dict)
    except AffectusError as error:
        assert str(error).isprintable()


@given(st.lists(st.tuples(st.sampled_from(list(_paths(FACTS))), _VALUES), min_size=1, max_size=3))
def test_a_model_with_any_value_is_read_or_refused(place, changes):
    _, read, _ = PARSERS["model"]
    content = json.dumps(_changed(FACTS, changes), default=str).encode()
    refused_well(place / "model.json", read, content)
