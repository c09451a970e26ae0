"""A page holds itself together, and nothing from outside gets in but as text."""

import pytest

from affectus.errors import DiskError
from affectus.page import (
    render_bar,
    render_page,
    render_percent,
    render_section,
    render_table,
    render_text,
    write_page,
)


def test_a_page_needs_nothing_but_itself():
    page = render_page("A & B", render_section("Part", "<p>text</p>"), ".own { color: red; }")
    assert "<title>A &amp; B</title>" in page
    assert "<h2>Part</h2>\n<p>text</p>" in page
    assert ".own { color: red; }" in page
    assert "default-src 'none'" in page  # no script, no network, also where something got in
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<script>", "&lt;script&gt;"),
        ('" onload="', "&quot; onload=&quot;"),
        ("line\nbreak", "line\\nbreak"),
        ("\u202eright to left", "\\u202eright to left"),  # would show another name than it is
        ("Jürgen 日本", "Jürgen 日本"),
        (12, "12"),
    ],
)
def test_text_is_only_ever_text(value, expected):
    assert render_text(value) == expected


def test_shares_are_percentages_and_what_is_not_known_a_dash():
    assert render_percent(0.5789) == "57.9\u202f%"
    assert render_percent(1.0, 0) == "100\u202f%"
    assert render_percent(None) == render_bar(None) == "–"
    assert "--share:0.250" in render_bar(0.25)


def test_the_first_cell_of_a_row_is_its_heading():
    table = render_table("kind", "What it is", ("name", "n"), [("one", "1")])
    assert '<table class="kind">\n<caption>What it is</caption>' in table
    assert '<tr><th scope="row">one</th><td>1</td></tr>' in table


def test_a_page_is_written_whole_or_what_was_there_stays(tmp_path):
    path = tmp_path / "new folder" / "page.html"
    write_page("first", path)
    assert path.read_text() == "first"
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    (tmp_path / "a file").write_text("")
    with pytest.raises(DiskError, match=r"expected a file to write\. Check space and rights\."):
        write_page("second", tmp_path / "a file" / "page.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(DiskError, match=r"folder\.html"):
        write_page("second", tmp_path / "folder.html")
    assert not list(tmp_path.glob(".*"))
