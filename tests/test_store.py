"""The feature store: what goes in comes out, and nothing is lost by kills, damage or a full disk.

Run as a program, this file is the process that is killed: see `main`.
"""

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from affectus import store as store_module
from affectus.errors import DiskError, StoreError
from affectus.store import (
    FeatureStore,
    Item,
    Note,
    Result,
    Spool,
    read_shard,
    shard_path,
    write_shard,
)
from affectus.store import index as index_module

RECORD = {"name": "toy", "version": 1, "n_mels": 4, "f_max": 8000.0, "trim_db": None}
STRIDE = 11  # steps between two kills; 1 kills at every line, in half a minute
KEYS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(10)]


def array(key):
    """The array of a key: another shape and other numbers for each."""
    rng = np.random.default_rng(int(key[:8], 16))
    return rng.normal(size=(1 + int(key[0], 16) % 7, 4)).astype(np.float32)


def make_shard(store, shard, keys, failed=()):
    """Do what a worker and the extraction do with one shard; `failed` keys give no array."""
    made = {key: array(key) for key in keys if key not in failed}
    sha256 = write_shard(store.folder, "toy", shard, made)
    results = [
        Result(key, code="E1002", reason="not audio")
        if key in failed
        else Result(key, len(array(key)), f"sound of {key[:8]}")
        for key in keys
    ]
    store.commit("toy", shard, sha256, results)


def fill(folder, keys=KEYS, *, failed=(), retry_failed=False, most=None):
    """Plan the keys and make their shards, at most `most` of them."""
    with FeatureStore(folder, create=True) as store, store.writing():
        store.define("toy", RECORD)
        shards = store.plan("toy", [(k, f"clip-{k[:8]}") for k in keys], retry_failed=retry_failed)
        for shard, members in shards[:most]:
            make_shard(store, shard, members, failed)


def shards_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def ledger_of(folder):
    with FeatureStore(folder) as store:
        return list(store.ledger("toy"))


def states_of(folder):
    return {item.key: item.state for item in ledger_of(folder)}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 3)


@pytest.fixture
def filled(tmp_path):
    fill(tmp_path / "store")
    return tmp_path / "store"


# --- reading what was written ---


def test_arrays_come_back_bit_equal_after_reopening(filled):
    with FeatureStore(filled) as store:
        for key in KEYS:
            found = store.get("toy", key)
            assert found.dtype == np.float32
            assert found.tobytes() == array(key).tobytes()
            assert found.shape == array(key).shape


@pytest.mark.parametrize(
    "values",
    [
        np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32),
        np.zeros((0, 4), np.float32),
        np.arange(24, dtype=np.float32).reshape(4, 6).T,
    ],
    ids=["not finite", "no frames", "not contiguous"],
)
def test_odd_arrays_come_back_bit_equal(tmp_path, values):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("toy", RECORD)
        ((shard, _),) = store.plan("toy", [("k", "clip")])
        store.commit(
            "toy", shard, write_shard(tmp_path, "toy", shard, {"k": values}), [Result("k")]
        )
        found = store.get("toy", "k")
    assert found.shape == values.shape
    assert found.tobytes() == values.tobytes()


def test_an_array_of_doubles_is_stored_as_the_float32_that_get_promises(tmp_path):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("toy", RECORD)
        ((shard, _),) = store.plan("toy", [("k", "clip")])
        sha256 = write_shard(tmp_path, "toy", shard, {"k": np.full((2, 3), 1 / 3)})
        store.commit("toy", shard, sha256, [Result("k")])
        found = store.get("toy", "k")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.full((2, 3), 1 / 3, np.float32))


def test_an_array_may_be_changed_without_changing_the_store(filled):
    with FeatureStore(filled) as store:
        found = store.get("toy", KEYS[0])
        found[:] = 0
        assert store.get("toy", KEYS[0]).tobytes() == array(KEYS[0]).tobytes()


def test_each_array_that_is_done_comes_once_with_its_key(tmp_path):
    fill(tmp_path, failed=KEYS[:2], most=2)
    done = {key for key, state in states_of(tmp_path).items() if state == "done"}
    with FeatureStore(tmp_path) as store:
        found = [(item.key, values.tobytes()) for item, values in store.walk("toy")]
        assert store._shards == {}  # none is kept open
    assert sorted(found) == sorted((key, array(key).tobytes()) for key in done)


