"""What is known of near copies is kept with their fingerprints, and never says too much."""

import sqlite3

import pytest

from affectus.store import FeatureStore, Result
from affectus.store.copies import Copies, enter_copies, read_copies

KEYS = ("a", "b", "c", "d")


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path / "store", create=True) as store, store.writing():
        store.define("logmel", {"name": "logmel"})
        ((shard, _),) = store.plan("logmel", [(key, key) for key in KEYS])
        results = [Result(key, 1, "", fingerprint=key.encode()) for key in KEYS]
        store.commit("logmel", shard, "0" * 64, results)
        yield store


def test_nothing_is_known_before_anything_was_compared(store):
    assert read_copies(store, "logmel", 1) == Copies(frozenset(), [])


def test_what_was_entered_is_known_and_more_can_be_added(store):
    assert enter_copies(store, "logmel", 1, set(), ["a", "b"], [("a", "b", 0.75)])
    assert read_copies(store, "logmel", 1) == Copies(frozenset("ab"), [("a", "b", 0.75)])
    assert enter_copies(store, "logmel", 1, {"a", "b"}, ["c"], [("b", "c", 0.9)])
    known = read_copies(store, "logmel", 1)
    assert known.compared == {"a", "b", "c"}
    assert sorted(known.pairs) == [("a", "b", 0.75), ("b", "c", 0.9)]
    assert read_copies(store, "other", 1) == Copies(frozenset(), [])


def test_two_that_compare_at_the_same_time_claim_no_pair_that_neither_saw(store):
    # One has compared a with b, the other c with d; nobody has compared a with c.
    assert enter_copies(store, "logmel", 1, set(), ["a", "b"], [])
    assert not enter_copies(store, "logmel", 1, set(), ["c", "d"], [("c", "d", 0.8)])
    assert read_copies(store, "logmel", 1) == Copies(frozenset("ab"), [])


def test_what_is_forgotten_or_made_again_is_not_known_any_more(store):
    enter_copies(store, "logmel", 1, set(), KEYS, [("a", "b", 0.7), ("c", "d", 0.8)])
    store.forget("logmel", ["b"])
    assert read_copies(store, "logmel", 1) == Copies(frozenset("acd"), [("c", "d", 0.8)])
    ((shard, _),) = store.plan("logmel", [("b", "b")])
    store.commit("logmel", shard, "1" * 64, [Result("b", 1, "", fingerprint=b"new")])
    assert "b" not in read_copies(store, "logmel", 1).compared
    store.commit("logmel", shard, "", [Result("c", 1, "", fingerprint=b"another")])
    assert read_copies(store, "logmel", 1) == Copies(frozenset("ad"), [])


def test_what_was_forgotten_meanwhile_is_not_entered(store):
    store.forget("logmel", ["b"])
    assert enter_copies(store, "logmel", 1, set(), ["a", "b"], [("a", "b", 0.75)])
    assert read_copies(store, "logmel", 1) == Copies(frozenset("a"), [])


def test_what_another_comparison_found_is_not_known_and_is_replaced(store):
    enter_copies(store, "logmel", 1, set(), ["a", "b"], [("a", "b", 0.75)])
    assert read_copies(store, "logmel", 2) == Copies(frozenset(), [])
    assert enter_copies(store, "logmel", 2, set(), ["a", "b", "c"], [("b", "c", 0.9)])
    assert read_copies(store, "logmel", 2) == Copies(frozenset("abc"), [("b", "c", 0.9)])
    assert read_copies(store, "logmel", 1) == Copies(frozenset(), [])


def test_the_index_stays_sound(store):
    enter_copies(store, "logmel", 1, set(), KEYS, [("a", "b", 0.75)])
    index = sqlite3.connect(store.folder / "index.sqlite")
    assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert index.execute("PRAGMA foreign_key_check").fetchall() == []
    index.close()
