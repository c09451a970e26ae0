"""What a store or a manifest holds. Expected values are numpy's, on all values at once."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from affectus.cli import run
from affectus.describe import (
    describe_features,
    describe_manifest,
    render_description,
    tables,
    write_description,
)
from affectus.describe.tally import Tally, percentiles_of
from affectus.errors import DiskError, StoreError
from affectus.features import create_extractor, describe_extractor
from affectus.manifest import Clip, Manifest
from affectus.store import FeatureStore, Result, write_shard

POINTS = (1, 5, 25, 50, 75, 95, 99)
COLUMNS = ("a", "b", "c")
RECORD = {"kind": "imported", "name": "made", "columns": list(COLUMNS), "frame_rate": 50.0}


def fill(folder, arrays, record=RECORD, name="made", failed=()):
    """Make a store of {clip id: frames}; the key is the clip's id."""
    with FeatureStore(folder, create=True) as store:
        store.define(name, record)
        store.plan(name, [(clip_id, clip_id) for clip_id in (*arrays, *failed)])
        for shard, keys in store.plan(name, [(i, i) for i in (*arrays, *failed)]):
            made = {key: arrays[key] for key in keys if key in arrays}
            results = [
                Result(key, len(made[key]), "")
                if key in made
                else Result(key, code="E1", reason="")
                for key in keys
            ]
            store.commit(name, shard, write_shard(folder, name, shard, made), results)
    return folder


def make_arrays(corpus, n_clips=20, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"{corpus}/{i:03d}": (
            scale * rng.normal((0, -40, 1000), (1, 20, 0.001), (rng.integers(5, 60), 3))
        ).astype("f4")
        for i in range(n_clips)
    }


@pytest.fixture
def two_corpora(tmp_path):
    arrays = make_arrays("one") | make_arrays("two", 12, scale=3.0, seed=1)
    return fill(tmp_path / "store", arrays), arrays


def describe(folder, manifest=None, name="made"):
    with FeatureStore(folder) as store:
        return describe_features(store, name, manifest)


def check_percentiles(found, values):
    """Each lies between the two values that numpy interpolates between, but for 2 ** -9 of them."""
    low = np.percentile(values, POINTS, method="lower")
    high = np.percentile(values, POINTS, method="higher")
    assert (found >= low - 2.0**-9 * np.abs(low) - 1e-37).all()
    assert (found <= high + 2.0**-9 * np.abs(high) + 1e-37).all()


def check(group, arrays):
    """Hold a group's figures against numpy's."""
    frames = np.concatenate(list(arrays)).astype("f8")
    lengths = [len(array) for array in arrays]
    assert (group.clips, group.n_frames) == (len(lengths), len(frames))
    assert (group.low, group.high) == (frames.min(), frames.max())
    assert group.mean == pytest.approx(frames.mean(), rel=1e-9)
    assert group.deviation == pytest.approx(frames.std(), rel=1e-9)
    assert group.nonzero == pytest.approx(np.count_nonzero(frames) / frames.size)
    check_percentiles([group.percentiles[str(point)] for point in POINTS], frames)
    for place, column in enumerate(group.columns):
        assert column.mean == pytest.approx(frames[:, place].mean(), rel=1e-9)
        assert column.deviation == pytest.approx(frames[:, place].std(), rel=1e-6)
        assert (column.low, column.high) == (frames[:, place].min(), frames[:, place].max())
    assert (group.frames.low, group.frames.high) == (min(lengths), max(lengths))
    assert group.frames.mean == pytest.approx(np.mean(lengths))
    told = [group.frames.percentiles[str(point)] for point in POINTS]
    np.testing.assert_allclose(told, np.percentile(lengths, POINTS))
    assert group.seconds.mean == pytest.approx(np.mean(lengths) / 50)


def test_figures_are_those_of_all_values_at_once(two_corpora):
    folder, arrays = two_corpora
    found = describe(folder)
    assert [group.corpus for group in found.groups] == ["all", "one", "two"]
    check(found.groups[0], arrays.values())
    for group in found.groups[1:]:
        check(group, [a for i, a in arrays.items() if i.startswith(group.corpus)])


