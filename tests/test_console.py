import json

import pytest

from affectus import console
from affectus.metrics import Interval


def test_without_a_terminal_progress_is_a_line_each_ten_seconds(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 9.0, 11.0, 12.0, 25.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("extracting") as advance:
        for finished in (10, 90, 110, 120, 200):
            advance(finished, 200, "2 failed")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "extracting: 110 of 200, 10.0/s, 9 s left, 2 failed",
        "extracting: 200 of 200, 8.0/s, 0 s left, 2 failed",
    ]


def test_on_a_terminal_progress_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with console.progress("extracting") as advance:
        advance(50, 200, "2 failed")
        advance(200, 200, "2 failed")
    assert "200/200" in capsys.readouterr().err


def test_json_is_printed_whole(capsys):
    console.print_json({"uar": Interval(0.5, None, None), "names": ("a",), "nan": float("nan")})
    assert json.loads(capsys.readouterr().out) == {
        "uar": [0.5, None, None],
        "names": ["a"],
        "nan": None,
    }


@pytest.mark.parametrize(
    ("value", "shown"), [(0.12345, "0.123"), (1200, "1,200"), (None, "–"), ("[b]x", "[b]x")]
)
def test_cells_are_shown_as_a_person_reads_them(value, shown, capsys):
    console.print_table(("name", "value"), [("x", value)])
    assert shown in capsys.readouterr().out


def test_messages_go_to_standard_error(capsys):
    console.say("hello")
    assert capsys.readouterr() == ("", "hello\n")
