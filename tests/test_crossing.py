"""Corpora against each other: what is scored, what is refused, what the page says."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from test_report import Page

from affectus.cli import run as command
from affectus.corpora import load_corpus
from affectus.errors import EvaluationError, SplitError
from affectus.evaluation import CrossMatrix, CrossTrained, Predictions, cross_predictions
from affectus.evaluation.crossing import restrict_labels
from affectus.experiment import make_experiment
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Manifest, hash_file
from affectus.media import write_audio
from affectus.report import render_matrix, summarise_matrix, write_matrix
from affectus.training import cross_runs, train, train_seeds

LABELS = ("neutral", "happy", "sad", "angry")
PITCHES = (300, 700, 1500, 3000)  # Hz


# ------------------------------------------------------------------ scores


def row(corpus, **changes):
    facts = {
        "run": f"on-{corpus}",
        "model": "m",
        "features": "f",
        "scheme": "four",
        "protocol": "p",
        "leaky": False,
        "cautions": ["said at training"],
    }
    return CrossTrained(corpus=corpus, **{**facts, **changes})


def answers(corpus, right, *, truths=4, n_speakers=6, seed=0, fold="fold-1"):
    """Clips of every speaker and label, that share of them answered right, by label."""
    rng = np.random.default_rng(seed)
    ids, speakers, truth, said = [], [], [], []
    for speaker in range(n_speakers):
        for label in range(truths):
            for take in range(10):
                ids.append(f"{corpus}/{speaker}-{label}-{take}")
                speakers.append(f"{corpus}:{speaker}")
                truth.append(label)
                hit = rng.random() < right[label]
                said.append(label if hit else (label + 1) % 4)
    scores = np.full((len(ids), 4), 0.1)
    scores[np.arange(len(ids)), said] = 0.7
    return Predictions(
        LABELS, tuple(ids), tuple(speakers), (fold,) * len(ids), np.array(truth), scores
    )


def cross(a_to_b, b_to_a, *, own_a=None, own_b=None, taught=None, **changes):
    tables = {
        ("a", "b"): a_to_b,
        ("b", "a"): b_to_a,
        ("a", "a"): [own_a or answers("a", (1, 1, 1, 1))],
        ("b", "b"): [own_b or answers("b", (1, 1, 1, 1))],
    }
    taught = {"a": LABELS, "b": LABELS, **(taught or {})}
    return cross_predictions([row("a"), row("b")], tables, taught, **changes)


def test_a_cell_is_the_balanced_accuracy_of_its_answers():
    said = answers("b", (0.9, 0.5, 0.7, 0.2), seed=3)
    cell = cross([said], [answers("a", (1, 1, 1, 1))]).cell("a", "b")
    assert cell.uar.value == pytest.approx(balanced_accuracy_score(said.truth, said.prediction))
    assert cell.uar.low < cell.uar.value < cell.uar.high
    assert (cell.n, cell.n_models, cell.n_speakers) == (240, 1, 6)
    assert cell.labels == list(LABELS)


def test_of_several_models_every_answer_counts():
    """Two models, one always right and one always wrong: half, of as many clips."""
    right, wrong = answers("b", (1,) * 4), answers("b", (0,) * 4, fold="fold-2")
    cell = cross([right, wrong], [answers("a", (1,) * 4)]).cell("a", "b")
    assert cell.uar.value == pytest.approx(0.5)
    assert (cell.uar.low, cell.uar.high) == (0.5, 0.5)  # so it is for every speaker
    assert (cell.n, cell.n_models) == (240, 2)


def test_a_pair_is_judged_on_the_labels_that_both_have():
    """Nobody of b is angry, a was not taught sad: neutral and happy are left."""
    own = answers("b", (1, 1, 1), truths=3)
    found = cross([answers("b", (1, 0, 0), truths=3)], [answers("a", (1,) * 4)],
                  own_b=own, taught={"a": ("neutral", "happy", "angry")})  # fmt: skip
    cell = found.cell("a", "b")
    assert cell.labels == ["neutral", "happy"]
    assert cell.n == 6 * 2 * 10
    # happy was taken for sad, which is no answer here: of two equal scores the first is taken
    assert cell.uar.value == pytest.approx(0.5)
    assert cell.own.value == 1
    assert cell.lost.value == pytest.approx(0.5)
    assert found.cell("b", "b").labels == ["neutral", "happy", "sad"]
    assert any("the emotions that two corpora share, which differ" in c for c in found.cautions)


def test_answers_that_are_not_allowed_give_way_to_the_best_that_is():
    scores = np.array([[0.1, 0.2, 0.6, 0.1], [0.4, 0.0, 0.1, 0.5], [0.0, 0.0, 0.0, 1.0]])
    said = Predictions(LABELS, ("x", "y", "z"), ("s",) * 3, ("f",) * 3, np.array([1, 3, 0]), scores)
    found = restrict_labels(said, ["neutral", "happy"])
    assert found.clip_ids == ("x", "z")
    assert found.truth.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [[1 / 3, 2 / 3], [0.5, 0.5]])


def test_what_is_lost_is_paired_by_speaker():
    """Each speaker loses the same, so the difference is sure, though speakers differ much."""
    own = answers("b", (1, 1, 1, 1))
    other = answers("b", (1, 1, 1, 0))
    cell = cross([other], [answers("a", (1,) * 4)], own_b=own).cell("a", "b")
    assert cell.lost == pytest.approx((0.25, 0.25, 0.25))


def test_one_shared_label_has_no_score():
    found = cross([answers("b", (1,) * 4)], [answers("a", (1,) * 4)], taught={"a": ("sad",)})
    cell = found.cell("a", "b")
    assert (cell.uar, cell.own, cell.lost, cell.labels) == (None, None, None, ["sad"])
    assert "1 shared" in render_matrix(found)


def test_two_speakers_have_no_interval_and_are_named():
    own = answers("b", (1,) * 4, n_speakers=2)
    found = cross([answers("b", (0.5,) * 4, n_speakers=2)], [answers("a", (1,) * 4)], own_b=own)
    assert found.cell("a", "b").uar.low is None
    assert "Too few speakers for an interval: b (2)." in found.cautions


def test_leaks_are_called_so():
    found = cross(
        [answers("b", (1,) * 4)], [answers("a", (1,) * 4)], leaks={("a", "b"): ["1 speaker"]}
    )
    assert "LEAKY: training had heard of the test from a to b." in found.cautions
    leaky = msgspec.structs.replace(found, rows=[row("a", leaky=True), row("b")])
    assert "p (LEAKY)" in render_matrix(leaky)


@pytest.mark.parametrize(
    ("names", "fault"),
    [(["a"], "corpora a; expected two or more"), (["a", "a"], "corpora a, a; expected two")],
)
def test_fewer_than_two_corpora_are_refused(names, fault):
    with pytest.raises(EvaluationError, match=fault):
        cross_predictions([row(name) for name in names], {}, {})


def test_labels_are_known_by_name_whatever_their_order():
    said = answers("b", (0.9, 0.5, 0.7, 0.2), seed=3)
    plain = cross([said], [answers("a", (1,) * 4)]).cell("a", "b")
    order = [3, 1, 0, 2]
    turned = replace(
        said, labels=tuple(LABELS[i] for i in order), scores=said.scores[:, order],
        truth=np.argsort(order)[said.truth],
    )  # fmt: skip
    assert cross([turned], [answers("a", (1,) * 4)]).cell("a", "b") == plain


# ------------------------------------------------------------------ the whole way


def record(folder, corpus, pitches, *, seed, n_speakers=6, only=LABELS):
    """Write tones whose pitch says the emotion, as `pitches` has it; return the manifest's path."""
    rng = np.random.default_rng(seed)
    rows = ["file,emotion,speaker"]
    for speaker in range(n_speakers):
        for emotion, pitch in zip(LABELS, pitches, strict=True):
            for take in range(2 if emotion in only else 0):
                seconds = np.arange(int(16_000 * rng.uniform(0.4, 0.6))) / 16_000
                tone = np.sin(2 * np.pi * pitch * (1 + 0.02 * speaker) * seconds)
                wave = 0.3 * tone + rng.normal(0, 0.03, len(seconds))
                path = folder / corpus / f"s{speaker}-{emotion}-{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, wave.astype(np.float32))
                rows.append(f"{corpus}/{path.name},{emotion},{speaker}")
    (folder / f"{corpus}.table.csv").write_text("\n".join(rows) + "\n")
    place = folder / f"{corpus}.csv"
    load_corpus("table", folder / f"{corpus}.table.csv", corpus_name=corpus).write(place)
    return place