def test_a_shard_is_a_plain_safetensors_file(filled):
    # Read by the format's own library, not by the store.
    found = {}
    for path in filled.glob("*.safetensors"):
        found |= safetensors.numpy.load_file(path)
    assert found.keys() == set(KEYS)
    assert all(found[key].tobytes() == array(key).tobytes() for key in KEYS)


def test_the_ledger_says_what_became_of_each_item(tmp_path):
    fill(tmp_path, failed=KEYS[:1], most=3)
    items = {item.key: item for item in ledger_of(tmp_path)}
    assert items.keys() == set(KEYS)
    clip = f"clip-{KEYS[0][:8]}"
    assert items[KEYS[0]] == Item(KEYS[0], clip, "failed", "E1002", "not audio", 0, "")
    done = items[KEYS[1]]
    assert (done.state, done.n_frames) == ("done", len(array(KEYS[1])))
    assert done.audio_sha256 == f"sound of {KEYS[1][:8]}"
    assert [item.state for item in items.values()].count("planned") == 1  # ten in shards of three


def test_two_feature_sets_lie_side_by_side(filled):
    other = {**RECORD, "name": "other"}
    with FeatureStore(filled) as store, store.writing():
        store.define("other", other)
        ((shard, keys),) = store.plan("other", [(KEYS[0], "clip")])
        values = np.ones((2, 2), np.float32)
        sha256 = write_shard(filled, "other", shard, {KEYS[0]: values})
        store.commit("other", shard, sha256, [Result(key) for key in keys])
    with FeatureStore(filled) as store:
        assert store.features() == ("other", "toy")
        assert store.record("other") == other
        np.testing.assert_array_equal(store.get("other", KEYS[0]), values)
        assert store.get("toy", KEYS[0]).tobytes() == array(KEYS[0]).tobytes()


def test_a_reader_sees_a_shard_once_it_is_committed(tmp_path):
    fill(tmp_path, most=1)
    with FeatureStore(tmp_path) as reader:
        done, planned = next(k for k, s in states_of(tmp_path).items() if s == "done"), KEYS[9]
        assert reader.get("toy", done).tobytes() == array(done).tobytes()
        with pytest.raises(StoreError, match="is planned"):
            reader.get("toy", planned)
        fill(tmp_path)
        assert reader.get("toy", planned).tobytes() == array(planned).tobytes()


# --- what is not there ---


def test_an_unknown_key_is_refused(filled):
    with FeatureStore(filled) as store, pytest.raises(StoreError) as caught:
        store.get("toy", "f" * 64)
    assert str(caught.value) == (
        f"StoreError: {filled}: 'toy' of ffffffffffff… is not planned; expected it done. "
        "Run: affectus extract"
    )


@pytest.mark.parametrize(("state", "most"), [("planned", 0), ("failed", None)])
def test_a_key_that_is_not_done_is_refused(tmp_path, state, most):
    fill(tmp_path, failed=KEYS, most=most)
    with FeatureStore(tmp_path) as store, pytest.raises(StoreError, match=f"is {state}; expected"):
        store.get("toy", KEYS[0])


def test_unknown_features_are_refused_with_those_that_are_there(filled, tmp_path):
    with FeatureStore(filled) as store, pytest.raises(StoreError) as caught:
        store.record("toyy")
    assert str(caught.value) == (
        f"StoreError: {filled}: no features 'toyy'; the store holds: toy. Run: affectus extract"
    )
    new = FeatureStore(tmp_path / "new", create=True)
    with new, pytest.raises(StoreError, match="the store holds: nothing"):
        new.record("toy")


@pytest.mark.parametrize("made", [False, True], ids=["no folder", "an empty folder"])
def test_a_folder_without_a_store_is_refused_and_left_as_it_was(tmp_path, made):
    folder = tmp_path / "absent"
    if made:
        folder.mkdir()
    with pytest.raises(StoreError) as caught:
        FeatureStore(folder)
    assert str(caught.value) == (
        f"StoreError: {folder}: no feature store; expected a folder with index.sqlite. "
        f"Make one with: affectus extract MANIFEST --store {folder}"
    )
    assert folder.exists() == made
    assert not made or list(folder.iterdir()) == []


# --- parameters ---