def test_the_histogram_holds_every_value_but_the_ends(tmp_path):
    values = np.random.default_rng(0).normal(-50, 20, (4000, 3)).astype("f4")
    histogram = describe(fill(tmp_path / "store", {"one/a": values})).groups[0].histogram
    expected = np.histogram(values, histogram.edges)[0] / values.size
    np.testing.assert_allclose(histogram.shares, expected, atol=0.001)
    assert sum(histogram.shares) == pytest.approx(0.998, abs=5e-4)


def test_the_same_store_gives_the_same_figures(two_corpora):
    folder, _ = two_corpora
    assert describe(folder) == describe(folder)


FLOATS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)


@given(st.lists(FLOATS, min_size=1, max_size=200))
def test_percentiles_are_within_a_fifth_of_a_percent(values):
    tally = Tally(1)
    tally.add(np.array(values, "f4")[:, None])
    tally.settle()
    check_percentiles(tally.percentiles(POINTS), np.array(values))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_percentiles_of_lengths_are_numpys(lengths):
    counts = {length: lengths.count(length) for length in lengths}
    np.testing.assert_allclose(percentiles_of(counts, POINTS), np.percentile(lengths, POINTS))


def test_counting_in_parts_is_counting_at_once():
    rng = np.random.default_rng(0)
    frames = rng.normal(1e6, 1, (3000, 4)).astype("f4")  # where naive sums of squares fail
    whole, first, second = Tally(4), Tally(4), Tally(4)
    whole.add(frames)
    first.add(frames[:7])
    second.add(frames[7:])
    for tally in (whole, first, second):
        tally.settle()
    first.join(second)
    assert first.overall() == pytest.approx(whole.overall(), rel=1e-12)
    assert first.overall()[1] == pytest.approx(frames.astype("f8").std(), rel=1e-9)
    np.testing.assert_array_equal(first.buckets, whole.buckets)


def test_what_is_held_does_not_grow_with_the_clips():
    def held(tally):
        arrays = [value for value in vars(tally).values() if isinstance(value, np.ndarray)]
        return sum(array.nbytes for array in arrays) + sum(a.nbytes for a in tally._waiting)

    clip = np.random.default_rng(0).normal(size=(200, 64)).astype("f4")
    tally, sizes = Tally(64), []
    for _ in range(300):
        tally.add(clip)
        sizes.append(held(tally))
    tally.settle()
    assert max(sizes) - held(tally) <= 4 * (2**19 + clip.size)  # what waits: half a million values
    assert tally.n[0] == 300 * 200


# --- what a reader should know -----------------------------------------------------------------


def test_constant_columns_repetition_and_empty_frames_are_remarked(tmp_path):
    moving = np.arange(12, dtype="f4").reshape(4, 3)
    moving[:, 1] = 5
    arrays = {"one/a": moving, "one/b": np.tile(np.array([[9, 5, 2]], "f4"), (7, 1))}
    found = describe(fill(tmp_path / "store", arrays))
    assert found.groups[0].constant == ("b",)
    assert found.groups[0].repeated == 1
    remarks = " ".join(found.remarks)
    assert "1 columns never change, and tell nothing: b" in remarks
    assert "in 1 clips all frames are the same: one vector repeated in time" in remarks
    moving[:, 1] = 1
    moving[2] = 0
    found = describe(fill(tmp_path / "other", {"one/a": moving}))
    assert "1 of 4 frames are nothing but zeros" in " ".join(found.remarks)


def test_what_is_not_finite_is_counted_and_nothing_else_changes(tmp_path):
    frames = make_arrays("one", 1)["one/000"]
    broken = frames.copy()
    broken[0, 0], broken[1, 0], broken[2, 2] = np.nan, np.inf, -np.inf
    group = describe(fill(tmp_path / "store", {"one/a": broken})).groups[0]
    assert group.not_finite == 3
    left = np.where(np.isfinite(broken), broken, np.nan).astype("f8")
    assert group.mean == pytest.approx(np.nanmean(left))
    assert group.deviation == pytest.approx(np.nanstd(left))
    assert group.columns[0].mean == pytest.approx(np.nanmean(left[:, 0]))
    assert (group.low, group.high) == (np.nanmin(left), np.nanmax(left))


