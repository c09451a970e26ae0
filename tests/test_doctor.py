"""A damaged store is mended: what is sound is kept, what is not is put aside and made again."""

import json
import sqlite3

import pytest
from test_extraction import LOGMEL, faults_of, shards_of, write_clips

from affectus import store as store_module
from affectus.cli import run
from affectus.errors import StoreError
from affectus.extraction import extract_features, mend_store
from affectus.feature_files import export_features, import_features
from affectus.store import FeatureStore, locked, repair, write_shard
from affectus.store.index import transaction
from affectus.store.repair import examine_store


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 3)


@pytest.fixture
def manifest(tmp_path):
    manifest = write_clips(tmp_path / "clips")
    manifest.clips[4].path.write_bytes(b"no recording")  # one that fails, in shard 1
    from affectus.manifest import with_hashes

    return with_hashes(manifest)


@pytest.fixture
def clean(tmp_path, manifest):
    extract_features(manifest, LOGMEL, tmp_path / "clean", workers=0)
    return tmp_path / "clean"


@pytest.fixture
def store(tmp_path, manifest, clean):
    extract_features(manifest, LOGMEL, tmp_path / "store", workers=0)
    return tmp_path / "store"


def shard(store, number):
    return store / f"logmel-{number:06d}.safetensors"


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def extract(manifest, store):
    return extract_features(manifest, LOGMEL, store, workers=0)


def test_a_sound_store_is_left_as_it_is(store, clean):
    health = examine_store(store)
    assert health.ok and health.n_sound == 4
    assert faults_of(store, clean) == []


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_flipped_bit_is_found_put_aside_and_made_again(store, clean, manifest, place):
    flip(shard(store, 1), place)
    looked = examine_store(store, mend=False)
    assert looked.damaged == ("logmel-000001.safetensors",) and not looked.ok
    assert shard(store, 1).exists()  # it was only looked at
    found = examine_store(store)
    assert found.damaged == looked.damaged and found.missing == {"logmel": 3}
    assert (store / "quarantine" / "logmel-000001.safetensors").exists()
    assert extract(manifest, store).new == 2  # of this shard's three, one fails again
    assert faults_of(store, clean) == []
    assert examine_store(store).ok


def test_a_shard_that_is_gone_is_made_again(store, clean, manifest):
    shard(store, 2).unlink()
    assert examine_store(store).missing == {"logmel": 3}
    extract(manifest, store)
    assert faults_of(store, clean) == []


def test_shards_that_changed_places_are_both_found(store, clean, manifest):
    first, second = shard(store, 0).read_bytes(), shard(store, 2).read_bytes()
    shard(store, 0).write_bytes(second)
    shard(store, 2).write_bytes(first)
    assert len(examine_store(store).damaged) == 2
    extract(manifest, store)
    assert faults_of(store, clean) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"text in the place of an index " * 200),
        lambda path: path.write_bytes(path.read_bytes()[:5_000]),
        lambda path: path.write_bytes(bytes(4_096) + path.read_bytes()[4_096:]),
    ],
    ids=["gone", "empty", "text", "cut", "header"],
)
def test_an_index_that_is_lost_is_made_again_from_the_shards(store, clean, manifest, damage):
    before = ledger(store)
    damage(store / "index.sqlite")
    assert not examine_store(store, mend=False).index_sound
    found = examine_store(store)
    assert not found.index_sound and found.missing == {"logmel": 0}
    assert ledger(store) == before
    assert extract(manifest, store).new == 0
    assert faults_of(store, clean) == []
    assert examine_store(store).ok


def ledger(store):
    with FeatureStore(store) as opened:
        return list(opened.ledger("logmel")), opened.fingerprints("logmel")


def test_an_index_and_a_shard_that_are_lost_together_come_back_alike(store, clean, manifest):
    (store / "index.sqlite").unlink()
    flip(shard(store, 1), -1)
    found = examine_store(store)
    assert not found.index_sound and not shard(store, 1).exists()
    extract(manifest, store)
    assert faults_of(store, clean) == []


def test_what_was_tried_again_later_wins_when_the_index_is_made_again(store, manifest):
    manifest.clips[4].path.write_bytes(manifest.clips[3].path.read_bytes())
    from affectus.manifest import with_hashes

    mended = with_hashes(manifest)
    extract_features(mended, LOGMEL, store, workers=0, retry_failed=True)
    before = ledger(store)
    (store / "index.sqlite").unlink()
    examine_store(store)
    assert ledger(store) == before


def test_a_file_of_no_feature_set_is_put_aside_and_a_second_one_beside_it(store, clean):
    for _ in range(2):
        shard(store, 77).write_bytes(b"whatever")
        assert examine_store(store).strays == ("logmel-000077.safetensors",)
    assert {path.name for path in (store / "quarantine").iterdir()} == {
        "logmel-000077.safetensors", "logmel-000077.safetensors.2",
    }  # fmt: skip


