"""The store through any history: extraction, kills, damage, doctor; held against a plain dict."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from affectus import store as store_module
from affectus.errors import StoreError
from affectus.store import FeatureStore, Note, Result, shard_path, write_shard
from affectus.store.repair import examine_store

RECORD = {"name": "toy", "version": 1, "n_mels": 4}
KEYS = [hashlib.sha256(bytes([number])).hexdigest()[:10] for number in range(12)]
SOME = st.lists(st.sampled_from(KEYS), min_size=1, max_size=8, unique=True)


def array(key):
    """The array of a key: another shape and other numbers for each."""
    rng = np.random.default_rng(int(key[:8], 16))
    return rng.normal(size=(1 + int(key[0], 16) % 7, 4)).astype(np.float32)


def mark(key):
    """The fingerprint of a key; of some, none is taken."""
    return None if int(key[1], 16) % 4 == 0 else key[:8].encode()


class History(RuleBasedStateMachine):
    """`done` and `failed` are what the store must say; `place` is the shard that holds a key."""

    def __init__(self):
        super().__init__()
        self.shard_size, store_module.SHARD_SIZE = store_module.SHARD_SIZE, 3
        self.folder = Path(tempfile.mkdtemp()) / "store"
        self.done, self.failed, self.place = set(), set(), {}
        self.damaged, self.index_is_damaged = set(), False
        self.whole = {}  # the bytes of each damaged shard as they were
        self.forgotten, self.unentered = set(), {}
        self.store = FeatureStore(self.folder, create=True)
        self.store.define("toy", RECORD)

    def teardown(self):
        store_module.SHARD_SIZE = self.shard_size
        self.store.close()
        shutil.rmtree(self.folder.parent)

    def reopen(self):
        """Let go of everything, as a killed process does."""
        self.store.close()
        if not self.index_is_damaged:
            self.store = FeatureStore(self.folder)

    def sound(self):
        return not self.index_is_damaged

    def shards(self):
        return sorted({self.place[key] for key in self.done | self.failed})

    # --- an extraction, which may be killed

    @precondition(sound)
    @rule(
        keys=SOME,
        bad=st.sets(st.sampled_from(KEYS), max_size=4),
        retry=st.booleans(),
        most=st.integers(0, 4),
        end=st.sampled_from(["finished", "half written", "not entered"]),
    )
    def extract(self, keys, bad, retry, most, end):
        with self.store.writing():
            items = [(key, f"clip-{key[:8]}") for key in keys]
            shards = self.store.plan("toy", items, retry_failed=retry)
            if retry:
                self.failed -= set(keys)
            expected = set(keys) - self.done - self.failed
            assert {key for _, members in shards for key in members} == expected
            for number, (shard, members) in enumerate(shards):
                made = {key: array(key) for key in members if key not in bad}
                results = [
                    Result(key, code="E1002", reason="not audio")
                    if key in bad
                    else Result(key, len(array(key)), key[:9], fingerprint=mark(key))
                    for key in members
                ]
                note = Note(RECORD, [(f"clip-{r.key[:8]}", r) for r in results])
                if number == most and end == "half written":
                    (self.folder / f".toy-{shard:06d}.safetensors.7.tmp").write_bytes(b"half")
                if number == most and end != "not entered":
                    break
                sha256 = write_shard(self.folder, "toy", shard, made, note)
                if number == most:
                    self.unentered[shard] = set(made)
                    break
                self.store.commit("toy", shard, sha256, results)
                self.unentered.pop(shard, None)
                self.done |= made.keys()
                self.failed |= set(members) & bad
                self.forgotten -= set(members)
                self.place |= dict.fromkeys(members, shard)
        self.reopen()

    @precondition(sound)
    @rule(keys=SOME)
    def forget(self, keys):
        self.store.forget("toy", keys)
        self.forgotten |= set(keys) & (self.done | self.failed)
        self.done -= set(keys)
        self.failed -= set(keys)
        self.damaged &= set(self.shards())

    @precondition(sound)
    @rule()
    def refuse_a_second_writer(self):
        with (
            FeatureStore(self.folder) as other,
            self.store.writing(),
            pytest.raises(StoreError, match=f"being written by process {os.getpid()}"),
            other.writing(),
        ):
            pass

    # --- damage

    @precondition(lambda self: self.shards())
    @rule(data=st.data(), kind=st.sampled_from(["flip", "cut", "empty", "delete"]))
    def damage_a_shard(self, data, kind):
        shard = data.draw(st.sampled_from(self.shards()))
        path = shard_path(self.folder, "toy", shard)
        self.store.close()
        if path.exists() and path.stat().st_size:
            content = bytearray(path.read_bytes())
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] ^= 1 << data.draw(st.integers(0, 7))
            kept = {"flip": content, "cut": content[:at], "empty": b"", "delete": b""}[kind]
            if shard not in self.damaged:
                self.whole[shard] = path.read_bytes()
            path.write_bytes(kept)
            self.damaged |= {shard}
            if kept == self.whole[shard]:  # flipped twice, it is as it was
                self.damaged -= {shard}
            if kind == "delete":
                path.unlink()
        self.reopen()

    @precondition(sound)
    @rule(kind=st.sampled_from(["delete", "text", "cut"]))
    def lose_the_index(self, kind):
        self.store.close()
        path = self.folder / "index.sqlite"
        for name in ("index.sqlite-wal", "index.sqlite-shm"):
            (self.folder / name).unlink(missing_ok=True)
        if kind == "delete":
            path.unlink()
        else:
            path.write_bytes(b"text" * 100 if kind == "text" else path.read_bytes()[:700])
        self.index_is_damaged = True

    @rule()
    def mend(self):
        if not [*self.folder.glob("*.safetensors"), *self.folder.glob("index.sqlite")]:
            with pytest.raises(StoreError, match="no feature store"):
                examine_store(self.folder)
            return
        self.store.close()
        health = examine_store(self.folder)
        assert health.index_sound == (not self.index_is_damaged)
        names = {f"toy-{shard:06d}.safetensors" for shard in self.damaged}
        assert set(health.damaged) <= names
        lost = {key for key in self.done | self.failed if self.place[key] in self.damaged}
        was_lost, self.index_is_damaged = self.index_is_damaged, False
        self.store = FeatureStore(self.folder)
        if was_lost:
            self.take_what_the_notes_say(lost)
        else:
            assert set(health.damaged) == names
            self.done -= lost
            self.failed -= lost
        self.damaged = set()
        assert examine_store(self.folder, mend=False).damaged == ()
        if not was_lost:
            assert examine_store(self.folder, mend=False).strays == ()

    def take_what_the_notes_say(self, lost):
        """Hold a rebuilt index against what is known, and go on from there.

        What was done in a sound shard is done. A shard that was written and not entered may be
        found now, and what was forgotten, as its shard still has it.
        """
        self.store.define("toy", RECORD)
        ledger = {item.key: item.state for item in self.store.ledger("toy")}
        found = {key for key, state in ledger.items() if state == "done"}
        assert self.done - lost <= found
        assert self.failed - lost <= ledger.keys()
        written = set().union(*self.unentered.values())
        assert found <= (self.done - lost) | written | self.forgotten | self.failed
        self.done = found
        self.failed = {key for key, state in ledger.items() if state == "failed"}
        self.place = dict(self.store._query("SELECT key, shard FROM items"))
        self.unentered = {}

    # --- what is always true

    @invariant()
    def every_answer_is_right_or_refused(self):
        if self.index_is_damaged:
            return
        for key in KEYS:
            if key in self.done and self.place[key] not in self.damaged:
                np.testing.assert_array_equal(self.store.get("toy", key), array(key))
            else:
                with pytest.raises(StoreError, match="expected"):
                    self.store.get("toy", key)

    @invariant()
    def the_ledger_says_what_became_of_each(self):
        if self.index_is_damaged:
            return
        states = {item.key: item.state for item in self.store.ledger("toy")}
        assert {key for key, state in states.items() if state == "done"} == self.done
        assert {key for key, state in states.items() if state == "failed"} == self.failed
        assert self.store.lacking("toy", KEYS).keys() == set(KEYS) - self.done
        expected = {key: mark(key) for key in self.done if mark(key) is not None}
        assert self.store.fingerprints("toy") == expected


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=20, stateful_step_count=15)


def test_what_is_done_stays_done_when_the_index_is_made_again(tmp_path):
    # A shard that is forgotten frees its number; what failed in a later one is then done in it.
    good, bad = KEYS[0], KEYS[1]

    def extract(store, key, code=""):
        [(shard, _)] = store.plan("toy", [(key, "clip")], retry_failed=True)
        result = Result(key, code=code) if code else Result(key, len(array(key)))
        made = {} if code else {key: array(key)}
        sha256 = write_shard(store.folder, "toy", shard, made, Note(RECORD, [("clip", result)]))
        store.commit("toy", shard, sha256, [result])
        return shard

    with FeatureStore(tmp_path, create=True) as store:
        store.define("toy", RECORD)
        assert extract(store, good) == 0
        assert extract(store, bad, "E1002") == 1
        store.forget("toy", [good])
        assert extract(store, bad) == 0
    (tmp_path / "index.sqlite").unlink()
    assert not examine_store(tmp_path).index_sound
    with FeatureStore(tmp_path) as store:
        np.testing.assert_array_equal(store.get("toy", bad), array(bad))
