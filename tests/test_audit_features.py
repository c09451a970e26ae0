"""An audit with a store: each fault that features can have is found, and sound ones have none."""

import numpy as np
import pytest

from affectus.audit import FeatureShape, audit_manifest
from affectus.audit.stored import check_store
from affectus.extraction import extract_features
from affectus.features import create_extractor
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import write_audio
from affectus.store import FeatureStore, Result, shard_path, write_shard

SHAPE = FeatureShape(("a", "b", "c"), 50.0)
SECONDS = 2.0
KEYS = [f"{number:064x}" for number in range(6)]


def manifest_of(corpora=("one",) * 6):
    pairs = zip(KEYS, corpora, strict=True)
    return Manifest(tuple(Clip(f"{c}/{k[-1]}", c, "", sha256=k) for k, c in pairs))


def arrays(**changed):
    """Two seconds of three columns for each key; `changed` by the key's last digit, as k0=…"""
    rng = np.random.default_rng(0)
    found = {key: rng.normal(size=(100, 3)).astype(np.float32) for key in KEYS}
    for name, change in changed.items():
        key = KEYS[int(name[1:])]
        found[key] = change(found[key])
    return found


def stored(folder, made, failed=()):
    """A store in which all keys are planned, and those of `made` done or `failed`."""
    store = FeatureStore(folder, create=True)
    with store.writing():
        store.define("toy", {"name": "toy"})
        ((shard, keys),) = store.plan("toy", [(key, key[-1]) for key in KEYS])
        results = [
            Result(key, code="E1002", reason="not audio") if key in failed else
            Result(key, len(made[key]))
            for key in keys if key in made
        ]  # fmt: skip
        done = {key: made[key] for key in made if key not in failed}
        store.commit("toy", shard, write_shard(folder, "toy", shard, done), results)
    return store


def check(store, shape=SHAPE, manifest=None):
    manifest = manifest or manifest_of()
    seconds = {clip.clip_id: SECONDS for clip in manifest}
    with store:
        return check_store(manifest, store, {"toy": shape} if shape else {}, seconds)


def the_finding(findings):
    (found,) = findings
    return found


def test_sound_features_have_no_findings(tmp_path):
    (count,), findings = check(stored(tmp_path, arrays()))
    assert findings == []
    assert (count.features, count.corpus, count.planned, count.done) == ("toy", "one", 6, 6)
    assert (count.failed, count.missing, count.n_columns, count.n_frames) == (
        0,
        0,
        (3,),
        (100, 100),
    )


def test_a_real_store_of_real_features_has_no_findings(tmp_path):
    rng = np.random.default_rng(0)
    clips = []
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        write_audio(path, rng.normal(0, 0.1, 16_000 + 100 * number).astype(np.float32))
        clips.append(Clip(f"own/{number}", "own", str(path), f"own:{number}", "happy"))
    manifest = with_hashes(Manifest(tuple(clips)))
    extractor = create_extractor("logmel")
    extract_features(manifest, extractor, tmp_path / "store", workers=0)
    shape = FeatureShape(extractor.columns, extractor.frame_rate, trimmed=True)
    with FeatureStore(tmp_path / "store") as store:
        report = audit_manifest(manifest, store=store, shapes={"logmel": shape})
    assert [f.check for f in report.findings] == ["balance"]  # all are happy
    assert (report.features[0].done, report.features[0].n_columns) == (4, (64,))


def test_what_is_done_failed_and_missing_is_counted_by_corpus(tmp_path):
    made = {key: array for key, array in arrays().items() if key != KEYS[5]}
    store = stored(tmp_path, made, failed=[KEYS[1], KEYS[4]])
    manifest = manifest_of(("one", "one", "one", "two", "two", "two"))
    counts, findings = check(store, manifest=manifest)
    assert [(c.corpus, c.planned, c.done, c.failed, c.missing) for c in counts] == [
        ("one", 3, 2, 1, 0),
        ("two", 3, 1, 1, 1),
    ]
    missing, failed = findings
    assert (missing.severity, missing.clip_ids) == ("error", ("two/5",))
    assert missing.message == "features 'toy': 1 clip not extracted yet: two/5"
    assert (failed.severity, failed.clip_ids) == ("error", ("one/1", "two/4"))
    assert failed.message == "features 'toy': 2 clips failed (E1002 not audio): one/1, two/4"


