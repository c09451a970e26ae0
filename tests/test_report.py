"""The page: what it says is what the evaluation holds, and nothing in it acts or calls home."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from affectus.errors import DiskError, EvaluationError
from affectus.evaluation import (
    Comparison,
    Evaluation,
    Gap,
    LeftOut,
    Predictions,
    TargetScore,
    compare_predictions,
    evaluate_predictions,
)
from affectus.manifest import Clip, Manifest
from affectus.metrics import Interval
from affectus.report import (
    render_comparison,
    render_report,
    write_comparison,
    write_report,
    write_supplements,
)
from affectus.report.published import _figures, find_published

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
        assert shown[:2] == [score.label, str(score.n)]
        for text, value in zip(shown[2:], (score.recall, score.precision, score.f1), strict=True):
            assert value is not None and value.low is not None and value.high is not None
            span = f"{100 * value.low:.1f}–{100 * value.high:.1f} %"
            assert text == f"{100 * value.value:.1f} %{span}"


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
    assert "compared with strict (one recording at a time), speaker-independent" in page.text


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
    assert "speaker-independent scores" not in page.text
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
    # A part of a figure may refer to another of the same page, and to nothing else.
    assert not re.search(r"//|url\((?!#)|@import|javascript:", page)
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "img", "iframe", "a", "object"}
    given = {name for _, attributes in parsed.tags for name in attributes}
    assert not [name for name in given if name.startswith("on") or name == "src"]
    links = [str(a["href"]) for _, a in parsed.tags if "href" in a]
    ids = {a["id"] for _, a in parsed.tags if "id" in a}
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert all(name in ids for name in re.findall(r"url\(#([^)]*)\)", page))


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

    tables = ("classes", "groups", "gaps", "speakers", "confused", "mistakes")
    plain = msgspec.to_builtins(make_evaluation(cautions=("care",), said={"in": {"a": ["b"]}}))
    fields = {
        key: value if key == "protocol" else spoil(value)
        for key, value in plain.items()
        if key not in (*tables, "corpora", "calibration", "control", "selected")
    }
    fields["protocol"] = {**plain["protocol"], "name": HOSTILE, "text": HOSTILE, HOSTILE: HOSTILE}
    for key in tables:
        fields[key] = [{name: spoil(value) for name, value in row.items()} for row in plain[key]]
    fields |= {key: plain[key] for key in ("calibration", "control", "selected")}
    fields["corpora"] = {HOSTILE: 120}
    fields["left_out"] = [{"reason": HOSTILE, "n": 3, "clip_ids": [HOSTILE]}]
    return msgspec.convert(fields, Evaluation)


def test_hostile_texts_are_only_text() -> None:
    left_out = [LeftOut("a reason", 3, ["c:1"])]
    whole = msgspec.structs.replace(make_evaluation(cautions=("care",)), left_out=left_out)
    plain = Page(render_report(whole, make_history({"f": 3})))
    page = Page(render_report(hostile_evaluation(), make_history({HOSTILE: 3})))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    known = {name for _, attributes in plain.tags for name in attributes}
    assert {name for _, attributes in page.tags for name in attributes} <= known
    assert page.title.startswith(HOSTILE)
    for kind in (
        "confusion",
        "classes",
        "groups by",
        "groups speakers",
        "mistakes",
        "confused",
        "left-out",
    ):
        assert page.tables[kind][-1][0][2].startswith(HOSTILE)  # shown as it was given
    assert page.text.count("<img src=x onerror=alert(1)>") > 40


def test_control_characters_are_made_visible() -> None:
    found = msgspec.structs.replace(make_evaluation(), name="a\u202egnp\x1b[31m\ud800é")
    page = render_report(found)
    assert r"a\u202egnp\x1b[31m\ud800é" in page
    page.encode("utf-8")


def figure_lines(page: str, name: str) -> list[list[tuple[float, float]]]:
    """The points of every solid line of a figure that an accent colours."""
    figure = page[page.index(f'aria-label="{name}') :]
    figure = figure[: figure.index("</svg>")]
    found = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--accent\)', figure)
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", d)] for d in found
    ]


def test_curves_have_a_point_for_every_epoch() -> None:
    page = render_report(make_evaluation(), make_history({"fold-1": 45, "fold-2": 12}))
    lines = figure_lines(page, "Training loss")
    assert sorted(map(len, lines)) == [12, 45]
    assert sorted(map(len, figure_lines(page, "UAR on dev"))) == [12, 45]
    loss = [y for _, y in next(line for line in lines if len(line) == 45)]
    assert loss == sorted(loss)  # it falls, and downwards is larger in a picture


def test_the_last_best_epoch_of_each_fold_is_told() -> None:
    page = Page(render_report(make_evaluation(), make_history({"fold-1": 9})))
    _, (fold, place, score) = page.tables["folds"]
    assert (fold[2], place[2], score[2]) == ("fold-1", "5 of 9", "35.0\u202f%")


def test_page_without_history_has_no_curves() -> None:
    page = render_report(make_evaluation())
    assert "Training loss" not in page
    assert "folds" not in Page(page).tables


def test_a_model_fitted_in_one_go_has_no_curves_but_its_dev_score() -> None:
    page = render_report(make_evaluation(), make_history({"fold-1": 1}))
    assert 'aria-label="Training loss' not in page
    assert "fitted in one go" in page
    assert Page(page).tables["folds"][1][1][2] == "1 of 1"


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


# --- calibration, gaps, raters, what was left out ---


def test_the_reliability_diagram_is_the_bins_of_the_evaluation() -> None:
    found = make_evaluation()
    page = render_report(found)
    (line,) = [line for line in figure_lines(page, "Reliability") if len(line) > 2]
    used = [b for b in found.calibration.bins if b.n]
    assert len(line) == len(used)
    # Pixels are linear in the values: the slope between two points is that of all others.
    xs, ys = np.array(line).T
    sure = np.array([b.confidence for b in used], float)
    right = np.array([b.accuracy for b in used], float)
    np.testing.assert_allclose(xs, np.polyval(np.polyfit(sure, xs, 1), sure), atol=0.01)
    np.testing.assert_allclose(ys, np.polyval(np.polyfit(right, ys, 1), right), atol=0.01)
    assert np.polyfit(right, ys, 1)[0] < 0  # the higher, the further up


def test_calibration_says_what_the_temperature_changed() -> None:
    found = make_evaluation()
    raw = {"ece": 0.301, "brier": 0.9, "nll": 1.5}
    scaled = msgspec.structs.replace(
        found.calibration, temperatures={"fold-1": 0.8, "fold-2": 2.25}, raw=raw
    )
    page = Page(render_report(msgspec.structs.replace(found, calibration=scaled)))
    _, (_, before, now, _), *_ = page.tables["calibration"]
    assert (before[2], now[2]) == ("0.301", f"{found.calibration.ece.value:.3f}")
    assert "temperature (0.80 to 2.25), fitted for each fold on the speakers" in page.text


def test_what_abstaining_gains_is_told() -> None:
    found = make_evaluation()
    _, whole, *_, half = Page(render_report(found)).tables["selected"]
    assert [text for _, _, text in whole[:2]] == ["100\u202f%", "120"]
    assert [text for _, _, text in half[:2]] == ["50\u202f%", "60"]
    assert float(half[3][2].split()[0]) > float(whole[3][2].split()[0])


def test_a_gap_is_told_with_its_interval_and_whether_it_is_clear() -> None:
    found = make_evaluation()
    sure = Gap("sex", "female", "male", 2, Interval(0.1, 0.02, 0.2), Interval(0.05, -0.01, 0.1))
    text = Page(render_report(msgspec.structs.replace(found, gaps=[sure]))).text
    assert "By sex female over male: +10.0 [+2.0, +20.0] points. Raters: +5.0 [-1.0, +10.0]" in text
    unsure = Gap("sex", "female", "male", 3, Interval(0.1, -0.02, 0.2))
    text = Page(render_report(msgspec.structs.replace(found, gaps=[unsure]))).text
    assert "points, not clear of zero; the widest of 3 groups, so partly chance" in text


def test_targets_stand_beside_the_raters() -> None:
    rows = [
        TargetScore("model", "perceived", 90, Interval(0.4, 0.3, 0.5), Interval(0.5, 0.4, 0.6)),
        TargetScore("one rater", "intended", 99, Interval(0.41, None, None), Interval(0.4, 0, 1)),
    ]
    page = Page(render_report(msgspec.structs.replace(make_evaluation(), targets=rows)))
    _, first, second = ([text for _, _, text in row] for row in page.tables["targets"])
    assert first == ["model", "perceived", "90", "40.0\u202f%30.0–50.0\u202f%",
                     "50.0\u202f%40.0–60.0\u202f%"]  # fmt: skip
    assert second[:4] == ["one rater", "intended", "99", "41.0\u202f%"]


def test_what_was_left_out_is_told_with_names() -> None:
    rows = [LeftOut("excluded: silent", 7, ["c:3", "c:5"])]
    page = Page(render_report(msgspec.structs.replace(make_evaluation(), left_out=rows)))
    _, row = page.tables["left-out"]
    assert [text for _, _, text in row] == ["excluded: silent", "7", "c:3, c:5 and 5 more"]


def test_adapted_scores_are_stamped() -> None:
    page = Page(render_report(msgspec.structs.replace(make_evaluation(), adapted=True)))
    assert page.title.startswith("adapted: try")
    assert page.text.index("Adapted.") < page.text.index("Evaluation on test")
    assert "compared with adapted, speaker-independent scores" in page.text


# --- published figures ---


def on_ravdess(**changes: Any) -> Evaluation:
    eight = tuple(f"e{i}" for i in range(8))
    found = make_evaluation(labels=eight, used=8, leaky=changes.pop("leaky", False))
    return msgspec.structs.replace(found, **{"corpora": {"ravdess": 120}, **changes})


def test_every_published_figure_says_where_it_is_from() -> None:
    figures = _figures()
    assert len(figures) > 10
    for figure in figures:
        assert figure.source and figure.seen and figure.protocol
        assert 0 < figure.value < 100
        assert figure.metric in ("UAR", "accuracy")
        assert (figure.low is None) == (figure.high is None)


def test_a_score_stands_beside_figures_of_its_corpus_and_kind_alone() -> None:
    strict, leaky = find_published(on_ravdess()), find_published(on_ravdess(leaky=True))
    assert {figure.corpus for figure in strict} == {"ravdess"}
    assert all(figure.apart for figure in strict) and not any(figure.apart for figure in leaky)
    assert not strict[0].adapted
    assert find_published(on_ravdess(adapted=True))[0].adapted
    assert find_published(on_ravdess(corpora={"ravdess": 60, "tess": 60})) == []
    assert find_published(make_evaluation()) == []
    page = Page(render_report(on_ravdess()))
    assert len(page.tables["published"]) == 2 + len(strict)
    assert "Livingstone and Russo (2018)" in page.text
    assert "published" not in Page(render_report(on_ravdess(side="dev"))).tables


# --- beside the page ---


def test_figures_lie_beside_as_png_and_svg_and_are_the_same_each_time(tmp_path: Path) -> None:
    history = make_history({"fold-1": 3})
    for name in ("a", "b"):
        write_supplements(make_evaluation(), tmp_path / name, history)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    figures = ("confusion", "reliability", "risk-coverage", "groups", "training-loss", "dev-uar")
    assert names == {f"{f}.{kind}" for f in figures for kind in ("png", "svg")} | {
        "tables.md", "tables.tex",
    }  # fmt: skip
    for name in names:
        first, second = (tmp_path / folder / name for folder in ("a", "b"))
        assert first.read_bytes() == second.read_bytes(), name
    assert (tmp_path / "a/groups.png").read_bytes().startswith(b"\x89PNG\r\n")
    ElementTree.parse(tmp_path / "a/confusion.svg")


def test_a_name_that_would_be_mathematics_or_forge_a_line_is_drawn_as_it_is(tmp_path: Path) -> None:
    labels = ("$x_1^", "a\x1bb", "\u4e2d", "d")
    found = make_evaluation(labels=labels)
    write_supplements(found, tmp_path)
    text = (tmp_path / "confusion.svg").read_text("utf-8")
    assert "$x_1^" in text and "\\x1bb" in text


def test_markdown_and_latex_tables_hold_the_scores(tmp_path: Path) -> None:
    found = msgspec.structs.replace(make_evaluation(), name="a|b_c & 5 %")
    write_supplements(found, tmp_path)
    markdown = (tmp_path / "tables.md").read_text("utf-8")
    latex = (tmp_path / "tables.tex").read_text("utf-8")
    assert f"| UAR | {found.uar} |" in markdown
    assert f"UAR & {found.uar} \\\\" in latex
    assert "a\\|b_c & 5 %" in markdown
    assert "a|b\\_c \\& 5 \\%" in latex
    assert "120 of 130 clips, 6 speakers; protocol five, strict" in markdown
    for c in found.classes:
        assert f"| {c.label} | {c.n} | {c.recall} | {c.precision} | {c.f1} |" in markdown
    widths = {line.count("|") for line in markdown.split("\n\n")[1].splitlines()}
    assert widths == {3}


# --- the page of a comparison ---


def make_comparison(shift: float = 0.5) -> Comparison:
    rng = np.random.default_rng(3)
    truth = np.arange(160) % 4
    ids = tuple(f"c:{i}" for i in range(160))
    speakers = tuple(f"s{i % 8}" for i in range(160))

    def answer(lean: float) -> Predictions:
        raw = rng.random((160, 4)) + lean * np.eye(4)[truth]
        scores = raw / raw.sum(1, keepdims=True)
        return Predictions(LABELS, ids, speakers, ("fold-1",) * 160, truth, scores)

    runs = {"plain": answer(0.3), "better": answer(0.3 + shift), HOSTILE: answer(0.3)}
    return compare_predictions(runs, cautions=["one is LEAKY"])


def test_a_comparison_says_first_which_differences_stand() -> None:
    found = make_comparison()
    page = Page(render_comparison(found))
    first = next(p for p in found.pairs if (p.first, p.second) == ("plain", "better"))
    assert first.p_holm < 0.05
    points = f"{-100 * first.difference.value:.1f} points of UAR"
    assert f"better is better than plain by {points} (p {first.p_holm:.3f})" in page.text
    assert "are not shown to differ" in page.text
    assert page.text.index("better is better than") < page.text.index("one is LEAKY")


def test_a_comparison_shows_every_run_pair_class_and_speaker() -> None:
    found = make_comparison()
    page = Page(render_comparison(found))
    _, *runs = page.tables["groups runs"]
    assert [row[0][2].split("160")[0] for row in runs] == ["plain", "better", HOSTILE]
    _, *pairs = page.tables["pairs"]
    assert len(pairs) == 3
    assert [row[3][2] for row in pairs] == [f"{pair.p:.3f}" for pair in found.pairs]
    _, *speakers = page.tables["recalls"]  # the last of the two of that class
    assert sorted(row[0][2] for row in speakers) == [f"s{i}" for i in range(8)]


def test_hostile_names_of_runs_are_only_text() -> None:
    page = render_comparison(make_comparison())
    tags = {tag for tag, _ in Page(page).tags}
    assert not tags & {"img", "script"}
    assert not re.search(r"//|url\((?!#)", page)


def test_a_comparison_is_written_with_its_figure_and_tables(tmp_path: Path) -> None:
    written = write_comparison(make_comparison(), tmp_path / "out/side.html")
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    assert names == {
        "out/side.html", "out/side/comparison.png", "out/side/comparison.svg",
        "out/side/tables.md", "out/side/tables.tex",
    }  # fmt: skip
    assert all(path.is_file() for path in written)