def experiment_on(folder, corpus, **changes):
    place = folder / f"{corpus}.csv"
    extractor = create_extractor("logmel", n_mels=32)
    assert extract_features(Manifest.read(place), extractor, folder / "store").ok
    content = {
        "name": f"across-{corpus}", "manifest": str(place), "store": str(folder / "store"),
        "labels": {"scheme": "four"}, "features": {"name": "logmel", "n_mels": 32},
        "split": {"protocol": "grouped-5fold"}, "model": {"name": "logistic", "cost": 0.1},
        "training": {},
    }  # fmt: skip
    return make_experiment({**content, **changes})


@pytest.fixture(scope="module")
def runs(tmp_path_factory, one_thread):
    """Three corpora: the second says the same as the first (without sad), the third the reverse."""
    folder = tmp_path_factory.mktemp("corpora")
    record(folder, "first", PITCHES, seed=0)
    record(folder, "same", PITCHES, seed=1, only=("neutral", "happy", "angry"))
    record(folder, "reverse", PITCHES[::-1], seed=2)
    schemes = {"same": {"labels": {"scheme": "neutral+happy+angry"}}}
    return [
        train(experiment_on(folder, name, **schemes.get(name, {})), folder / "runs")
        for name in ("first", "same", "reverse")
    ]