def test_other_parameters_are_refused_and_each_is_named(filled):
    changed = {**RECORD, "n_mels": 8, "f_max": 4000.0, "new": True}
    with FeatureStore(filled) as store, pytest.raises(StoreError) as caught:
        store.define("toy", changed)
    assert str(caught.value) == (
        f"StoreError: {filled}: 'toy' was made with other parameters: f_max is 8000.0 there and "
        "4000.0 here; n_mels is 4 there and 8 here; new is None there and True here; expected the "
        "same. Use another --store folder, or the same parameters."
    )
    with FeatureStore(filled) as store:
        assert store.record("toy") == RECORD


def test_the_same_parameters_in_another_order_are_taken(filled):
    with FeatureStore(filled) as store:
        store.define("toy", dict(reversed(RECORD.items())))


def test_checking_parameters_writes_nothing(filled):
    # So that a store that may only be read can be trained on.
    index = sqlite3.connect(filled / "index.sqlite", isolation_level=None)
    with FeatureStore(filled) as store:
        index.execute("BEGIN IMMEDIATE")  # another process is writing
        store.define("toy", RECORD)
        index.execute("ROLLBACK")
    index.close()


# --- planning ---


def test_members_of_a_shard_are_fixed_by_the_first_plan(tmp_path):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("toy", RECORD)
        first = store.plan("toy", [(key, key) for key in KEYS])
        shuffled = random.Random(1).sample(KEYS, len(KEYS))
        assert store.plan("toy", [(key, key) for key in shuffled]) == first
    assert [number for number, _ in first] == [0, 1, 2, 3]
    assert [keys for _, keys in first] == [sorted(KEYS[n : n + 3]) for n in range(0, 10, 3)]


def test_the_bytes_of_a_shard_do_not_depend_on_the_order_of_its_arrays(tmp_path):
    made = {key: array(key) for key in KEYS}
    one = write_shard(tmp_path, "one", 0, made)
    other = write_shard(tmp_path, "other", 0, dict(reversed(made.items())))
    assert one == other
    content = shard_path(tmp_path, "one", 0).read_bytes()
    assert content == shard_path(tmp_path, "other", 0).read_bytes()
    assert one == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_shard_is_what_the_safetensors_library_writes(tmp_path, kind):
    made = {
        f"{place}\u00fc": np.arange(4 * place, dtype=kind).reshape(-1, 4) for place in range(11)
    }
    note = Note({"name": "t\u00f6y", "rate": 0.1}, [('a "clip"\n', Result("k", 3, "sound"))])
    write_shard(tmp_path, "toy", 0, made, note)
    content = shard_path(tmp_path, "toy", 0).read_bytes()
    with safetensors.safe_open(shard_path(tmp_path, "toy", 0), "numpy") as file:
        metadata = file.metadata()
        assert sorted(file.keys()) == sorted(made)
    assert content == safetensors.numpy.save(made, metadata)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_an_array_that_waited_in_a_file_gives_the_same_shard(tmp_path, kind):
    rng = np.random.default_rng(1)
    made = {key: rng.integers(0, 255, (900, 1_300)).astype(kind) for key in KEYS[:3]}
    note = Note(RECORD, [(key, Result(key, 900)) for key in made])
    one = write_shard(tmp_path, "one", 0, made, note)
    with Spool(tmp_path) as spool:
        waiting = {}
        for key, values in made.items():
            lost = spool.begin()
            lost.append(values[:7])
            lost.drop()
            waiting[key] = spool.begin()
            for piece in np.array_split(values, 5):
                waiting[key].append(piece)
            assert waiting[key].shape == values.shape
        assert write_shard(tmp_path, "other", 0, waiting, note) == one
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one-000000.safetensors", "other-000000.safetensors",
    ]  # fmt: skip


def test_a_shard_without_arrays_has_no_file(tmp_path):
    assert write_shard(tmp_path, "toy", 0, {}) == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_done_is_not_planned_again(filled):
    with FeatureStore(filled) as store, store.writing():
        assert store.plan("toy", [(key, key) for key in KEYS]) == []


def test_an_item_given_twice_is_planned_once(tmp_path):
    fill(tmp_path, [KEYS[0], KEYS[1], KEYS[0]])
    assert states_of(tmp_path) == {KEYS[0]: "done", KEYS[1]: "done"}


