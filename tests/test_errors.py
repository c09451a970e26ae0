"""Errors: one line each, made for the user, with the exit code of the command."""

import copy
import inspect

import pytest

from affectus import errors
from affectus.errors import AffectusError, DiskError, LimitError, MediaError, escape, nearest

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == "affectus.errors"
]


def test_every_error_stands_in_the_tree_of_the_docstring():
    drawn = {word for word in errors.__doc__.split() if word.endswith("Error")}
    assert drawn == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_ours_and_described(kind):
    assert issubclass(kind, AffectusError)
    assert kind.__doc__.splitlines()[0].endswith(".")


# Source: design, section 3: 2 bad input, 3 too many failures, 4 a limit, 5 disk.
@pytest.mark.parametrize("kind", CLASSES)
def test_exit_codes_are_those_of_the_design(kind):
    special = {"ExtractionError": 3, "LimitError": 4, "DiskError": 5}
    assert kind.exit_code == special.get(kind.__name__, 2)


def test_a_caller_can_catch_the_kind_and_the_special_case():
    assert issubclass(LimitError, MediaError)
    assert issubclass(DiskError, errors.StoreError)


def test_a_message_names_its_class_and_can_be_had_without():
    error = errors.CorpusError("no corpus 'crema'; known corpora: cremad.")
    assert str(error) == "CorpusError: no corpus 'crema'; known corpora: cremad."
    assert error.message == "no corpus 'crema'; known corpora: cremad."


def test_a_media_error_carries_code_name_and_text():
    error = MediaError("E1002", "talk.wav", "not audio.")
    assert str(error) == "MediaError E1002 'talk.wav': not audio."
    assert (error.code, error.name, error.text) == ("E1002", "talk.wav", "not audio.")
    assert error.message == "E1002 'talk.wav': not audio."


@pytest.mark.parametrize("cell", ["x" * 10_000_000, "\0" * 10_000_000])
def test_of_a_message_with_megabytes_both_ends_are_shown(cell):
    # Source: the bad-input matrix: values are clipped, where and what to do stay.
    error = errors.ManifestError(f"a.csv:3: {cell}; expected an emotion. Correct the line.")
    assert str(error).startswith("ManifestError: a.csv:3: ")
    assert str(error).endswith("; expected an emotion. Correct the line.")
    assert len(str(error)) < 1_100
    assert str(error).isprintable()


def test_a_media_error_comes_back_whole_from_a_worker_process():
    # Workers send errors by the copy protocol, which calls the class with `args`.
    error = copy.copy(LimitError("E1502", "a.flac", "too long"))
    assert isinstance(error, LimitError)
    assert (error.code, error.name, error.text) == ("E1502", "a.flac", "too long")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("exe\u202egpj.wav", r"exe\u202egpj.wav"),  # right-to-left override
        ("line\u2028end", r"line\u2028end"),
        ("nul\0", r"nul\x00"),
        ("latin-1\udce9", r"latin-1\udce9"),  # a name that is not UTF-8, as Python holds it
    ],
)
def test_what_could_forge_a_line_is_written_out(raw, shown):
    assert escape(raw) == shown
    assert str(MediaError("E1000", raw, raw)) == f"MediaError E1000 '{shown}': {shown}"
    assert str(errors.CorpusError(raw)) == f"CorpusError: {shown}"


@pytest.mark.parametrize("name", ["żółć.wav", "感情.wav", "عاطفة.wav", "cafe\u0301.wav", "😀.wav"])
def test_letters_of_any_script_stay_as_they_are(name):
    assert escape(name) == name
    assert name in str(MediaError("E1000", name, "no such file"))


def test_an_odd_character_does_not_spoil_the_letters_around_it():
    assert escape("żółć\n感情") == r"żółć\n感情"


def test_nearest_proposes_what_was_probably_meant():
    known = ("cremad", "emodb", "ravdess")
    assert nearest("crema", known) == " Did you mean 'cremad'?"
    assert nearest("RAVDES", known) == " Did you mean 'ravdess'?"


def test_nearest_proposes_nothing_for_what_is_nothing_like_it():
    assert nearest("zzz", ("cremad", "emodb")) == ""
    assert nearest("x", ()) == ""