@pytest.fixture(scope="module")
def matrix(runs):
    return cross_runs(runs)


def test_what_corpora_agree_on_is_found_across_and_what_they_do_not_is_not(matrix):
    assert [cell.uar.value for cell in matrix.cells if cell.trained == cell.tested] == [1, 1, 1]
    for pair in (("first", "same"), ("same", "first")):
        assert matrix.cell(*pair).uar.value == 1
        assert matrix.cell(*pair).labels == ["neutral", "happy", "angry"]
    for pair in (("first", "reverse"), ("reverse", "first")):
        assert matrix.cell(*pair).uar.value == 0
        assert matrix.cell(*pair).lost == (1, 1, 1)
    cell = matrix.cell("first", "same")
    assert (cell.n, cell.n_models, cell.n_speakers) == (6 * 3 * 2, 5, 6)
    assert matrix.cell("first", "first").n_models == 1
    assert not any(cell.leaks for cell in matrix.cells)


def test_adapted_answers_are_said_to_be(runs):
    found = cross_runs(runs[:2], adapted=True)
    assert found.adapted
    assert any(text.startswith("ADAPTED") for text in found.cautions)


def test_all_seeds_of_a_run_answer(runs, tmp_path):
    pooled = train_seeds(
        msgspec.structs.replace(runs[0].experiment, name="pooled"), [0, 1], tmp_path
    )
    assert cross_runs([pooled, runs[1]]).cell("first", "same").n_models == 10


def test_a_recording_that_is_in_both_corpora_is_refused_and_stamped_if_asked_for(runs, tmp_path):
    """A corpus that holds one file of another, under a name of its own."""
    folder = runs[0].folder.parent.parent
    table = record(folder, "thief", PITCHES, seed=3)
    stolen = folder / "first" / "s0-happy-0.wav"
    (folder / "thief" / "s0-happy-0.wav").write_bytes(stolen.read_bytes())
    load_corpus("table", folder / "thief.table.csv", corpus_name="thief").write(table)
    assert hash_file(stolen) in {clip.sha256 for clip in Manifest.read(table)}
    thief = train(experiment_on(folder, "thief"), tmp_path / "runs")
    with pytest.raises(SplitError, match=r"first \(fold-.\) to thief: 1 recording .*share nothing"):
        cross_runs([runs[0], thief])
    found = cross_runs([runs[0], thief], allow_leak=True)
    assert "1 recording" in " ".join(found.cell("first", "thief").leaks)
    assert any(text.startswith("LEAKY: training had heard") for text in found.cautions)