def test_a_shard_written_but_not_entered_is_no_fault(store, manifest):
    with FeatureStore(store) as opened, transaction(opened._index, store) as index:
        index.execute("DELETE FROM shards WHERE shard = 3")
        index.execute("UPDATE items SET state = 'planned' WHERE shard = 3")
    found = examine_store(store)
    assert found.strays == () and found.missing == {"logmel": 2}
    assert shard(store, 3).exists()


def test_any_bit_of_the_index_may_flip(store, clean, manifest):
    index = store / "index.sqlite"
    whole = index.read_bytes()
    found_out = 0
    for place in range(0, len(whole), len(whole) // 40):
        index.write_bytes(whole)
        flip(index, place)
        health = examine_store(store)
        found_out += not health.index_sound
        extract(manifest, store)
        assert shards_of(store) == shards_of(clean), place
    assert found_out > 0


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no feature store; expected a folder with index"):
        examine_store(tmp_path)


def test_the_command_mends_and_makes_again(store, clean, manifest, tmp_path, capsys):
    manifest.write(tmp_path / "m.csv")
    flip(shard(store, 0), -1)
    assert run(["doctor", str(store), "--check"]) == 1
    assert "1 damaged" in capsys.readouterr().out
    assert run(["doctor", str(store), "--manifest", str(tmp_path / "m.csv")]) == 0
    out = capsys.readouterr().out
    assert "logmel-000000.safetensors: damaged, moved to quarantine" in out
    assert out.endswith("The store is sound.\n")
    assert faults_of(store, clean) == []
    assert run(["doctor", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["now"]["n_sound"] == 4


def test_clips_of_a_shard_that_was_lost_with_the_index_are_made_again(store, clean, manifest):
    (store / "index.sqlite").unlink()
    shard(store, 1).unlink()  # of which nothing is known any more
    told = []
    mended = mend_store(store, manifest, on_progress=lambda *numbers: told.append(numbers))
    assert not mended.found.index_sound and mended.now.ok
    assert told == [("logmel", 3, 1, 3)]
    assert faults_of(store, clean) == []


def test_what_was_imported_is_left_to_another_import(store, manifest, tmp_path):
    export_features_to_import(store, manifest, tmp_path / "npz")
    import_features([tmp_path / "npz"], manifest, store, "theirs")
    (damaged,) = store.glob("theirs-*0.safetensors")
    flip(damaged, -1)
    flip(shard(store, 0), -1)
    mended = mend_store(store, manifest)
    assert mended.imported == ("theirs",)
    assert mended.now.missing == {"logmel": 0, "theirs": 3}


def export_features_to_import(store, manifest, folder):
    with FeatureStore(store) as opened:
        export_features(opened, manifest, folder)


def test_a_store_that_others_write_is_not_touched(store):
    refused = pytest.raises(StoreError, match="being written by process")
    with FeatureStore(store) as opened, opened.writing(), refused:
        examine_store(store)


def test_each_shard_is_read_once(store, monkeypatch):
    read = []
    whole, digest = repair.read_shard, repair.hashlib.file_digest
    monkeypatch.setattr(repair, "read_shard", lambda path: read.append(path) or whole(path))
    monkeypatch.setattr(
        repair.hashlib, "file_digest", lambda file, name: read.append(file) or digest(file, name)
    )
    assert examine_store(store).ok
    assert sorted(read) == [shard(store, number) for number in range(4)]


def test_a_damaged_index_that_others_write_is_not_touched(store):
    (store / "index.sqlite").write_bytes(b"text in the place of an index " * 200)
    with locked(store), pytest.raises(StoreError, match="being written by process"):
        examine_store(store)
    assert not (store / "quarantine").exists()


def test_a_store_of_before_there_were_notes_is_sound_and_stays(store):
    index = sqlite3.connect(store / "index.sqlite", isolation_level=None)
    for number in range(4):
        with FeatureStore(store) as opened:
            arrays = dict(opened._shard("logmel", number))
        sha256 = write_shard(store, "logmel", number, {k: a.copy() for k, a in arrays.items()})
        index.execute("UPDATE shards SET sha256 = ? WHERE shard = ?", (sha256, number))
    index.executescript("DROP TABLE fingerprints; PRAGMA user_version = 1;")
    index.close()
    before = shards_of(store)
    assert examine_store(store, mend=False).ok
    assert examine_store(store).ok
    assert shards_of(store) == before
    assert not (store / "quarantine").exists()


def test_sqlite_itself_agrees(store):
    (store / "index.sqlite").unlink()
    examine_store(store)
    index = sqlite3.connect(store / "index.sqlite")
    assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert index.execute("PRAGMA foreign_key_check").fetchall() == []
    index.close()
