"""Extraction: every clip ends in exactly one state, and the same bytes whatever happens on the way.

Run as a program, this file is the process that is killed: see `main`.
"""

import ctypes
import faulthandler
import hashlib
import inspect
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from affectus import store as store_module
from affectus import workers
from affectus.cli.features import extract
from affectus.corpora import load_corpus
from affectus.errors import ConfigError, DiskError, ExtractionError, StoreError
from affectus.extraction import (
    Failure,
    check_coverage,
    copies,
    count_without_fingerprint,
    engine,
    extract_features,
    near_pairs,
    progress,
    read_progress,
    shards,
    sound_hashes,
)
from affectus.features import create_extractor
from affectus.manifest import Clip, Manifest, with_hashes
from affectus.media import Limits, read_audio, write_audio
from affectus.store import FeatureStore
from affectus.synthesis import synthesize_voice

N_CLIPS = 11
FORK = multiprocessing.get_context("fork")
FORK.set_forkserver_preload = lambda modules: None
LOGMEL = create_extractor("logmel", n_mels=8, n_fft=256, win_length=256, hop_length=128)


def write_clips(folder, n=N_CLIPS):
    """Write short noises, each of its own length, and return their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for number in range(n):
        path = folder / f"{number:04d}.wav"
        noise = np.random.default_rng(number).normal(0, 0.1, 1_700 + 100 * (number % 7))
        write_audio(path, noise.astype(np.float32))
        emotion = ("happy", "sad")[number % 2]
        clips.append(Clip(f"own/{number:04d}", "own", str(path), f"own:{number % 3}", emotion))
    return with_hashes(Manifest(tuple(clips)))


def shards_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.safetensors")}


def ledger_of(folder):
    with FeatureStore(folder) as store:
        return list(store.ledger("logmel"))


def faults_of(folder, clean):
    """Return how a store differs from an undisturbed one; the order of commits is no difference."""
    faults = [] if shards_of(folder) == shards_of(clean) else ["other bytes"]
    faults += [] if ledger_of(folder) == ledger_of(clean) else ["another ledger"]
    faults += [f"{path.name} is left" for path in Path(folder).glob(".*")]
    index = sqlite3.connect(Path(folder) / "index.sqlite")
    (health,) = index.execute("PRAGMA integrity_check").fetchone()
    index.close()
    return faults + ([] if health == "ok" else [health])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 3)


@pytest.fixture
def manifest(tmp_path):
    return write_clips(tmp_path / "clips")


@pytest.fixture
def clean(tmp_path, manifest):
    """The store of an undisturbed run."""
    assert extract_features(manifest, LOGMEL, tmp_path / "clean").ok
    return tmp_path / "clean"


def get(folder, clip):
    with FeatureStore(folder) as store:
        return store.get("logmel", clip.content_key)


# --- what comes out ---


def test_each_clip_has_the_features_of_its_own_sound(clean, manifest):
    for clip in manifest:
        recording = read_audio(clip.path)
        expected = LOGMEL(recording.waveform, recording.sample_rate)
        assert get(clean, clip).tobytes() == expected.tobytes()


def test_the_report_counts_every_clip_and_says_what_is_new(tmp_path, manifest):
    first = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert (first.planned, first.done, first.new) == (N_CLIPS, N_CLIPS, N_CLIPS)
    assert (first.failed, first.skipped, first.ok) == ((), (), True)
    again = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert (again.planned, again.done, again.new) == (N_CLIPS, N_CLIPS, 0)


def test_the_store_records_the_extractor_and_the_decoder(clean):
    with FeatureStore(clean) as store:
        record = store.record("logmel")
    assert {key: record[key] for key in ("name", "version", "n_mels", "n_fft")} == {
        "name": "logmel", "version": 1, "n_mels": 8, "n_fft": 256,
    }  # fmt: skip
    assert record["decoder"].startswith("libsndfile ")


def test_other_parameters_are_refused_in_the_same_store(clean, manifest):
    before = shards_of(clean)
    with pytest.raises(StoreError, match="n_mels is 8 there and 64 here"):
        extract_features(manifest, create_extractor("logmel"), clean)
    assert shards_of(clean) == before


def test_another_decoder_is_refused_in_the_same_store(clean, manifest, monkeypatch):
    # libsndfile and FFmpeg disagree about the same bytes, and so do their versions.
    monkeypatch.setattr(engine, "decoder_version", lambda: "libsndfile 0.1")
    with pytest.raises(StoreError, match=r"decoder is .+ there and 'libsndfile 0\.1' here"):
        extract_features(manifest, LOGMEL, clean)


def test_the_order_of_the_manifest_does_not_change_a_byte(tmp_path, clean, manifest):
    twice = replace(manifest.clips[3], clip_id="own/9999-copy")  # one content, two clips
    clips = [*manifest.clips, twice]
    extract_features(Manifest(tuple(clips)), LOGMEL, tmp_path / "one")
    random.Random(0).shuffle(clips)
    extract_features(Manifest(tuple(clips)), LOGMEL, tmp_path / "other")
    assert shards_of(tmp_path / "one") == shards_of(clean)
    assert faults_of(tmp_path / "other", tmp_path / "one") == []


def test_clips_added_later_leave_the_bytes_of_old_shards_alone(tmp_path, manifest):
    half = Manifest(manifest.clips[::2])
    extract_features(half, LOGMEL, tmp_path / "store")
    before = shards_of(tmp_path / "store")
    report = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert (report.ok, report.new) == (True, N_CLIPS - len(half))
    after = shards_of(tmp_path / "store")
    assert {name: after[name] for name in before} == before


def test_copies_are_stored_once_and_all_of_them_are_done(tmp_path, manifest):
    first = manifest.clips[0]
    copy = first.path.with_name("copy.wav")
    shutil.copy(first.path, copy)
    both = with_hashes(
        Manifest((*manifest.clips, replace(first, clip_id="own/copy", file=str(copy))))
    )
    report = extract_features(both, LOGMEL, tmp_path / "store")
    assert (report.planned, report.done, report.new) == (N_CLIPS + 1, N_CLIPS + 1, N_CLIPS)
    assert len(ledger_of(tmp_path / "store")) == N_CLIPS


def test_stretches_of_one_file_have_their_own_features(tmp_path):
    path = tmp_path / "long.wav"
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 16_000).astype(np.float32)
    write_audio(path, sound)
    stretches = ((0.0, 0.25), (0.25, 0.5), (0.5, None), (0.0, None))
    clips = [Clip(f"own/{s}-{e}", "own", str(path), start=s, end=e) for s, e in stretches]
    manifest = with_hashes(Manifest(tuple(clips)))
    assert extract_features(manifest, LOGMEL, tmp_path / "store").done == 4
    for clip, (start, end) in zip(manifest, stretches, strict=True):
        # Noise is never silent, so nothing is trimmed: 16-bit samples, cut by hand.
        whole = np.round(sound * 32_768).clip(-32_768, 32_767) / 32_768
        cut = whole[int(start * 16_000) : None if end is None else int(end * 16_000)]
        expected = LOGMEL(cut.astype(np.float32), 16_000)
        np.testing.assert_allclose(get(tmp_path / "store", clip), expected, atol=0.1)


def test_progress_is_told_after_each_shard(tmp_path, manifest):
    manifest.clips[4].path.write_bytes(b"no sound")
    told = []
    extract_features(
        with_hashes(manifest),
        LOGMEL,
        tmp_path / "store",
        on_progress=lambda *numbers: told.append(numbers),
    )
    assert told == [(3, 0, 11), (6, 1, 11), (9, 1, 11), (11, 1, 11)]


def test_nothing_to_do_is_no_error_and_no_progress(tmp_path, clean, manifest):
    told = []
    extract_features(manifest, LOGMEL, clean, on_progress=lambda *numbers: told.append(numbers))
    assert told == []
    assert extract_features(Manifest(()), LOGMEL, tmp_path / "none").planned == 0


def test_another_cluster_is_refused_before_anything_is_made(tmp_path, manifest):
    with pytest.raises(ConfigError) as caught:
        extract_features(manifest, LOGMEL, tmp_path / "store", cluster="spark")
    assert str(caught.value) == (
        "ConfigError: no cluster 'spark'; expected ray. Leave it out for this machine."
    )
    assert not (tmp_path / "store").exists()


def test_the_command_has_the_time_limit_of_the_call():
    for limit in (extract_features.__kwdefaults__["seconds_per_clip"], workers.SECONDS_PER_ITEM):
        assert inspect.signature(extract).parameters["clip_seconds"].default == limit


# --- what cannot be used ---


def cut_in_half(path):
    write_audio(path, np.random.default_rng(77).normal(0, 0.1, 8_000).astype(np.float32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(manifest):
    """Spoil five clips, each in its own way; return them with the codes they should get."""
    zero, one, two, three, four = (manifest.clips[n].path for n in (0, 2, 5, 6, 10))
    zero.write_bytes(b"this is a text")
    one.write_bytes(b"")
    cut_in_half(two)
    write_audio(three, np.zeros(40, np.float32))
    faulty = with_hashes(manifest)
    four.unlink()
    return faulty, {
        "own/0000": "E1002",
        "own/0002": "E1001",
        "own/0005": "E1101",
        "own/0006": "E1201",
        "own/0010": "E1000",
    }


def test_clips_that_cannot_be_used_are_listed_and_the_others_are_those_of_a_clean_run(
    tmp_path, clean, manifest
):
    kept = {clip.clip_id: get(clean, clip).tobytes() for clip in manifest}
    faulty, codes = spoil(manifest)
    report = extract_features(faulty, LOGMEL, tmp_path / "store")
    assert {failure.clip_id: failure.code for failure in report.failed} == codes
    assert (report.planned, report.done, report.ok) == (N_CLIPS, N_CLIPS - 5, False)
    assert all(failure.reason and "\n" not in failure.reason for failure in report.failed)
    for clip in faulty:
        if clip.clip_id not in codes:
            assert get(tmp_path / "store", clip).tobytes() == kept[clip.clip_id]


def test_clips_with_a_fault_are_skipped_with_its_reason(tmp_path, manifest):
    clips = list(manifest.clips)
    clips[3] = replace(clips[3], fault="name 'x.wav': not understood")
    report = extract_features(Manifest(tuple(clips)), LOGMEL, tmp_path / "store")
    assert report.skipped == (Failure("own/0003", "", "name 'x.wav': not understood"),)
    assert (report.planned, report.done, len(report.failed)) == (N_CLIPS, N_CLIPS - 1, 0)
    assert len(ledger_of(tmp_path / "store")) == N_CLIPS - 1


def test_done_failed_and_skipped_make_up_what_was_planned(tmp_path, manifest):
    faulty, _ = spoil(manifest)
    clips = list(faulty.clips)
    clips[1] = replace(clips[1], fault="not understood")
    report = extract_features(Manifest(tuple(clips)), LOGMEL, tmp_path / "store")
    assert (report.done, len(report.failed), len(report.skipped)) == (5, 5, 1)
    assert report.planned == 11


def test_a_file_that_changed_since_the_import_is_refused(tmp_path, manifest):
    changed = manifest.clips[4]
    write_audio(changed.path, np.random.default_rng(99).normal(0, 0.1, 2_000).astype(np.float32))
    report = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert report.failed == (
        Failure(
            "own/0004",
            "E1005",
            "changed since the import; expected the same bytes. Import again.",
        ),
    )


def test_a_truncated_recording_is_refused_in_words(tmp_path, manifest):
    cut_in_half(manifest.clips[4].path)
    report = extract_features(with_hashes(manifest), LOGMEL, tmp_path / "store")
    ((clip_id, code, reason),) = report.failed
    assert (clip_id, code) == ("own/0004", "E1101")
    assert reason.startswith("cut off: ")


def test_a_folder_and_a_pipe_in_the_place_of_a_clip_are_refused(tmp_path, manifest):
    folder, pipe = manifest.clips[0].path, manifest.clips[1].path
    folder.unlink(), folder.mkdir()
    pipe.unlink(), os.mkfifo(pipe)  # would be waited for, without end
    report = extract_features(manifest, LOGMEL, tmp_path / "store")
    text = "not a regular file; expected the clip."
    assert report.failed == (Failure("own/0000", "E1000", text), Failure("own/0001", "E1000", text))


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path, manifest, monkeypatch):
    read = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or real(path))
    with manifest.clips[4].path.open("ab") as file:
        file.truncate(10_000_000)  # a hole: takes no room
    limits = Limits(max_bytes=100_000)
    report = extract_features(manifest, LOGMEL, tmp_path / "store", limits=limits)
    assert [(f.clip_id, f.code) for f in report.failed] == [("own/0004", "E1501")]
    assert report.failed[0].reason == "10,000,000 bytes; the limit is 100,000. Cut the recording."
    assert manifest.clips[4].path not in read


def test_limits_hold_for_every_clip(tmp_path, manifest):
    limits = Limits(max_seconds=0.12)
    report = extract_features(manifest, LOGMEL, tmp_path / "store", limits=limits)
    too_long = [c.clip_id for c in manifest if read_audio(c.path).duration > 0.12]
    assert [(f.clip_id, f.code) for f in report.failed] == [(name, "E1502") for name in too_long]
    assert 0 < len(too_long) < N_CLIPS


def test_what_failed_stays_failed_until_it_is_to_be_retried(tmp_path, clean, manifest):
    path, store = manifest.clips[4].path, tmp_path / "store"
    sound = path.read_bytes()
    path.unlink()
    assert len(extract_features(manifest, LOGMEL, store).failed) == 1
    path.write_bytes(sound)
    report = extract_features(manifest, LOGMEL, store)
    assert (len(report.failed), report.new) == (1, 0)
    report = extract_features(manifest, LOGMEL, store, retry_failed=True)
    assert (report.ok, report.new) == (True, 1)
    assert get(store, manifest.clips[4]).tobytes() == get(clean, manifest.clips[4]).tobytes()


# --- too many failures ---


def many_broken(folder, n, n_broken):
    """Return clips of which some are texts; the others are stretches of one file."""
    sound = folder / "sound.wav"
    write_audio(sound, np.random.default_rng(0).normal(0, 0.1, 2_000).astype(np.float32))
    clips = []
    for number in range(n):
        text = folder / f"{number:04d}.wav"
        if number < n_broken:
            text.write_text(f"text {number}")
            clips.append(Clip(f"own/{number:04d}", "own", str(text)))
        else:
            clips.append(Clip(f"own/{number:04d}", "own", str(sound), start=number * 1e-6))
    return with_hashes(Manifest(tuple(clips)))


def test_more_failures_than_allowed_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 100)
    folder = tmp_path / "store"
    with pytest.raises(ExtractionError) as caught:
        extract_features(many_broken(tmp_path, 400, 30), LOGMEL, folder)
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "ExtractionError: 30 of 200 clips failed; expected at most 5%. "
        f"See why with: affectus status {folder}"
    )
    states = [item.state for item in ledger_of(folder)]
    assert (states.count("done"), states.count("failed")) == (170, 30)  # what was done is kept


def test_fewer_than_two_hundred_clips_never_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 100)
    report = extract_features(many_broken(tmp_path, 199, 198), LOGMEL, tmp_path / "store")
    assert (report.done, len(report.failed)) == (1, 198)


def test_as_many_failures_as_allowed_do_not_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 100)
    manifest = many_broken(tmp_path, 200, 10)
    report = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert (report.done, len(report.failed)) == (190, 10)
    with pytest.raises(ExtractionError, match="10 of 200 clips failed; expected at most 4%"):
        extract_features(manifest, LOGMEL, tmp_path / "other", max_error_rate=0.04)


# --- going on ---


def test_clips_that_are_done_are_not_opened_again(tmp_path, clean, manifest):
    for clip in manifest:
        clip.path.unlink()
    report = extract_features(manifest, LOGMEL, clean)
    assert (report.ok, report.new) == (True, 0)


class StoppedError(Exception):
    pass


def stop(*_):
    raise StoppedError


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, clean, manifest):
    with pytest.raises(StoppedError):
        extract_features(manifest, LOGMEL, tmp_path / "store", on_progress=stop)
    for item in ledger_of(tmp_path / "store"):
        if item.state == "done":  # these must not be opened again
            (tmp_path / "clips" / f"{item.clip_id[-4:]}.wav").unlink()
    report = extract_features(manifest, LOGMEL, tmp_path / "store")
    assert (report.ok, report.new) == (True, N_CLIPS - 3)
    assert faults_of(tmp_path / "store", clean) == []


def test_a_clip_taken_out_after_a_stop_does_not_hold_the_others_back(tmp_path, manifest):
    with pytest.raises(StoppedError):
        extract_features(manifest, LOGMEL, tmp_path / "store", on_progress=stop)
    fewer = manifest.filter(lambda clip: clip.clip_id != "own/0004")
    assert extract_features(fewer, LOGMEL, tmp_path / "store").ok


def test_a_second_run_at_the_same_time_is_refused(tmp_path, manifest):
    def start_another(*_):
        with pytest.raises(StoreError, match=f"being written by process {os.getpid()}"):
            extract_features(manifest, LOGMEL, tmp_path / "store")
        told.append(True)

    told = []
    extract_features(manifest, LOGMEL, tmp_path / "store", on_progress=start_another)
    assert told


def test_a_run_killed_anywhere_and_resumed_ends_with_the_same_bytes(tmp_path, clean):
    done = subprocess.run(
        [sys.executable, __file__, "kill", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    places = done.stdout.split()
    assert len(places) >= 12
    for place in places:
        assert faults_of(tmp_path / place, clean) == [], place


def test_workers_end_when_the_run_that_started_them_is_killed(tmp_path, clean, manifest):
    killed = subprocess.Popen([sys.executable, __file__, "orphans", str(tmp_path)])
    assert killed.wait(60) == -signal.SIGKILL
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, f"workers {pids} live on"
        time.sleep(0.02)
    assert extract_features(manifest, LOGMEL, tmp_path / "orphaned").ok
    assert faults_of(tmp_path / "orphaned", clean) == []


def is_running(pid):
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_two_workers_make_the_same_bytes_as_one(tmp_path, clean, manifest):
    told = []
    report = extract_features(
        manifest,
        LOGMEL,
        tmp_path / "two",
        workers=2,
        on_progress=lambda *numbers: told.append(numbers),
    )
    assert report.ok
    assert len(told) == 4 and told[-1] == (N_CLIPS, 0, N_CLIPS)
    assert faults_of(tmp_path / "two", clean) == []


def kill_worker():
    os.kill(os.getpid(), signal.SIGKILL)


def segfault():
    faulthandler.disable()
    ctypes.string_at(0)


def take_memory():
    bytearray(8 * 2**30)


@pytest.mark.parametrize(
    ("harm", "code", "reason"),
    [
        (kill_worker, "E1603", "the decoder crashed: its worker was ended by SIGKILL (out of"),
        (segfault, "E1603", "the decoder crashed: its worker was ended by SIGS"),
        (lambda: time.sleep(60), "E1604", "took more than 0.5 s, 2 times; expected features."),
        (take_memory, "E1605", "needs more memory than a worker may have; expected less."),
    ],
)
def test_a_clip_that_harms_its_worker_fails_and_the_others_go_on(
    tmp_path, clean, manifest, monkeypatch, harm, code, reason
):
    def read_or_harm(clip, *others):
        if clip.clip_id == "own/0004":
            harm()
        return read_clip(clip, *others)

    read_clip = shards._read_clip
    monkeypatch.setattr(shards, "_read_clip", read_or_harm)
    # Forked from here, so that the children are harmed, too.
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _: FORK)
    began = time.monotonic()
    report = extract_features(manifest, LOGMEL, tmp_path / "store", workers=2, seconds_per_clip=0.5)
    assert time.monotonic() - began < 20
    assert [(f.clip_id, f.code) for f in report.failed] == [("own/0004", code)]
    assert report.failed[0].reason.startswith(reason)
    assert (report.done, report.ok) == (N_CLIPS - 1, False)
    others, whole = shards_of(tmp_path / "store"), shards_of(clean)
    assert others.keys() == whole.keys()
    assert [name for name in whole if others[name] != whole[name]] == ["logmel-000001.safetensors"]
    monkeypatch.undo()
    monkeypatch.setattr(store_module, "SHARD_SIZE", 3)
    assert extract_features(manifest, LOGMEL, tmp_path / "store", retry_failed=True).ok
    assert (
        get(tmp_path / "store", manifest.clips[4]).tobytes()
        == get(clean, manifest.clips[4]).tobytes()
    )


def test_an_error_of_the_disk_reports_nothing_as_done(tmp_path, clean, manifest, monkeypatch):
    def fsync(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(DiskError) as caught:
            extract_features(manifest, LOGMEL, tmp_path / "store", workers=0)
    assert caught.value.exit_code == 5
    assert {item.state for item in ledger_of(tmp_path / "store")} == {"planned"}
    assert extract_features(manifest, LOGMEL, tmp_path / "store").ok
    assert faults_of(tmp_path / "store", clean) == []


def test_force_makes_the_features_again(tmp_path, clean, manifest):
    before = shards_of(clean)
    report = extract_features(manifest, LOGMEL, clean, force=True)
    assert (report.new, report.ok) == (N_CLIPS, True)
    assert shards_of(clean) == before
    some = manifest.filter(lambda clip: clip.clip_id in ("own/0001", "own/0007"))
    assert extract_features(some, LOGMEL, clean, force=True).new == 2
    report = extract_features(manifest, LOGMEL, clean)
    assert (report.new, report.ok) == (0, True)
    assert get(clean, manifest.clips[7]).tobytes() == LOGMEL(*heard(manifest.clips[7])).tobytes()


def heard(clip):
    recording = read_audio(clip.path)
    return recording.waveform, recording.sample_rate


def test_clips_are_told_as_they_are_taken_in_hand(tmp_path, manifest):
    told = []
    extract_features(
        manifest, LOGMEL, tmp_path / "store", on_clip=lambda taken, total: told.append(taken)
    )
    assert told == list(range(1, N_CLIPS + 1))


def test_how_far_a_run_is_can_be_read_from_elsewhere(tmp_path, manifest, monkeypatch):
    told = []

    def read(*_):
        told.append(read_progress(tmp_path / "store"))

    monkeypatch.setattr(progress.time, "time", iter(range(1_000, 9_000, 2)).__next__)
    extract_features(manifest, LOGMEL, tmp_path / "store", on_progress=read)
    assert [(p.process, p.host, p.total) for p in told] == [
        (os.getpid(), socket.gethostname(), N_CLIPS)
    ] * 4
    assert [p.finished for p in told] == sorted(p.finished for p in told)
    assert told[-1].finished >= 8 and told[-1].rate > 0
    assert read_progress(tmp_path / "store") is None  # it has ended


# --- what the next step asks ---


def test_full_coverage_is_taken_without_a_word(clean, manifest):
    with FeatureStore(clean) as store:
        check_coverage(manifest, store, "logmel")


def test_clips_with_a_fault_need_no_features(tmp_path, clean, manifest):
    fault = Clip("own/faulty", "own", str(tmp_path / "x.wav"), fault="not understood")
    with FeatureStore(clean) as store:
        check_coverage(Manifest((*manifest.clips, fault)), store, "logmel")


def test_missing_features_are_counted_with_the_command_that_makes_them(tmp_path, manifest):
    with pytest.raises(StoppedError):
        extract_features(manifest, LOGMEL, tmp_path / "store", on_progress=stop)
    with FeatureStore(tmp_path / "store") as store, pytest.raises(StoreError) as caught:
        check_coverage(manifest, store, "logmel")
    assert str(caught.value) == (
        "StoreError: the store holds 3 of 11 clips for 'logmel'; expected all. "
        f"Run: affectus extract MANIFEST --features logmel --store {tmp_path / 'store'}"
    )


def test_failed_features_are_counted_with_the_reason_of_the_first(tmp_path, manifest):
    manifest.clips[4].path.unlink()
    extract_features(manifest, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store, pytest.raises(StoreError) as caught:
        check_coverage(manifest, store, "logmel")
    assert str(caught.value) == (
        "StoreError: the store holds 10 of 11 clips for 'logmel', 1 failed (the first: E1000 No "
        "such file or directory; expected the clip.); expected all. Run: affectus extract MANIFEST "
        f"--features logmel --store {tmp_path / 'store'} --retry-failed"
    )


def test_hashes_of_the_sound_tell_copies_in_other_formats(tmp_path, manifest):
    first = manifest.clips[0]
    recording = read_audio(first.path)
    write_audio(tmp_path / "same.flac", recording.waveform)
    flac = Clip("own/flac", "own", str(tmp_path / "same.flac"))
    both = with_hashes(Manifest((*manifest.clips, flac)))
    assert both.clips[-1].sha256 != both.clips[0].sha256
    extract_features(both, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        hashes = sound_hashes(both, store, "logmel")
    assert hashes["own/0000"] == hashlib.sha256(recording.waveform.tobytes()).hexdigest()
    assert hashes["own/flac"] == hashes["own/0000"]
    assert len({*hashes.values()}) == N_CLIPS


@pytest.fixture
def copied(tmp_path):
    """Two takes of a sentence, and of the first copies in three ways; their manifest."""
    first, second = (synthesize_voice("sad", speaker=1, repetition=n) for n in (1, 2))
    write_audio(tmp_path / "a.wav", first)
    write_audio(tmp_path / "another_take.wav", second)
    write_audio(tmp_path / "softer.wav", 0.3 * np.pad(first, (800, 0)))
    write_audio(tmp_path / "same_sound.flac", read_audio(tmp_path / "a.wav").waveform)
    shutil.copy(tmp_path / "a.wav", tmp_path / "same_bytes.wav")
    write_audio(tmp_path / "silence.wav", np.zeros(8_000, np.float32))
    clips = [
        Clip(path.stem, "own", str(path), "own:1", "sad") for path in sorted(tmp_path.glob("*.*"))
    ]
    return with_hashes(Manifest(tuple(clips)))


def find_pairs(manifest, store):
    sounds = sound_hashes(manifest, store, "logmel")
    return near_pairs(manifest, store, "logmel", store.fingerprints("logmel"), sounds)


def test_near_pairs_are_those_that_hashes_do_not_tell(copied, tmp_path):
    extract_features(copied, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        pairs = find_pairs(copied, store)
        assert count_without_fingerprint(copied, store.fingerprints("logmel")) == 0
        fewer = copied.filter(lambda clip: clip.clip_id != "softer")
        assert find_pairs(fewer, store) == []
    assert sorted(map(sorted, pairs)) == [
        ["a", "softer"],
        ["same_bytes", "softer"],
        ["same_sound", "softer"],
    ]


@pytest.fixture
def comparisons(monkeypatch):
    """How many clips were compared with how many that were known, each time."""
    told = []
    real = copies.find_near_identical

    def find(taken, known):
        told.append((len(taken) - len(known), len(known)))
        return real(taken, known=known)

    monkeypatch.setattr(copies, "find_near_identical", find)
    return told


def test_near_pairs_are_looked_for_once_and_of_what_is_new(copied, tmp_path, comparisons):
    fewer = copied.filter(lambda clip: clip.clip_id in ("a", "another_take", "silence"))
    extract_features(copied, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        assert find_pairs(fewer, store) == []
        pairs = find_pairs(copied, store)
    with FeatureStore(tmp_path / "store") as store:
        assert find_pairs(copied, store) == pairs
        assert find_pairs(fewer, store) == []
    assert len(pairs) == 3
    assert comparisons == [(3, 0), (2, 3)]  # six clips, of which two are of one content


def test_near_pairs_are_found_in_a_store_that_cannot_be_written(copied, tmp_path, comparisons):
    extract_features(copied, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        store._index.execute("PRAGMA query_only = ON")
        assert len(find_pairs(copied, store)) == len(find_pairs(copied, store)) == 3
    assert comparisons == [(5, 0)] * 2


def test_near_pairs_of_features_made_again_are_looked_for_again(copied, tmp_path, comparisons):
    extract_features(copied, LOGMEL, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        find_pairs(copied, store)
    softer = copied.filter(lambda clip: clip.clip_id == "softer")
    extract_features(softer, LOGMEL, tmp_path / "store", force=True)
    with FeatureStore(tmp_path / "store") as store:
        assert len(find_pairs(copied, store)) == 3
    assert comparisons == [(5, 0), (1, 4)]


def test_a_store_of_before_there_were_fingerprints_has_no_near_pairs(copied, tmp_path):
    extract_features(copied, LOGMEL, tmp_path / "store")
    index = sqlite3.connect(tmp_path / "store/index.sqlite", isolation_level=None)
    index.executescript("DROP TABLE fingerprints; PRAGMA user_version = 1;")
    index.close()
    with FeatureStore(tmp_path / "store") as store:
        taken = store.fingerprints("logmel")
        assert find_pairs(copied, store) == []
        assert count_without_fingerprint(copied, taken) == 6
    # Only what is extracted anew has one: here all of it.
    extract_features(copied, LOGMEL, tmp_path / "store", force=True)
    with FeatureStore(tmp_path / "store") as store:
        assert count_without_fingerprint(copied, store.fingerprints("logmel")) == 0
        assert len(find_pairs(copied, store)) == 3


def test_a_clip_that_was_not_heard_has_no_hash_of_its_sound(clean, tmp_path, manifest):
    unheard = Clip("own/unheard", "own", str(tmp_path / "x.wav"), sha256="0" * 64)
    with FeatureStore(clean) as store:
        hashes = sound_hashes(Manifest((*manifest.clips, unheard)), store, "logmel")
    assert hashes["own/unheard"] == ""


def test_a_user_s_table_is_extracted_as_it_is_imported(tmp_path, manifest):
    rows = [f"clips/{clip.path.name},{clip.emotion},{clip.speaker[-1]}" for clip in manifest]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["file,emotion,speaker", *rows]))
    assert extract_features(load_corpus("table", table), LOGMEL, tmp_path / "store").ok


# --- the process that is killed ---


def kill_when(name, count):
    """Kill this process at the given call: before or after it, or in the middle of a file."""
    moment, _, function = name.partition(" ")
    owner = FeatureStore if function == "commit" else shards if function == "write_shard" else os
    real = getattr(owner, function)
    calls = [0]

    def wrapped(*arguments):
        calls[0] += 1
        here = calls[0] == count
        if here and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if here and moment == "half":
            os.truncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if here and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, function, wrapped)


def main(command, folder):
    """Kill extractions of the clips of `folder` in one way or another."""
    folder = Path(folder)
    store_module.SHARD_SIZE = 3
    manifest = write_clips(folder / "clips")
    if command == "orphans":

        def die(*_):
            pids = [str(child.pid) for child in multiprocessing.active_children()]
            (folder / "pids").write_text(" ".join(pids))
            os.kill(os.getpid(), signal.SIGKILL)

        extract_features(manifest, LOGMEL, folder / "orphaned", workers=2, on_progress=die)
    if command == "kill":
        for name in ("before write_shard", "after write_shard", "before commit", "after commit",
                     "half fsync"):  # fmt: skip
            for count in (1, 3) if name == "half fsync" else (1, 2, 4):
                place = f"{name}-{count}".replace(" ", "-")
                child = os.fork()
                if child == 0:
                    kill_when(name, count)
                    extract_features(manifest, LOGMEL, folder / place, workers=0)
                    os._exit(0)
                _, status = os.waitpid(child, 0)
                assert os.WTERMSIG(status) == signal.SIGKILL
                extract_features(manifest, LOGMEL, folder / place, workers=0)
                print(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