def test_two_runs_on_one_corpus_are_refused(runs):
    with pytest.raises(EvaluationError, match="both on first; expected each corpus in one run"):
        cross_runs([runs[0], runs[0]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {"scheme": "eight"}}, "calm counts as calm; in .* as neutral"),
        ({"store": "elsewhere"}, "store elsewhere; expected that of .*store"),
        ({"features": {"name": "logmel"}}, "features .*; expected that of .*'n_mels': 32"),
    ],
)
def test_runs_that_are_not_alike_are_refused(runs, changes, words):
    plain = {**msgspec.to_builtins(runs[1].experiment), **changes}
    other = replace(runs[1], experiment=make_experiment(plain))
    with pytest.raises(EvaluationError, match=words):
        cross_runs([runs[0], other])


# ------------------------------------------------------------------ the page, the command


def test_the_page_holds_every_cell_where_it_belongs(matrix):
    page = render_matrix(matrix)
    table = page[page.index("crossed") : page.index("</table>", page.index("crossed"))]
    rows = table.split('<tr><th scope="row">')[1:]
    assert [text.partition("<")[0] for text in rows] == ["first", "same", "reverse"]
    shown = [[cell.partition("\u202f%")[0].rpartition(">")[2] for cell in r.split("<td ")[1:]]
             for r in rows]  # fmt: skip
    assert shown == [
        [f"{100 * matrix.cell(one, other).uar.value:.1f}" for other in matrix.corpora]
        for one in matrix.corpora
    ]
    assert (shown[0], shown[1][0]) == (["100.0", "100.0", "0.0"], "100.0")
    read = Page(page)  # which holds that every element is closed in order
    assert [cell[2] for cell in read.tables["crossings"][1]][1] == "366"
    assert "said at training" not in read.text
    assert not {"script", "link", "img"} & {tag for tag, _ in read.tags}


def test_the_summary_says_what_is_lost_and_where():
    found = cross([answers("b", (0.75,) * 4, seed=1)], [answers("a", (0.25,) * 4, seed=2)])
    texts = summarise_matrix(found)
    there, back = found.cell("a", "b").lost.value, found.cell("b", "a").lost.value
    assert f"{50 * (there + back):.1f} points" in texts[0]
    assert "for 2 of the 2 pairs" in texts[1]
    assert "1 cannot be told from chance" in texts[1]
    assert texts[2].startswith(f"Least is lost from a to b: {100 * there:.1f} points")
    assert texts[3].startswith(f"Most is lost from b to a: {100 * back:.1f} points")


def test_names_of_corpora_are_only_text():
    found = cross([answers("b", (1,) * 4)], [answers("a", (1,) * 4)])
    hostile = "<script>alert(1)</script>"
    bad = json.loads(msgspec.json.encode(found).replace(b'"a"', json.dumps(hostile).encode()))
    page = render_matrix(msgspec.convert(bad, CrossMatrix))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_figure_and_tables_lie_beside_the_page(tmp_path, matrix):
    files = write_matrix(matrix, tmp_path / "m.html")
    assert [path.name for path in files] == [
        "m.html", "matrix.png", "matrix.svg", "tables.md", "tables.tex",
    ]  # fmt: skip
    text = (tmp_path / "m" / "tables.md").read_text()
    assert "| first | 1.000 [1.000, 1.000] (4) | 1.000 [1.000, 1.000] (3) | 0.000" in text
    assert "| first to same | neutral, happy, angry | 36 | 6 | 0.333 |" in text
    assert "first & 1.000" in (tmp_path / "m" / "tables.tex").read_text()


def test_the_command_writes_and_prints_the_matrix(runs, tmp_path, capsys):
    page = tmp_path / "across.html"
    folders = [str(run.folder) for run in runs]
    assert command(["evaluate", *folders, "--on", "test", "--matrix", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "Most is lost from" in printed
    assert str(page) in printed
    found = msgspec.json.decode((tmp_path / "across/matrix.json").read_bytes(), type=CrossMatrix)
    assert found == cross_runs(runs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--matrix", "m.html"], "--on test"),
        (["--on", "test"], "expected one run, or --matrix"),
        (["--on", "test", "--matrix", "m.html", "--errors"], "without --errors"),
    ],
)
def test_what_the_matrix_does_not_take_is_refused(runs, capsys, options, words):
    assert command(["evaluate", *(str(run.folder) for run in runs), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_leak_is_allowed_for_the_matrix_alone(runs, capsys):
    assert command(["evaluate", str(runs[0].folder), "--allow-leak"]) == 2
    assert "1 runs and --allow-leak; expected one run" in capsys.readouterr().err
