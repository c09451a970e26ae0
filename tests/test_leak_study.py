"""The leak study: its page says what its figures say, its careless divisions are what they claim.

What the guard sees of each leak is in test_leaks.py.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from affectus.manifest import Clip, Manifest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def study(monkeypatch):
    """The study's own modules, which lie beside the package."""
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments.leaks import data, model, page, protocols, variants

    class Study:
        pass

    found = Study()
    found.data, found.model, found.page = data, model, page
    found.protocols, found.variants = protocols, variants
    return found


def make_clips(study, n_speakers=6, n_each=10, copies=()):
    """Clips of two emotions, of columns that tell them a little; and named copies of each."""
    rng = np.random.default_rng(0)
    clips, rows, truth = [], [], []
    for kind in ("", *copies):
        for number in range(n_speakers * n_each):
            label = number % 2
            name = f"c/{number:03d}" + (f"-{kind}" if kind else "")
            speaker = number // n_each
            clips.append(
                Clip(name, "c", f"{name}.wav", f"c:{speaker}", ("happy", "sad")[label],
                     sha256=f"{name}")
            )  # fmt: skip
            rows.append(rng.normal(0.5 * label, 1, 40))
            truth.append(label)
    manifest = Manifest(tuple(clips))
    return study.data.Clips(manifest, ("happy", "sad"), np.array(rows), np.array(truth), {}, ())


def test_the_page_shows_the_figures_of_the_study(study):
    rows = json.loads((ROOT / "docs/leak-study/results.json").read_text("utf-8"))
    text = (ROOT / "docs/leak-study.md").read_text("utf-8")
    table = text.partition(study.page.BEGIN)[2].partition(study.page.END)[0]
    assert table.strip() == study.page.draw_table(rows).strip()
    named = [(v.data.split("+")[0].split()[0], v.name, v.leaky) for v in study.variants.VARIANTS]
    assert [(row["corpus"], row["variant"], row["leaky"]) for row in rows] == named


def test_rows_dealt_at_random_are_each_tested_once_and_speakers_are_everywhere(study):
    clips = make_clips(study)
    splits = study.protocols.at_random(clips)
    tested = [name for split in splits for name in split.test]
    assert sorted(tested) == sorted(clips.ids.tolist())
    for split in splits:
        sides = [set(split.side(name)) for name in ("train", "dev", "test")]
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(clips.manifest)
    assert "in both train and test" in study.protocols.ask_guard(clips, splits[0])


def test_copies_of_training_clips_train_and_no_other_copies_do(study):
    clips = make_clips(study, copies=("noisy", "faster"))
    for split in study.protocols.with_copies_of_training(clips, "sequential-5fold"):
        originals = {name for name in split.train if name.count("-") == 0}
        copies = set(split.train) - originals
        assert copies == {f"{name}-{kind}" for name in originals for kind in ("noisy", "faster")}
        assert not any("-" in name for name in (*split.dev, *split.test))
        assert study.protocols.ask_guard(clips, split) == ""


def test_choosing_on_test_is_seen_by_the_guard(study):
    clips = make_clips(study)
    splits = study.protocols.choosing_on_test(study.protocols.by_name("sequential-5fold", clips))
    assert splits[0].dev == splits[0].test
    assert "in both dev and test" in study.protocols.ask_guard(clips, splits[0])


def test_the_model_is_scikit_learns_logistic_regression(study):
    clips = make_clips(study)
    rows = np.arange(len(clips.truth))
    train, dev, test = rows[:30], rows[30:40], rows[40:]  # fewer than the columns: in their span
    scaler = StandardScaler().fit(clips.features[train])
    theirs = LogisticRegression(C=study.model.COST, class_weight="balanced").fit(
        scaler.transform(clips.features[train]), clips.truth[train]
    )
    expected = theirs.predict_proba(scaler.transform(clips.features[test]))
    np.testing.assert_allclose(study.model.plain(clips, train, dev, test), expected, atol=1e-4)
    # Rows that come twice, in a set and in its double, are fitted to the same probabilities.
    again = study.model.plain(clips, np.concatenate([train, train]), dev, test)
    double = LogisticRegression(C=study.model.COST, class_weight="balanced").fit(
        np.repeat(scaler.transform(clips.features[train]), 2, axis=0),
        np.repeat(clips.truth[train], 2),
    )
    np.testing.assert_allclose(
        again, double.predict_proba(scaler.transform(clips.features[test])), atol=1e-4
    )


def test_what_is_chosen_on_test_is_never_worse_there_than_what_is_chosen_on_dev(study):
    clips = make_clips(study)
    rows = np.arange(len(clips.truth))
    train, dev, test = rows[:30], rows[30:40], rows[40:]
    right = [
        (study.model.chosen(clips, train, by, test).argmax(1) == clips.truth[test]).mean()
        for by in (dev, test)
    ]
    assert right[1] >= right[0]


def test_columns_chosen_by_all_labels_know_the_answer_where_there_is_none(study):
    # Ambroise and McLachlan (2002), "Selection bias in gene extraction": pure noise, chosen with
    # the test labels, seems to tell them.
    rng = np.random.default_rng(1)
    n, truth = 60, np.arange(60) % 2
    manifest = Manifest(tuple(Clip(f"c/{i}", "c", f"{i}.wav", f"c:{i}") for i in range(n)))
    noise = study.data.Clips(manifest, ("a", "b"), rng.normal(size=(n, 5_000)), truth, {}, ())
    rows = rng.permutation(n)
    train, dev, test = rows[:30], rows[30:32], rows[32:]
    share = {
        recipe.__name__: (recipe(noise, train, dev, test).argmax(1) == truth[test]).mean()
        for recipe in (study.model.selected, study.model.selected_over_all)
    }
    assert share["selected"] < 0.75 < 0.9 < share["selected_over_all"]


def test_every_figure_that_make_study_makes_is_there_and_small(study):
    from experiments import pictures

    page = (ROOT / "docs/evaluation.md").read_text("utf-8")
    shown = set(re.findall(r"!\[[^]]+\]\(evaluation/([\w.-]+)\)", page))
    there = {path.name: path.stat().st_size for path in (ROOT / "docs/evaluation").iterdir()}
    made = {f"{name}.svg" for name in (*pictures.FIGURES, "comparison")}
    made |= {"report.png", "report-phone.png", "cross-corpus.png"}
    assert shown == set(there) == made
    assert max(there.values()) < 60_000
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert 'experiments.pictures "$(CORPORA)"' in makefile.partition("\nstudy:")[2]


def test_a_photograph_keeps_its_size_and_loses_its_weight(study, tmp_path):
    import io

    from PIL import Image

    from experiments import pictures

    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(0, 256, (80, 120, 3), np.uint8))
    held = io.BytesIO()
    noisy.save(held, "png")
    pictures.write_small(held.getvalue(), tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as small:
        assert small.size == (120, 80)
        assert len(small.getcolors()) <= pictures.COLOURS
    assert (tmp_path / "small.png").stat().st_size < len(held.getvalue()) / 2