def test_a_column_that_is_nowhere_finite_has_no_figures(tmp_path):
    frames = np.ones((4, 3), "f4")
    frames[:, 1] = np.nan
    found = describe(fill(tmp_path / "store", {"one/a": frames}))
    assert math.isnan(found.groups[0].columns[1].mean)
    assert not re.search(r"\b(nan|inf)\b", render_description([found]))


def test_zeros_are_a_share_and_stay_out_of_a_sparse_histogram(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.maximum(0, rng.normal(-0.1, 0.1, (400, 3))).astype("f4")
    found = describe(fill(tmp_path / "store", {"one/a": frames}))
    assert not found.with_zeros
    assert found.groups[0].nonzero == pytest.approx(np.count_nonzero(frames) / frames.size)
    kept = frames[frames > 0]
    edges = np.array(found.groups[0].histogram.edges)
    expected = np.histogram(kept, edges)[0] / kept.size
    np.testing.assert_allclose(found.groups[0].histogram.shares, expected, atol=0.01)
    assert "that are not zero" in render_description([found])


def test_clips_that_failed_are_remarked(tmp_path):
    found = describe(fill(tmp_path / "store", make_arrays("one", 3), failed=("one/x", "one/y")))
    assert found.states == {"planned": 0, "done": 3, "failed": 2}
    assert "2 clips are failed, and not counted here" in found.remarks


def test_a_manifest_chooses_the_clips_and_says_their_corpora(two_corpora):
    folder, arrays = two_corpora
    clips = [
        Clip(f"mine/{i}", "mine" if place % 2 else "yours", "/x", sha256=i)
        for place, i in enumerate(arrays)
        if place < 10
    ]
    lost = Clip("mine/lost", "mine", "/x", sha256="lost")
    found = describe(folder, Manifest((*clips, lost)))
    assert [group.corpus for group in found.groups] == ["all", "mine", "yours"]
    check(found.groups[0], [array for place, array in enumerate(arrays.values()) if place < 10])
    assert "1 recordings of the manifest have no features here" in found.remarks
    with pytest.raises(StoreError, match="'made' holds no clip of the manifest; expected some"):
        describe(folder, Manifest((lost,)))


def test_columns_of_an_extractor_have_their_names(tmp_path):
    record = {**describe_extractor(create_extractor("logmel")), "decoder": "any"}
    arrays = {"one/a": np.zeros((5, 64), "f4")}
    found = describe(fill(tmp_path / "store", arrays, record, "logmel"), name="logmel")
    assert found.groups[0].columns[0].name == "mel_00_96hz"
    assert found.frame_rate == 62.5
    record["version"] = 99  # of a later package: the numbers are still there
    found = describe(fill(tmp_path / "later", arrays, record, "logmel"), name="logmel")
    assert (found.groups[0].columns[0].name, found.frame_rate) == ("column_0", None)


# --- manifests ---------------------------------------------------------------------------------


def make_manifest():
    def clip(number, emotion, speaker, sex, **facts):
        return Clip(
            f"one/{number}", "one", f"/x/{number}.wav", speaker=speaker, emotion=emotion, sex=sex,
            language="en", **facts,
        )  # fmt: skip

    return Manifest(
        (
            clip(1, "happy", "one:1", "female", intensity="strong"),
            clip(2, "sad", "one:1", "female", votes={"sad": 4}),
            clip(3, "sad", "one:2", "male"),
            clip(4, None, "one:2", "male"),
            replace(clip(5, "sad", "one:3", "male"), fault="not understood"),
        )
    )


def test_a_manifest_is_counted_by_corpus():
    (corpus,) = describe_manifest(make_manifest(), "m.csv").corpora
    assert (corpus.clips, corpus.faults, corpus.unlabelled) == (4, 1, 1)
    assert corpus.emotions == {"happy": 1, "sad": 2}
    assert corpus.speakers == {"female": 1, "male": 1}
    assert (corpus.intensities, corpus.with_votes) == ({"strong": 1}, 1)


# --- the page ----------------------------------------------------------------------------------


def test_the_page_stands_alone(two_corpora):
    folder, _ = two_corpora
    found = [describe(folder), describe_manifest(make_manifest(), "m.csv")]
    page = render_description(found)
    assert page.count("<svg") == 9  # values, lengths and columns of all, one and two
    for word in ("<script", "http:", "https:", "src=", "@import", "url("):
        assert word not in page
    body = page[page.index("<main>") : page.index("</main>") + 7]
    ElementTree.fromstring(body)  # well-formed
    assert str(folder.parent) not in page
    assert page == render_description(
        [describe(folder), describe_manifest(make_manifest(), "m.csv")]
    )


def test_clips_of_one_frame_have_no_lengths_to_draw(tmp_path):
    record = {**RECORD, "frame_rate": None}
    arrays = {f"one/{i}": np.array([[i, 2 * i, 1]], "f4") for i in range(5)}
    found = describe(fill(tmp_path / "store", arrays, record))
    page = render_description([found])
    assert "<h2>Lengths</h2>" not in page
    assert "frames a clip: mean" not in str(tables(found))


def test_names_from_outside_are_only_text(tmp_path):
    record = {**RECORD, "columns": ["<script>", "b&c", "d\u202ee"], "source": "<b>"}
    found = describe(fill(tmp_path / "store", {"<i>/a": np.ones((3, 3), "f4")}, record))
    page = render_description([found])
    assert "<script>" not in page
    assert "&lt;i&gt;" in page
    assert "\u202e" not in page


@pytest.mark.parametrize("frames", [np.zeros((1, 1)), np.ones((1, 3)), np.full((2, 700), -1e30)])
def test_any_store_can_be_drawn(tmp_path, frames):
    record = {**RECORD, "columns": [f"c{i}" for i in range(frames.shape[1])]}
    found = describe(fill(tmp_path / "store", {"one/a": frames.astype("f4")}, record))
    page = render_description([found])
    assert not re.search(r"\b(nan|inf)\b", page)
    ElementTree.fromstring(page[page.index("<main>") : page.index("</main>") + 7])


def test_a_page_that_cannot_be_written_leaves_nothing(two_corpora, tmp_path):
    folder, _ = two_corpora
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="expected a file to write"):
        write_description([describe(folder)], tmp_path / "file" / "page.html")
    assert not list(tmp_path.glob(".*"))


