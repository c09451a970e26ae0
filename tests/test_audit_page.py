"""An audit as a page and on a terminal: what was found is there, and nothing else gets in."""

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from affectus.audit import (
    AuditReport,
    Confound,
    CorpusCount,
    Distribution,
    FeatureCount,
    Finding,
    GroupCount,
    print_report,
    render_audit,
    write_audit,
)

EVIL = "<script>alert(1)</script>"


def a_report():
    quantiles = (0.5, 0.9, 1.2, 1.5, 2.0, 2.8, 9.0)
    edges, counts = (0.5, 1.5, 2.5, 3.5), (4, 10, 1)
    return AuditReport(
        counts=(
            CorpusCount("own", 15, None, 2, 22.5, {"angry": 10, "sad": 5}),
            CorpusCount("ravdess", 1_200, 1_440, 20, 4_416.0, {"angry": 160, "calm": 1_040}, 240),
        ),
        findings=(
            Finding("silent", "error", ("own/1", EVIL), f"2 recordings are silent: {EVIL}",
                    "Remove them.", {"own/1": "silent", EVIL: "silent"}),
            Finding("clipped", "warning", ("own/2",), "1 recordings are clipped: own/2", "Use it."),
            Finding("balance", "note", (), "own: 10 clips are angry, 5 are sad", "Read UAR."),
        ),
        groups=(
            GroupCount("own", "emotion", "angry", 10, None, 0, 0, 15.0),
            GroupCount("own", "speaker", EVIL, 15, None, 0, 0, 22.5),
            GroupCount("ravdess", "emotion", "angry", 160, 192, 32, 0, 600.0),
            GroupCount("ravdess", "speaker", "ravdess:01", 59, 60, 1, 0, 200.0),
        ),
        distributions=(
            Distribution("own", "length", "", 15, quantiles, edges, counts),
            Distribution("own", "length", "angry", 10, quantiles),
            Distribution("own", "length", EVIL, 5, quantiles),
            Distribution("own", "loudness", "", 15, tuple(-10 * q for q in quantiles[::-1]),
                         (-90.0, -50.0, -28.0, -5.0), counts),
        ),
        confounds=(
            Confound("own", "length", 0.41, 0.35, 0.47, 0.25, 0.005, "sad", 0.5, 12),
            Confound("", "corpus", 0.3, None, None, 0.14, 0.005, "calm", 0.8, 22),
        ),
        features=(FeatureCount("logmel", "own", 15, 12, 2, 1, (64,), (30, 180)),),
    )  # fmt: skip


PAGE = render_audit(a_report(), "mine & yours.csv")


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


@pytest.mark.parametrize(
    "words",
    [
        "mine &amp; yours.csv",
        "1 error",
        "1 warning",
        "1 note",
        "1 recordings are clipped: own/2. Use it.",
        "All 2 clips own/1",
        "1,215",  # clips
        "1,200 of 1,440 published",
        "1.2 h",  # (22.5 + 4,416) / 3,600
        "160 of 192",
        "length sad by 0.50 0.41 0.25",
        "All corpora together",
        "median 1.5 s, from 0.5 to 9.0",
        "median −15.0 dB, from −90.0 to −5.0",
        "logmel own 12 of 15 2 1 64 30 to 180",
        "ravdess:01 59 of 60 3.3",
    ],
)
def test_the_page_says_what_was_found(words):
    assert words in text_of(PAGE)


def test_nothing_comes_from_elsewhere_and_text_stays_text():
    assert EVIL not in PAGE
    assert "&lt;script&gt;" in PAGE
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link", PAGE)
    assert "default-src 'none'" in PAGE
    assert "prefers-color-scheme: dark" in PAGE


def test_the_page_is_well_formed():
    body = PAGE[PAGE.index("<main>") : PAGE.index("</body>")]
    for void in ("<br>",):
        body = body.replace(void, "")
    root = ET.fromstring(body)
    pictures = root.findall(".//figure/svg")
    assert len(pictures) == 2
    # Bars stand for clips: the heights are in proportion to the counts.
    heights = [float(bar.get("height")) for bar in pictures[0].findall("rect")]
    assert [h / max(heights) for h in heights] == pytest.approx([0.4, 1.0, 0.1], abs=0.01)
    for value in ("x", "x1", "x2", "cx"):
        inside = [float(e.get(value)) for e in pictures[0].iter() if e.get(value)]
        assert all(0 <= x <= 320 for x in inside)


def test_an_empty_report_is_a_page_too():
    page = render_audit(AuditReport((), ()), "nothing.csv")
    assert "nothing was found" in page


def test_the_same_report_gives_the_same_bytes(tmp_path):
    write_audit(a_report(), tmp_path / "a.html", "mine & yours.csv")
    assert (tmp_path / "a.html").read_text("utf-8") == PAGE


def test_a_full_report_survives_json():
    report = a_report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=AuditReport) == report


# --- at the terminal ---


def test_the_terminal_shows_counts_traits_and_findings(capsys):
    print_report(a_report())
    out = re.sub(r" +", " ", capsys.readouterr().out)
    assert " ravdess 1,200 1,440 240 0 20 73.6" in out
    assert " ravdess 160 of 192 1,040 –" in out
    assert " own 0.41 (0.25) –" in out
    assert " logmel own 15 12 2 1 64 30 – 180" in out
    assert "\nERROR 2 recordings are silent: " in out
    assert "\nWARNING 1 recordings are clipped: own/2. Use it.\n" in out
    assert out.endswith("\n1 error, 1 warning, 1 note. 2 clips are better left out.\n")


def test_nothing_found_is_said(capsys):
    print_report(AuditReport((), ()))
    assert capsys.readouterr().out.endswith("Nothing was found. No clip need be left out.\n")


def test_at_a_terminal_long_findings_are_folded_below_their_text(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    report = AuditReport((), (Finding("c", "error", (), "word " * 30, "Mend it."),))
    print_report(report)
    lines = [line for line in capsys.readouterr().out.splitlines() if "word" in line]
    assert len(lines) > 2
    assert lines[0].startswith("\033[1;31mERROR    \033[0mword word")
    assert all(line.startswith(" " * 9 + "word") for line in lines[1:])
    assert all(len(line) <= 60 for line in lines[1:])
