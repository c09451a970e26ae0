"""The page: what it says is what the evaluation holds, and nothing in it acts or calls home."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from affectus.errors import DiskError, EvaluationError
from affectus.evaluation import Evaluation, Predictions, evaluate_predictions
from affectus.manifest import Clip, Manifest
from affectus.report import render_report, write_report

LABELS = ("neutral", "happy", "sad", "angry")
HOSTILE = "<img src=x onerror=alert(1)>\"'&</title><script>alert(2)</script>"
_VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """What a browser would make of the page: tags with attributes, texts, tables by class."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.tables: dict[str, list[list[tuple[str, str, str]]]] = {}  # rows of (tag, scope, text)
        self.open: list[str] = []
        self.title = ""
        self._rows: list[list[tuple[str, str, str]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows = self.tables[str(given["class"])] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append((tag, given.get("scope") or "", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            return
        if self.open[-1:] == ["title"]:
            self.title += data
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            tag, scope, text = self._rows[-1][-1]
            self._rows[-1][-1] = (tag, scope, text + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def make_evaluation(
    *,
    leaky: bool = False,
    speakers: bool = True,
    labels: tuple[str, ...] = LABELS,
    used: int = 4,
    side: str = "test",
    n_planned: int = 130,
    cautions: tuple[str, ...] = (),
    said: dict[str, Any] | None = None,
) -> Evaluation:
    """120 clips of 6 speakers, of the first `used` labels; about half of the answers are right."""
    rng = np.random.default_rng(7)
    truth = np.arange(120) % used
    scores = rng.dirichlet(np.ones(len(labels)), 120)
    scores[np.arange(60), truth[:60]] += 2
    scores /= scores.sum(1, keepdims=True)
    names = [f"c:{i % 6}" if speakers else "" for i in range(120)]
    clips = [
        Clip(f"c:{i}", "c", "a.wav", names[i], sex=("female", "male")[i % 2]) for i in range(120)
    ]
    ids = tuple(clip.clip_id for clip in clips)
    protocol = {"name": "five", "version": 3, "text": "in words", "leaky": leaky, "folds": 5}
    return evaluate_predictions(
        Predictions(labels, ids, tuple(names), ("fold-1",) * 120, truth, scores),
        Manifest(tuple(clips)),
        name="try",
        side=side,
        scheme="four labels",
        protocol=protocol,
        n_planned=n_planned,
        cautions=cautions,
        provenance={"manifest_sha256": "0123456789ab" * 5 + "beef", "seed": 0, **(said or {})},
    )


def make_history(epochs: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "fold": fold,
            "epoch": epoch,
            "loss": 2 / epoch,
            "dev_uar": 0.3 + epoch / 100 - 0.02 * (epoch > 5),
            "best": epoch <= 5,
        }
        for fold, n in epochs.items()
        for epoch in range(1, n + 1)
    ]


def shown_confusion(page: Page) -> tuple[list[str], list[str], list[list[int]]]:
    """Read back (column names, row names, counts) from the table as it is printed."""
    (_, corner), columns, *rows = page.tables["confusion"]
    assert corner[2] == "prediction"
    assert all(cell[:2] == ("th", "col") for cell in columns)
    assert all(row[0][:2] == ("th", "row") for row in rows)
    counts = [[int(text.split()[0]) for _, _, text in row[1:]] for row in rows]
    return [cell[2] for cell in columns], [row[0][2] for row in rows], counts


def test_confusion_table_names_and_counts_are_the_evaluations() -> None:
    found = make_evaluation()
    columns, rows, counts = shown_confusion(Page(render_report(found)))
    assert columns == rows == list(LABELS)
    assert counts == found.confusion
    assert sum(map(sum, counts)) == 120


def test_confusion_rows_are_truth_and_columns_prediction() -> None:
    # A worked example, set by hand: three sad clips, all said to be happy.
    confusion = [[5, 0, 0, 0], [0, 4, 0, 0], [0, 3, 0, 0], [0, 0, 0, 2]]
    found = msgspec.structs.replace(make_evaluation(), confusion=confusion)
    columns, rows, counts = shown_confusion(Page(render_report(found)))
    assert counts[rows.index("sad")][columns.index("happy")] == 3
    assert counts[rows.index("happy")][columns.index("sad")] == 0


def test_confusion_percent_is_the_share_of_the_row() -> None:
    confusion = [[1, 3, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 0]]
    found = msgspec.structs.replace(make_evaluation(), confusion=confusion)
    _, _, *rows = Page(render_report(found)).tables["confusion"]
    assert [text.split() for _, _, text in rows[0][1:3]] == [["1", "25", "%"], ["3", "75", "%"]]
    assert [text for _, _, text in rows[3][1:]] == ["0 –"] * 4


def test_classes_are_the_evaluations() -> None:
    found = make_evaluation()
    _, *rows = Page(render_report(found)).tables["classes"]
    for score, row in zip(found.classes, rows, strict=True):
        shown = [" ".join(text.split()) for _, _, text in row]
        values = [f"{100 * (v or 0):.1f} %" for v in (score.recall, score.precision, score.f1)]
        assert shown == [score.label, str(score.n), *values]


def test_page_says_score_interval_chance_and_denominator() -> None:
    found = make_evaluation()
    text = Page(render_report(found)).text
    assert found.uar.low is not None and found.uar.high is not None
    assert f"{100 * found.uar.value:.1f} %" in text
    assert f"{100 * found.uar.low:.1f}–{100 * found.uar.high:.1f} %" in text
    assert f"{100 * found.war.value:.1f} %" in text
    assert f"{100 * found.macro_f1.value:.1f} %" in text
    assert "chance is 25.0 %" in text
    assert "120 of 130" in text
    assert "five , version 3, folds 5: in words." in text


def test_cautions_are_printed() -> None:
    found = make_evaluation(cautions=("Only 27 of 1,440 clips are there.",))
    text = Page(render_report(found)).text
    assert "Only 27 of 1,440 clips are there." in text
    assert "10 of 130 clips got no answer." in text
    assert all(caution in text for caution in found.cautions)


def test_page_without_cautions_has_no_box() -> None:
    found = msgspec.structs.replace(make_evaluation(), cautions=[])
    assert "Before comparing" not in render_report(found)


def test_leaky_protocol_has_a_banner_and_a_title() -> None:
    page = Page(render_report(make_evaluation(leaky=True)))
    assert page.title.startswith("LEAKY: try")
    assert page.text.index("LEAKY protocol.") < page.text.index("Evaluation on test")
    assert "compared with speaker-dependent scores" in page.text
    assert "and with nothing else" in page.text


def test_sound_protocol_has_none() -> None:
    page = Page(render_report(make_evaluation()))
    assert "LEAKY" not in page.text
    assert "compared with speaker-independent scores" in page.text


def test_dev_scores_are_marked() -> None:
    page = Page(render_report(make_evaluation(side="dev")))
    assert page.title.endswith("on dev")
    assert "compare it with dev scores alone" in page.text


def test_unknown_speakers_have_no_interval_and_no_claim() -> None:
    found = make_evaluation(speakers=False)
    assert found.n_speakers == 0
    page = Page(render_report(found))
    assert "none can be given" in page.text
    assert "cannot be called speaker-independent" in page.text
    assert "with speaker-independent scores" not in page.text
    assert [row[1][2] for row in page.tables["groups by"][1:]] == ["60–", "60–"]  # of unknown many


@pytest.mark.parametrize("speakers", [True, False])
@pytest.mark.parametrize("used", [3, 4])
def test_what_is_not_known_is_a_dash_and_never_nan(speakers: bool, used: int) -> None:
    found = make_evaluation(
        speakers=speakers, used=used, said={"x": float("nan"), "y": None, "z": []}
    )
    page = render_report(found, make_history({"fold-1": 3}))
    assert not re.search(r"\b(nan|none|inf)\b", Page(page).text.replace("none can be", ""), re.I)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', page)


def test_class_without_clips_has_a_dash_for_its_recall() -> None:
    _, *rows = Page(render_report(make_evaluation(used=3))).tables["classes"]
    label, n, recall, *_ = (text for _, _, text in rows[3])
    assert (label, n, recall) == ("angry", "0", "–")


def test_page_holds_no_script_and_no_address() -> None:
    page = render_report(make_evaluation(), make_history({"fold-1": 4}))
    assert not re.search(r"//|url\(|@import|javascript:", page)
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "img", "iframe", "a", "object"}
    given = {name for _, attributes in parsed.tags for name in attributes}
    assert not [name for name in given if name.startswith("on") or name in ("src", "href")]


def test_page_forbids_everything_but_its_own_style() -> None:
    metas = [given for tag, given in Page(render_report(make_evaluation())).tags if tag == "meta"]
    policy = [m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def hostile_evaluation() -> Evaluation:
    """Every text of an evaluation replaced by markup, numbers kept."""

    def spoil(value: Any) -> Any:
        if isinstance(value, str):
            return HOSTILE + value
        if isinstance(value, dict):
            return {HOSTILE + key: spoil(inner) for key, inner in value.items()}
        return [spoil(inner) for inner in value] if isinstance(value, list | tuple) else value

    plain = msgspec.to_builtins(make_evaluation(cautions=("care",), said={"in": {"a": ["b"]}}))
    fields = {
        key: value if key == "protocol" else spoil(value)
        for key, value in plain.items()
        if key not in ("classes", "groups", "speakers", "mistakes")
    }
    fields["protocol"] = {**plain["protocol"], "name": HOSTILE, "text": HOSTILE, HOSTILE: HOSTILE}
    for key in ("classes", "groups", "speakers", "mistakes"):
        fields[key] = [{name: spoil(value) for name, value in row.items()} for row in plain[key]]
    return msgspec.convert(fields, Evaluation)


def test_hostile_texts_are_only_text() -> None:
    plain = Page(render_report(make_evaluation(cautions=("care",)), make_history({"f": 3})))
    page = Page(render_report(hostile_evaluation(), make_history({HOSTILE: 3})))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    known = {name for _, attributes in plain.tags for name in attributes}
    assert {name for _, attributes in page.tags for name in attributes} <= known
    assert page.title.startswith(HOSTILE)
    for kind in ("confusion", "classes", "groups by", "groups speakers", "mistakes"):
        assert page.tables[kind][-1][0][2].startswith(HOSTILE)  # shown as it was given
    assert page.text.count("<img src=x onerror=alert(1)>") > 40


def test_control_characters_are_made_visible() -> None:
    found = msgspec.structs.replace(make_evaluation(), name="a\u202egnp\x1b[31m\ud800é")
    page = render_report(found)
    assert r"a\u202egnp\x1b[31m\ud800é" in page
    page.encode("utf-8")


def test_curves_have_a_point_for_every_epoch() -> None:
    page = Page(render_report(make_evaluation(), make_history({"fold-1": 45, "fold-2": 12})))
    curves = [str(given["points"]).split() for tag, given in page.tags if tag == "polyline"]
    assert [len(points) for points in curves] == [45, 45, 12, 12]  # loss and dev UAR by fold
    assert all(float(y) >= 0 for points in curves for y in (p.split(",")[1] for p in points))
    falling = [float(point.split(",")[1]) for point in curves[0]]
    assert falling == sorted(falling)  # the loss falls, and downwards is larger in a picture


def test_curves_mark_the_last_best_epoch() -> None:
    page = Page(render_report(make_evaluation(), make_history({"fold-1": 9})))
    assert "best 35.0 % at epoch 5 of 9" in page.text
    points = next(str(given["points"]).split() for tag, given in page.tags if tag == "polyline")
    dots = [f"{g['cx']},{g['cy']}" for tag, g in page.tags if tag == "circle" and g["r"] == "4"]
    assert dots[0] == points[4]


def test_page_without_history_has_no_curves() -> None:
    page = Page(render_report(make_evaluation()))
    assert "Learning curves" not in page.text
    assert "polyline" not in {tag for tag, _ in page.tags}


def test_one_epoch_is_enough() -> None:
    page = Page(render_report(make_evaluation(), make_history({"fold-1": 1})))
    assert [len(str(g["points"]).split()) for tag, g in page.tags if tag == "polyline"] == [1, 1]


def test_history_that_lacks_a_column_is_refused() -> None:
    rows = make_history({"fold-1": 2})
    del rows[1]["loss"]
    with pytest.raises(EvaluationError, match=r"history row 2: no 'loss'; expected fold, epoch"):
        render_report(make_evaluation(), rows)


def test_groups_and_speakers_are_shown() -> None:
    found = make_evaluation()
    page = Page(render_report(found))
    _, *groups = page.tables["groups by"]
    assert [row[0][2] for row in groups] == ["female", "male"]
    _, *speakers = page.tables["groups speakers"]
    scores = [float(row[2][2].split()[0]) for row in speakers]
    assert len(scores) == 6 and scores == sorted(scores, reverse=True)


def test_mistakes_name_their_clips() -> None:
    found = make_evaluation()
    n_wrong = 120 - sum(row[i] for i, row in enumerate(found.confusion))
    page = Page(render_report(found))
    assert f"25 of {n_wrong} wrong answers" in page.text
    _, *rows = page.tables["mistakes"]
    shown = [tuple(text for _, _, text in row[:3]) for row in rows]
    assert shown == [(m.clip_id, m.truth, m.prediction) for m in found.mistakes]


def test_provenance_shortens_hashes_and_keeps_the_whole() -> None:
    page = Page(render_report(make_evaluation(said={"features": {"n_mels": 64}})))
    whole = "0123456789ab" * 5 + "beef"
    assert [given["title"] for tag, given in page.tags if tag == "code" and given] == [whole]
    assert "0123456789ab…" in page.text and whole not in page.text
    assert "n_mels 64" in page.text


def test_every_table_has_a_caption_and_headings_descend() -> None:
    page = Page(render_report(make_evaluation(), make_history({"fold-1": 3})))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 4
    assert tags.count("h1") == 1 and tags.index("h1") < tags.index("h2")


def test_same_evaluation_same_bytes(tmp_path: Path) -> None:
    history = make_history({"fold-2": 3, "fold-10": 3, "fold-1": 3})
    for name in ("a.html", "b.html"):
        write_report(make_evaluation(), tmp_path / "new" / name, history)
    first, second = sorted((tmp_path / "new").iterdir())  # and nothing else is left
    assert first.read_bytes() == second.read_bytes()
    text = Page(first.read_text(encoding="utf-8")).text
    assert text.index("fold-1 ") < text.index("fold-2 ") < text.index("fold-10 ")


def test_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DiskError, match=r"report\.html: .*; expected a file to write\. Check"):
        write_report(make_evaluation(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