def test_clips_with_a_fault_need_no_features(tmp_path):
    manifest = manifest_of().excluding({"one/5": "silent"})
    (count,), findings = check(stored(tmp_path, arrays()), manifest=manifest)
    assert (count.planned, findings) == (5, [])


@pytest.mark.parametrize(
    ("check_name", "severity", "words", "change"),
    [
        ("dimensions", "error", "1 array not 3 columns wide", lambda a: a[:, :2]),
        ("finite", "error", "with numbers that are not finite",
         lambda a: np.where(np.arange(300).reshape(100, 3) == 7, np.nan, a)),
        ("finite", "error", "with numbers that are not finite",
         lambda a: np.where(np.arange(300).reshape(100, 3) == 7, -np.inf, a)),
        ("finite", "error", "or none", lambda a: a[:0]),
        ("constant in time", "warning", "the same in every frame", lambda a: a[:1].repeat(100, 0)),
        ("frames", "warning", "longer than its recording", lambda a: a.repeat(2, 0)),
        ("frames", "warning", "shorter than its recording", lambda a: a[:50]),
    ],
)  # fmt: skip
def test_an_array_that_is_not_like_features_is_found(tmp_path, check_name, severity, words, change):
    _, findings = check(stored(tmp_path, arrays(k3=change)))
    found = the_finding(findings)
    assert (found.check, found.severity, found.clip_ids) == (check_name, severity, ("one/3",))
    assert words in found.message


def test_columns_that_never_change_are_found_and_named(tmp_path):
    made = arrays()
    for array in made.values():
        array[:, 1] = -100.0
    found = the_finding(check(stored(tmp_path, made))[1])
    assert (found.check, found.severity) == ("constant columns", "warning")
    assert found.message == "features 'toy': 1 column the same in every clip: b"
    found = the_finding(check(FeatureStore(tmp_path), shape=None)[1])
    assert found.message.endswith("1 column the same in every clip: column 1")


def test_a_column_that_is_constant_in_some_clips_is_fine(tmp_path):
    def still(array):
        array[:, 1] = 4.0
        return array

    assert check(stored(tmp_path, arrays(k0=still, k1=still)))[1] == []


@pytest.mark.parametrize("n_frames", [98, 103])
def test_a_few_frames_at_the_edges_are_fine(tmp_path, n_frames):
    made = arrays(k3=lambda a: np.resize(a, (n_frames, 3)))
    assert check(stored(tmp_path, made))[1] == []


def test_features_of_trimmed_clips_may_be_much_shorter(tmp_path):
    store = stored(tmp_path, arrays(k3=lambda a: a[:20]))
    assert check(store, SHAPE._replace(trimmed=True))[1] == []
    assert len(check(FeatureStore(tmp_path), SHAPE)[1]) == 1


def test_functionals_have_one_frame_whatever_the_length(tmp_path):
    made = {key: array[:1] for key, array in arrays().items()}
    assert check(stored(tmp_path, made), SHAPE._replace(frame_rate=None))[1] == []


def with_times(times):
    def change(array):
        array[:, 0] = times
        return array

    return change


@pytest.mark.parametrize(
    ("times", "fine"),
    [
        (np.arange(100) / 50, True),
        (np.arange(100)[::-1] / 50, False),  # back
        (np.arange(100) / 40, False),  # beyond the end
        (np.arange(100) / 50 - 1, False),  # before the start
    ],
)
def test_times_go_on_and_stay_within_the_recording(tmp_path, times, fine):
    made = {key: with_times(np.arange(100) / 50)(array) for key, array in arrays().items()}
    made[KEYS[3]] = with_times(times)(made[KEYS[3]])
    findings = check(stored(tmp_path, made), SHAPE._replace(columns=("time", "b", "c")))[1]
    assert [(f.check, f.clip_ids) for f in findings] == ([] if fine else [("times", ("one/3",))])


def test_a_damaged_shard_is_an_error_and_not_the_end(tmp_path):
    stored(tmp_path, arrays()).close()
    path = shard_path(tmp_path, "toy", 0)
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    (count,), findings = check(FeatureStore(tmp_path))
    found = the_finding(findings)
    assert (found.check, found.severity) == ("damaged", "error")
    assert "its bytes have changed since they were written" in found.message
    assert count.done == 6