# --- the command -------------------------------------------------------------------------------


def test_the_command_prints_counts_and_writes_the_page(two_corpora, tmp_path, capsys):
    folder, arrays = two_corpora
    page = tmp_path / "page.html"
    assert run(["describe", str(folder), "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert "store: 'made', 3 columns, 50 frames a second" in out
    assert "50 % are below" in out
    assert page.is_file()
    assert f"{page}: written" in err
    make_manifest().write(tmp_path / "m.csv")
    assert run(["describe", str(tmp_path / "m.csv"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["corpora"][0]["emotions"] == {"happy": 1, "sad": 2}
    assert run(["describe", str(folder), "--features", "made", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["groups"][0]["clips"] == len(arrays)


def test_a_store_or_a_set_that_is_not_there_is_one_line(tmp_path, two_corpora, capsys):
    folder, _ = two_corpora
    assert run(["describe", str(tmp_path)]) == 2
    assert "no feature store" in capsys.readouterr().err
    assert run(["describe", str(folder), "--features", "mad"]) == 2
    assert "no features 'mad'; the store holds: made" in capsys.readouterr().err


def test_the_store_is_walked_a_shard_at_a_time(tmp_path, monkeypatch):
    from affectus import store as store_module

    monkeypatch.setattr(store_module, "SHARD_SIZE", 4)
    arrays = make_arrays("one", 10)
    folder = fill(tmp_path / "store", arrays)
    with FeatureStore(folder) as store:
        seen = {}
        for item, frames in store.walk("made"):
            seen[item.clip_id] = frames.copy()
            assert len(store._shards) == 1
        assert store._shards == {}
        assert store.count("made") == {"planned": 0, "done": 10, "failed": 0}
    assert seen.keys() == arrays.keys()
    for clip_id, frames in arrays.items():
        np.testing.assert_array_equal(seen[clip_id], frames)