def test_items_added_later_leave_the_bytes_of_old_shards_alone(tmp_path):
    fill(tmp_path, KEYS[:5])
    before = shards_of(tmp_path)
    fill(tmp_path, KEYS)
    after = shards_of(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2  # five more, in shards of three
    assert set(states_of(tmp_path).values()) == {"done"}


def test_failed_items_are_left_alone_unless_they_are_to_be_retried(tmp_path):
    fill(tmp_path, failed=KEYS[:2])
    before = shards_of(tmp_path)
    fill(tmp_path)
    assert shards_of(tmp_path) == before
    assert [states_of(tmp_path)[key] for key in KEYS[:3]] == ["failed", "failed", "done"]


def test_retried_items_go_to_a_new_shard_and_old_bytes_stay(tmp_path):
    fill(tmp_path, failed=KEYS[:2])
    before = shards_of(tmp_path)
    fill(tmp_path, retry_failed=True)
    after = shards_of(tmp_path)
    assert set(states_of(tmp_path).values()) == {"done"}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1
    with FeatureStore(tmp_path) as store:
        assert all(store.get("toy", key).tobytes() == array(key).tobytes() for key in KEYS)


def test_retrying_some_items_keeps_the_failures_of_others_on_record(tmp_path):
    fill(tmp_path, failed=KEYS[:2])
    fill(tmp_path, [KEYS[0]], retry_failed=True)
    states = states_of(tmp_path)
    assert (states[KEYS[0]], states[KEYS[1]]) == ("done", "failed")


def test_a_retry_may_fail_again(tmp_path):
    fill(tmp_path, failed=KEYS)
    fill(tmp_path, failed=KEYS[:1], retry_failed=True)
    assert list(states_of(tmp_path).values()).count("failed") == 1
    fill(tmp_path, retry_failed=True)
    assert set(states_of(tmp_path).values()) == {"done"}


def test_a_shard_planned_with_an_item_that_is_gone_is_made_without_it(tmp_path):
    # A run that was cut short, and then one clip taken out of the manifest: the others must not
    # wait for it for ever.
    fill(tmp_path, most=1)
    fill(tmp_path, [key for key in KEYS if key != KEYS[4]])
    states = states_of(tmp_path)
    assert states.pop(KEYS[4], "planned") == "planned"
    assert states == {key: "done" for key in KEYS if key != KEYS[4]}


def test_shards_planned_of_other_items_alone_are_not_returned(tmp_path):
    fill(tmp_path, KEYS[:3], most=0)
    with FeatureStore(tmp_path) as store, store.writing():
        shards = store.plan("toy", [(key, key) for key in KEYS[3:]])
    assert sorted(key for _, keys in shards for key in keys) == sorted(KEYS[3:])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(KEYS), min_size=1), st.integers(0, 2), st.booleans()),
        max_size=4,
    ),
    st.sets(st.sampled_from(KEYS)),
)
def test_after_any_history_a_finished_run_has_each_of_its_items_once(tmp_path_factory, runs, bad):
    folder = tmp_path_factory.mktemp("history")
    for keys, most, retry in runs:
        fill(folder, sorted(keys), failed=bad, most=most, retry_failed=retry)
    fill(folder, failed=bad)
    assert states_of(folder) == {key: "failed" if key in bad else "done" for key in KEYS}
    stored = [
        key
        for path in folder.glob("*.safetensors")
        for key in safetensors.numpy.load_file(path)
    ]  # fmt: skip
    assert sorted(stored) == sorted(set(KEYS) - bad)
    with FeatureStore(folder) as store:
        for key in set(KEYS) - bad:
            assert store.get("toy", key).tobytes() == array(key).tobytes()
    shutil.rmtree(folder)


# --- one writer ---


def test_a_second_writer_is_refused_with_the_number_of_the_first(filled):
    one, other = FeatureStore(filled), FeatureStore(filled)
    with one, other, one.writing(), pytest.raises(StoreError) as caught, other.writing():
        pytest.fail("two writers")
    assert str(caught.value) == (
        f"StoreError: {filled}: being written by process {os.getpid()}; expected nobody. "
        "Wait for it, or use another folder."
    )


def test_the_lock_of_a_killed_writer_is_free_at_once(filled):
    writer = subprocess.Popen(
        [sys.executable, __file__, "hold", str(filled)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout.readline() == "holding\n"
        with FeatureStore(filled) as store:
            with pytest.raises(StoreError, match=f"by process {writer.pid};"), store.writing():
                pytest.fail("two writers")
            writer.kill()
            writer.wait()
            with store.writing():
                pass


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_disk(filled):
    with FeatureStore(filled) as store, pytest.raises(BrokenPipeError), store.writing():
        raise BrokenPipeError(errno.EPIPE, "the reader of our output has gone")


# --- damage ---


def flip_bit(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", [9, -1, -5])
def test_a_flipped_bit_in_a_shard_is_refused(filled, place):
    path = shard_path(filled, "toy", 0)
    flip_bit(path, place)
    with FeatureStore(filled) as store:
        with pytest.raises(StoreError) as caught:
            store.get("toy", KEYS[0])
        assert store.get("toy", KEYS[9]).tobytes() == array(KEYS[9]).tobytes()
    assert str(caught.value).startswith(
        f"StoreError: {path}: its bytes have changed since they were written; expected SHA-256 "
    )


@pytest.mark.parametrize("bit", [0, 3, 5])
def test_a_bit_flipped_anywhere_in_a_shard_is_seen_without_an_index(tmp_path, bit):
    # From such a note the index is made again: nothing else says what the record was.
    results = [Result("a", 2, "5f", fingerprint=b"mark"), Result("b", code="E1002", reason="text")]
    note = Note({"n_mels": 4, "name": "toy"}, [("own/1", results[0]), ("own/2", results[1])])
    write_shard(tmp_path, "toy", 0, {"a": np.arange(8, dtype=np.float32).reshape(2, 4)}, note)
    path = shard_path(tmp_path, "toy", 0)
    whole = path.read_bytes()
    assert read_shard(path)[1] == note
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        with pytest.raises(StoreError, match="expected a shard with its note"):
            read_shard(path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_shard_is_refused(filled, kept):
    path = shard_path(filled, "toy", 0)
    path.write_bytes(path.read_bytes()[:kept])
    with FeatureStore(filled) as store, pytest.raises(StoreError) as caught:
        store.get("toy", KEYS[0])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_shard_is_refused(filled):
    path = shard_path(filled, "toy", 0)
    path.unlink()
    with FeatureStore(filled) as store, pytest.raises(StoreError) as caught:
        store.get("toy", KEYS[0])
    assert str(caught.value) == (
        f"StoreError: {path}: No such file or directory; expected a shard of toy. "
        f"Mend it: affectus doctor {path.parent}"
    )


def test_swapped_shards_are_refused(filled):
    one, other = shard_path(filled, "toy", 0), shard_path(filled, "toy", 1)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second), other.write_bytes(first)
    with FeatureStore(filled) as store, pytest.raises(StoreError, match="bytes have changed"):
        store.get("toy", KEYS[0])


def test_an_index_replaced_by_text_is_refused_in_one_line(filled):
    (filled / "index.sqlite").write_text("this is no database, and never was\n" * 100)
    with pytest.raises(StoreError) as caught:
        FeatureStore(filled)
    assert str(caught.value) == (
        f"StoreError: {filled}/index.sqlite: file is not a database; expected a feature store. "
        "Use another folder."
    )


def test_an_emptied_index_is_refused_and_not_taken_for_a_new_store(filled):
    (filled / "index.sqlite").write_bytes(b"")
    with pytest.raises(StoreError, match="no feature store"):
        FeatureStore(filled)


def test_a_damaged_index_gives_the_right_array_or_an_error_in_words(filled):
    index = filled / "index.sqlite"
    sound = index.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(60):
        place = rng.choice([rng.randrange(200), rng.randrange(len(sound))])
        index.write_bytes(sound)
        flip_bit(index, place)
        try:
            with FeatureStore(filled) as store:
                store.record("toy")
                found = {key: store.get("toy", key) for key in KEYS}
        except StoreError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert all(found[key].tobytes() == array(key).tobytes() for key in KEYS)
    assert refused  # else nothing was damaged


def test_a_record_that_is_damaged_is_refused(filled):
    index = sqlite3.connect(filled / "index.sqlite", isolation_level=None)
    index.execute("UPDATE features SET record = '{\"name'")
    index.close()
    with FeatureStore(filled) as store, pytest.raises(StoreError, match="record of 'toy'"):
        store.record("toy")


def test_a_store_of_a_newer_version_is_refused(filled):
    index = sqlite3.connect(filled / "index.sqlite", isolation_level=None)
    index.execute("PRAGMA user_version = 3")
    index.close()
    with pytest.raises(StoreError) as caught:
        FeatureStore(filled, create=True)
    assert str(caught.value) == (
        f"StoreError: {filled}: store version 3; expected 2 or 1. "
        "Use the version of Affectus that made it, or extract again."
    )


# --- fingerprints, and stores from before there were any ---


@pytest.fixture
def first_version(filled):
    """A store as version 1 wrote it: without the table of fingerprints."""
    index = sqlite3.connect(filled / "index.sqlite", isolation_level=None)
    index.executescript("DROP TABLE fingerprints; PRAGMA user_version = 1;")
    index.close()
    return filled


def version_of(folder):
    index = sqlite3.connect(folder / "index.sqlite")
    (version,) = index.execute("PRAGMA user_version").fetchone()
    index.close()
    return version


def test_fingerprints_are_kept_by_key_and_feature_set(tmp_path):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        for name, prints in (("toy", (b"\x00up", b"", None)), ("other", (b"else",) * 3)):
            store.define(name, {**RECORD, "name": name})
            ((shard, keys),) = store.plan(name, [(key, "clip") for key in KEYS[:3]])
            sha256 = write_shard(tmp_path, name, shard, {key: array(key) for key in keys})
            by_key = dict(zip(sorted(KEYS[:3]), prints, strict=True))
            results = [Result(key, 1, "sound", fingerprint=by_key[key]) for key in keys]
            store.commit(name, shard, sha256, results)
    first, second, _ = sorted(KEYS[:3])
    with FeatureStore(tmp_path) as store:
        # Silence has an empty one; the third was never taken.
        assert store.fingerprints("toy") == {first: b"\x00up", second: b""}
        assert store.fingerprints("other") == dict.fromkeys(KEYS[:3], b"else")


def test_what_is_forgotten_has_no_fingerprint(tmp_path):
    with FeatureStore(tmp_path, create=True) as store, store.writing():
        store.define("toy", RECORD)
        ((shard, keys),) = store.plan("toy", [(KEYS[0], "clip"), (KEYS[1], "clip")])
        sha256 = write_shard(tmp_path, "toy", shard, {key: array(key) for key in keys})
        store.commit("toy", shard, sha256, [Result(key, 1, "s", fingerprint=b"f") for key in keys])
        store.forget("toy", [KEYS[0]])
        assert store.fingerprints("toy") == {KEYS[1]: b"f"}


def test_a_store_of_version_1_is_read_as_it_is(first_version):
    before = ledger_of(first_version)
    with FeatureStore(first_version) as store:
        assert store.fingerprints("toy") == {}
        assert all(store.get("toy", key).tobytes() == array(key).tobytes() for key in KEYS)
    assert version_of(first_version) == 1
    assert ledger_of(first_version) == before


def test_a_store_of_version_1_becomes_version_2_when_it_is_written(first_version):
    before, shards = ledger_of(first_version), shards_of(first_version)
    key = hashlib.sha256(b"new").hexdigest()
    with FeatureStore(first_version) as store, store.writing():
        ((shard, _),) = store.plan("toy", [(key, "clip")])
        sha256 = write_shard(store.folder, "toy", shard, {key: array(key)})
        store.commit("toy", shard, sha256, [Result(key, 1, "sound", fingerprint=b"new")])
    assert version_of(first_version) == 2
    assert [item for item in ledger_of(first_version) if item.key != key] == before
    assert shards.items() <= shards_of(first_version).items()
    with FeatureStore(first_version) as store:
        assert store.fingerprints("toy") == {key: b"new"}


# --- the disk ---


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", [0, 1, 2, 3], ids=lambda call: f"sync {call}")
def test_a_full_disk_stops_the_run_and_what_was_committed_is_safe(tmp_path, monkeypatch, call):
    # Syncs go file, folder, file, folder: two for each shard.
    folder, clean = tmp_path / "store", tmp_path / "clean"
    fill(clean)
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        return full() if len(calls) > call else real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(DiskError) as caught:
            fill(folder)
    assert caught.value.exit_code == 5
    assert str(caught.value) == (
        f"DiskError: {folder}: No space left on device; expected a folder to write. Free some "
        "space; what was committed is safe. Then run the command again."
    )
    n_done = list(states_of(folder).values()).count("done")
    assert n_done == 3 * (call // 2)
    assert list(folder.glob(".*")) == []  # what was half written would fill the disk still
    fill(folder)
    assert shards_of(folder) == shards_of(clean)
    assert ledger_of(folder) == ledger_of(clean)


def test_a_disk_that_cannot_even_open_a_file_stops_the_run(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(DiskError, match="No space left on device"):
            write_shard(tmp_path, "toy", 0, {"k": array(KEYS[0])})
    assert list(tmp_path.iterdir()) == []


def test_an_index_without_room_stops_the_run_in_words(filled):
    # SQLite itself says that it is full, and rolls the transaction back before we can.
    before = ledger_of(filled)
    with FeatureStore(filled) as store, store.writing():
        store._index.execute("PRAGMA max_page_count = 1")
        with pytest.raises(DiskError) as caught:
            store.plan("toy", [(f"{n:064d}", "x" * 200) for n in range(500)])
        assert str(caught.value) == (
            f"DiskError: {filled}/index.sqlite: database or disk is full; expected a store that "
            "can be written. Check space and rights; what was committed is safe."
        )
        store._index.execute("PRAGMA max_page_count = 1000000")
        assert len(store.plan("toy", [("new", "clip")])) == 1  # no transaction was left open
    assert [item for item in ledger_of(filled) if item.key != "new"] == before


def test_a_file_in_the_place_of_the_folder_is_an_error_of_the_disk(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="File exists; expected a folder to write"):
        FeatureStore(tmp_path / "file", create=True)


@pytest.fixture(params=["told so", "truly"])
def read_only(request, filled, monkeypatch):
    if request.param == "told so":
        monkeypatch.setattr(os, "access", lambda *_: False)
    elif os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    filled.chmod(0o500)
    yield filled
    filled.chmod(0o700)


def test_a_folder_that_may_not_be_written_can_be_read(read_only):
    before = sorted(path.name for path in read_only.iterdir())
    with FeatureStore(read_only) as store:
        store.define("toy", RECORD)
        assert all(store.get("toy", key).tobytes() == array(key).tobytes() for key in KEYS)
    assert sorted(path.name for path in read_only.iterdir()) == before


def test_a_folder_that_may_not_be_written_refuses_a_writer_in_words(read_only):
    with pytest.raises(DiskError) as caught:
        fill(read_only, [*KEYS, "new"])
    assert str(caught.value).startswith(f"DiskError: {read_only}")
    assert caught.value.exit_code == 5


def test_odd_letters_in_the_name_of_the_folder_do_no_harm(tmp_path):
    folder = tmp_path / "100% ?immutable=1 #é"
    fill(folder)
    with FeatureStore(folder) as store:
        assert store.get("toy", KEYS[0]).tobytes() == array(KEYS[0]).tobytes()


def test_every_step_is_on_the_disk_before_the_next(tmp_path, monkeypatch):
    steps = []
    real_sync, real_replace = os.fsync, Path.replace

    def fsync(handle):
        steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name}")
        real_sync(handle)

    def replace(path, target):
        steps.append(f"rename to {target.name}")
        return real_replace(path, target)

    with FeatureStore(tmp_path / "store", create=True) as store, store.writing():
        store.define("toy", RECORD)
        ((shard, _),) = store.plan("toy", [("k", "clip")])
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)
        store._index.set_trace_callback(lambda sql: steps.append(sql.split()[0]))
        make_shard(store, shard, [KEYS[0]])
        store._index.set_trace_callback(None)
        assert store._index.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._index.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    shard_name = "toy-000000.safetensors"
    assert steps == [
        f"sync .{shard_name}.{os.getpid()}.tmp",
        f"rename to {shard_name}",
        "sync store",
        "BEGIN",
        "INSERT",
        "UPDATE",
        "COMMIT",
    ]


# --- killed anywhere ---


def test_a_run_killed_at_any_line_and_resumed_ends_with_the_same_bytes(tmp_path):
    found = run_program("kill", tmp_path)
    assert found["faults"] == []
    assert found["kills"] >= 60


def test_the_check_finds_a_store_that_commits_before_it_writes(tmp_path):
    # The control: a check that cannot fail proves nothing.
    found = run_program("kill", tmp_path, "commit-first")
    assert any("is done and cannot be read" in fault for fault in found["faults"])


def run_program(*arguments):
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def commit_first(store, shard, keys, failed=()):
    """The deliberate mistake: the index is told of a shard that is not written yet."""
    made = {key: array(key) for key in keys}
    elsewhere = store.folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    sha256 = write_shard(elsewhere, "toy", shard, made)
    store.commit("toy", shard, sha256, [Result(k, len(made[k]), f"sound of {k[:8]}") for k in keys])
    write_shard(store.folder, "toy", shard, made)


def die_at(step):
    """Kill this process at the given step: a line of the store, or of `make_shard`."""
    watched = {store_module.__file__, index_module.__file__, __file__}
    left = [step]

    def trace(frame, event, _):
        if frame.f_code.co_filename not in watched:
            return None
        left[0] -= event == "line"
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def die_in_the_middle_of_a_file(number):
    """Kill this process when the given file is half written."""
    files = [0]

    def fsync(handle):
        size = os.fstat(handle).st_size
        if Path(f"/proc/self/fd/{handle}").readlink().suffix == ".tmp":
            files[0] += 1
            if files[0] == number:
                os.truncate(handle, size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync


def in_child(prepare, folder):
    """Fill the store in a child process; return whether it was killed."""
    child = os.fork()
    if child == 0:
        prepare()
        fill(folder)
        sys.settrace(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


def inspect(folder):
    """Return what is wrong with a store after a kill: a key that is done must be readable."""
    if not (folder / "index.sqlite").exists() or not (folder / "index.sqlite").stat().st_size:
        return []
    faults = []
    with FeatureStore(folder) as store:
        for item in store.ledger("toy"):
            if item.state == "done":
                try:
                    same = store.get("toy", item.key).tobytes() == array(item.key).tobytes()
                except StoreError as error:
                    faults.append(f"{item.clip_id} is done and cannot be read: {error}")
                else:
                    faults += [] if same else [f"{item.clip_id} is another array"]
    return faults


def judge(chain, folder, clean):
    """Kill runs in one folder, one after the other, then finish; return kills and faults."""
    killed = sum(in_child(prepare, folder) for prepare in chain)
    faults = inspect(folder)
    fill(folder)
    faults += compare(folder, clean)
    shutil.rmtree(folder)
    return killed, faults


def compare(folder, clean):
    """Return how a resumed store differs from an undisturbed one."""
    faults = [] if shards_of(folder) == shards_of(clean) else ["other bytes"]
    faults += [] if ledger_of(folder) == ledger_of(clean) else ["another ledger"]
    faults += [f"{path.name} is left" for path in folder.glob(".*")]
    index = sqlite3.connect(folder / "index.sqlite")
    (health,) = index.execute("PRAGMA integrity_check").fetchone()
    index.close()
    return faults + ([] if health == "ok" else [health])


def main(command, folder, order=""):
    """`hold FOLDER`: lock a store and wait. `kill FOLDER`: kill runs everywhere and judge them."""
    folder = Path(folder)
    if command == "hold":
        with FeatureStore(folder) as store, store.writing():
            print("holding", flush=True)
            signal.pause()
    store_module.SHARD_SIZE = 3
    if order == "commit-first":
        globals()["make_shard"] = commit_first
    clean = folder / "clean"
    fill(clean)
    faults, kills, step = [], 0, 0
    while True:  # until a step is beyond the last
        killed, found = judge([lambda s=step: die_at(s)], folder / "killed", clean)
        faults += [f"at step {step}: {fault}" for fault in found]
        if not killed or faults:
            break
        kills, step = kills + 1, step + STRIDE
    for number in (1, 2, 4):
        killed, found = judge(
            [lambda n=number: die_in_the_middle_of_a_file(n)], folder / "killed", clean
        )
        kills += killed
        faults += [f"in file {number}: {fault}" for fault in found]
    for seed in range(8):  # the resumed run is killed, too
        steps = random.Random(seed).choices(range(step), k=3)
        chain = [lambda s=s: die_at(s) for s in steps]
        killed, found = judge(chain, folder / "killed", clean)
        kills += killed
        faults += [f"at steps {steps}: {fault}" for fault in found]
    print(json.dumps({"kills": kills, "faults": faults}))


if __name__ == "__main__":
    main(*sys.argv[1:])
