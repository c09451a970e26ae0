"""Feature files of other tools. The .npz layout is that of the earlier audio-video system."""

import csv
import os
import zipfile

import numpy as np
import pytest
from msgspec.structs import replace

from affectus import store as store_module
from affectus.cli import run
from affectus.errors import (
    ConfigError,
    FeatureFileError,
    ManifestError,
    ModelError,
    StoreError,
)
from affectus.experiment import make_experiment
from affectus.feature_files import export_features, import_features, importing
from affectus.manifest import Clip, Manifest
from affectus.store import FeatureStore

EMOTIONS = ("neutral", "calm", "happy", "sad")  # RAVDESS 01 to 04: labels 0 to 3 in its files


def make_clip(number, emotion="happy", corpus="mine", speaker=0, **facts):
    name = f"c{number:03d}"
    return Clip(
        f"{corpus}/{name}",
        corpus,
        f"/nowhere/{name}.mp4",
        speaker=f"{corpus}:{speaker}",
        emotion=emotion,
        sha256=f"{number:064x}",
        **facts,
    )


def make_manifest(n=4, **facts):
    return Manifest(tuple(make_clip(i, EMOTIONS[i % 4], **facts) for i in range(n)))


def faces(n_rows=6, n_columns=5, seed=0):
    """Frames as of a face network: not negative, many zeros, no row without anything."""
    rng = np.random.default_rng(seed)
    frames = np.maximum(0, rng.normal(-0.05, 0.1, (n_rows, n_columns))).astype("f4")
    frames[:, 0] = rng.uniform(0.1, 0.2, n_rows)
    return frames


class Bomb:
    """Whoever unpickles it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def write(tmp_path):
    """A function that writes `files/NAME.npz` and returns its path; rows at 15 a second."""

    def write(name, frames, *, times=True, label=None, prefix="video", **members):
        path = tmp_path / "files" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f"{prefix}_features": frames, **members}
        if times is True:
            arrays[f"{prefix}_timestamps"] = np.arange(len(frames)) / 15
        elif times is not False:
            arrays[f"{prefix}_timestamps"] = np.array(times)
        if label is not None:
            arrays["emotion_label"] = label
        np.savez_compressed(path, **arrays)
        return path

    return write


@pytest.fixture
def take_in(tmp_path):
    """Import the folder `files` as 'faces'; settings may be changed."""

    def take_in(manifest, name="faces", sources=None, store="store", **settings):
        sources = [tmp_path / "files"] if sources is None else sources
        return import_features(sources, manifest, tmp_path / store, name, **settings)

    return take_in


def read(folder, manifest, name="faces"):
    with FeatureStore(folder) as store:
        return [store.get(name, clip.content_key) for clip in manifest]


# --- what is stored ----------------------------------------------------------------------------


def test_frames_are_stored_as_they_stand_in_the_file(write, take_in, tmp_path):
    manifest = make_manifest()
    for i in range(4):
        write(f"c{i:03d}", faces(5 + i, seed=i))
    report = take_in(manifest)
    assert report.ok
    assert (report.matched, report.new, len(report.done)) == (4, 4, 4)
    for i, frames in enumerate(read(tmp_path / "store", manifest)):
        np.testing.assert_array_equal(frames, faces(5 + i, seed=i))
    with FeatureStore(tmp_path / "store") as store:
        record = store.record("faces")
    assert record["kind"] == "imported"
    assert record["source"] == "npz video_features"
    assert record["frame_rate"] == 15.0
    assert record["columns"] == [f"video_features_{i}" for i in range(5)]


def test_no_object_is_unpickled_and_it_is_said(write, take_in, tmp_path):
    made = tmp_path / "made by a pickle"
    bomb = np.empty((), object)
    bomb[()] = Bomb(made)
    path = write("c000", faces(), params=bomb, video_path=bomb)
    report = take_in(make_manifest(1))
    assert report.ok
    assert not made.exists()
    assert "pickled objects were not opened: params, video_path" in report.notes
    with np.load(path, **{"allow" + "_pickle": True}) as file:
        _ = file["params"]
    assert made.exists()  # the canary is alive


def test_an_array_of_objects_is_no_features(write, take_in):
    write("c000", np.array([[1, "a"]], object), times=False)
    with pytest.raises(FeatureFileError, match=r"E1702 'c000.npz': 'video_features' is a pickled"):
        take_in(make_manifest(1), key="video_features")


def test_of_several_arrays_one_must_be_chosen(write, take_in):
    write("c000", faces(), audio_features=faces(20, 3), audio_timestamps=np.arange(20) / 100)
    with pytest.raises(
        ConfigError, match=r"video_features \[6, 5\], audio_features \[20, 3\].*--key"
    ):
        take_in(make_manifest(1))
    assert take_in(make_manifest(1), key="audio_features").frame_rate == 100.0


def test_a_key_that_is_not_there_is_refused_with_those_that_are(write, take_in):
    write("c000", faces())
    with pytest.raises(
        FeatureFileError, match=r"no array 'x'; it holds: video_features, video_tim"
    ):
        take_in(make_manifest(1), key="x")


def test_windows_in_three_dimensions_are_refused(write, take_in):
    write("c000", np.ones((3, 5, 4), "f4"), times=False)
    with pytest.raises(FeatureFileError, match=r"float32 \[3, 5, 4\]; expected numbers \[T, D\]"):
        take_in(make_manifest(1), key="video_features")


# --- times, repetition, missing frames ---------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (np.arange(3) / 15, "6 rows (2 times as many), 3 timestamps"),
        (np.arange(5) / 15, "6 rows, 5 timestamps"),
        ([0, 1, 2, 2, 3, 4], "timestamps do not increase at row 3"),
        ([0, 1, 2, np.nan, 3, 4], "timestamps are not finite"),
    ],
)
def test_times_that_do_not_fit_their_rows_are_refused(write, take_in, times, told):
    write("c000", faces(), times=times)
    write("c001", faces())
    report = take_in(make_manifest(2))
    (failure,) = report.failed
    assert (failure.clip_id, failure.code) == ("mine/c000", "E1703")
    assert told in failure.reason
    assert report.done == ("mine/c001",)
    assert not report.ok


def functionals(n_rows, seed=0):
    """What the earlier system made of one vector: frameTime, which is 0, and 88 functionals."""
    vector = np.random.default_rng(seed).normal(0, 100, 88)
    return np.tile(np.concatenate([[0.0], vector]), (n_rows, 1))


def test_functionals_repeated_in_time_become_one_row_without_frame_time(write, take_in, tmp_path):
    manifest = make_manifest(2)
    write("c000", functionals(380), prefix="audio", times=np.arange(380) / 100)
    # openSMILE's CSV was appended to in a second run: twice the rows for the times.
    write("c001", functionals(466, 1), prefix="audio", times=np.arange(233) / 100)
    report = take_in(manifest)
    assert report.ok
    assert report.frame_rate is None
    notes = "\n".join(report.notes)
    assert "column 0 of 89 is always 0: openSMILE's frameTime" in notes
    assert "in 2 of 2 files all rows are the same" in notes
    assert "466 rows (2 times as many), 233 timestamps" in notes
    first, second = read(tmp_path / "store", manifest)
    np.testing.assert_array_equal(first, functionals(1)[:, 1:].astype("f4"))
    np.testing.assert_array_equal(second, functionals(1, 1)[:, 1:].astype("f4"))
    assert len(report.columns) == 88
    assert report.columns[0] == "audio_features_01"  # numbered as in the file


def test_everything_is_kept_as_it_is_where_that_is_asked_for(write, take_in, tmp_path):
    write("c000", functionals(380), prefix="audio", times=np.arange(380) / 100)
    manifest = make_manifest(1)
    report = take_in(manifest, as_is=True)
    assert (report.frame_rate, len(report.columns)) == (100.0, 89)
    assert "It is kept" in "\n".join(report.notes)
    np.testing.assert_array_equal(
        read(tmp_path / "store", manifest)[0], functionals(380).astype("f4")
    )


def test_a_column_that_is_zero_in_other_layouts_stays(write, take_in):
    frames = faces()
    frames[:, 3] = 0
    write("c000", frames)
    write("c001", frames[::-1])
    report = take_in(make_manifest(2))
    assert len(report.columns) == 5
    assert any("1 columns never change: video_features_3" in note for note in report.notes)


def test_rows_without_a_face_are_left_out_and_counted(write, take_in, tmp_path):
    frames = faces(10)
    frames[2:4] = 0
    write("c000", frames)
    write("c001", faces(10))
    manifest = make_manifest(2)
    report = take_in(manifest)
    assert report.ok
    assert any("2 of 20 rows, in 1 clips, are zero" in note for note in report.notes)
    np.testing.assert_array_equal(
        read(tmp_path / "store", manifest)[0], np.delete(frames, [2, 3], axis=0)
    )


def test_rows_marked_as_not_valid_are_left_out(write, take_in, tmp_path):
    write("c000", faces(4), valid_frames=np.array([True, True, False, True]))
    manifest = make_manifest(1)
    take_in(manifest)
    np.testing.assert_array_equal(read(tmp_path / "store", manifest)[0], faces(4)[[0, 1, 3]])


@pytest.mark.parametrize(("n_zero", "told"), [(10, "all 10 rows are zero"), (6, "6 of 10 rows")])
def test_a_clip_that_holds_mostly_nothing_is_refused(write, take_in, n_zero, told):
    frames = faces(10)
    frames[:n_zero] = 0
    write("c000", frames)
    write("c001", faces(10))
    (failure,) = take_in(make_manifest(2)).failed
    assert failure.code == "E1705"
    assert told in failure.reason


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_is_refused(write, take_in, value):
    frames = faces().astype("f8")
    frames[3, 2] = value
    write("c000", frames)
    write("c001", faces())
    (failure,) = take_in(make_manifest(2)).failed
    assert failure.code == "E1704"
    assert "1 of 30 values are not finite (the first in row 3, column 2)" in failure.reason


def test_a_clip_of_another_width_than_the_others_is_refused(write, take_in):
    write("c000", faces(6, 4))
    for i in (1, 2):
        write(f"c{i:03d}", faces(seed=i))
    (failure,) = take_in(make_manifest(3)).failed
    assert (failure.clip_id, failure.code) == ("mine/c000", "E1702")
    assert "4 columns; expected 5" in failure.reason


# --- labels ------------------------------------------------------------------------------------


def test_the_scheme_of_integer_labels_must_be_named(write, take_in):
    write("c000", faces(), label=0)
    with pytest.raises(
        ConfigError, match=r"label is 0, and two schemes.*--labels ravdess.*unified"
    ):
        take_in(make_manifest(1))
    assert take_in(make_manifest(1), labels="none").ok
    with pytest.raises(ConfigError, match="--labels cremad: expected ravdess, unified or none"):
        take_in(make_manifest(1), labels="cremad")


def test_labels_that_contradict_the_manifest_are_a_finding(write, take_in):
    for i in range(4):
        write(f"c{i:03d}", faces(seed=i), label=i)
    assert take_in(make_manifest(), labels="ravdess").ok
    report = take_in(make_manifest(), labels="unified", store="other")
    (finding,) = report.findings
    # 0 is neutral in both; 1 is calm there and happy here, 2 happy and sad, 3 sad and angry.
    assert "3 of 4 files contradict the manifest under 'unified'" in finding
    assert "c001.npz (1 is happy; the clip is calm)" in finding
    assert "Under 'ravdess' 4 agree" in finding
    assert not report.ok
    assert len(report.done) == 4


def test_neutral_and_calm_are_one_label_of_the_unified_scheme(write, take_in):
    write("c000", faces(), label=0)
    write("c001", faces(seed=1), label=0)
    assert take_in(make_manifest(2), labels="unified").ok


def test_a_label_that_was_not_understood_contradicts_nothing(write, take_in):
    write("c000", faces(), label=-1)
    assert take_in(make_manifest(1), labels="ravdess").ok


def test_an_emotion_in_words_is_held_against_the_manifest(write, take_in):
    write("c000", faces(), original_emotion="SAD")  # the clip is neutral
    write("c001", faces(seed=1), original_emotion="XX")
    (finding,) = take_in(make_manifest(2)).findings
    assert "emotions of 1 files contradict the manifest: c000.npz (it says sad; the" in finding


# --- files that are none -----------------------------------------------------------------------


def claim(path, shape):
    """Write an .npz whose array claims a shape that it does not have."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("video_features.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        file.write(bytes(16))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b"Dear diary"), "not a zip file"),
        (lambda path: path.write_bytes(b""), "not a zip file"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "not a zip file"),
        (lambda path: claim(path, (1 << 40, 4)), "claims 17,592,186,044,416 bytes; it has"),
        (lambda path: claim(path, (5, 4)), "expected a .npz"),
        (lambda path: claim(path, (-1, 4)), "expected a .npz"),
    ],
)
def test_a_file_that_is_no_npz_fails_and_the_others_go_on(write, take_in, make, told):
    make(write("c001", faces(seed=1)))
    write("c000", faces())
    report = take_in(make_manifest(2))
    (failure,) = report.failed
    assert (failure.clip_id, failure.code) == ("mine/c001", "E1701")
    assert told in failure.reason
    assert report.done == ("mine/c000",)


def test_a_damaged_member_fails_by_its_checksum(write, take_in):
    path = write("c001", faces(200, 50, seed=1))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    write("c000", faces(200, 50))
    (failure,) = take_in(make_manifest(2)).failed
    assert failure.code == "E1701"


def test_if_no_file_can_be_used_nothing_is_written(write, take_in, tmp_path):
    write("c000", np.full((3, 2), np.nan, "f4"))
    with pytest.raises(FeatureFileError, match="E1704"):
        take_in(make_manifest(1))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [("logmel", "an extractor's name"), ("a/b", "expected letters"), ("", "expected letters")],
)
def test_a_name_that_cannot_be_a_feature_set_is_refused(write, take_in, name, told):
    write("c000", faces())
    with pytest.raises(ConfigError, match=told):
        take_in(make_manifest(1), name=name)


def test_files_of_two_kinds_or_of_none_are_refused(write, take_in, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,a\nc000,1\n")
    with pytest.raises(ConfigError, match=r"found \.csv, \.npz; expected \.npz files, or \.csv"):
        take_in(make_manifest(1), sources=[write("c000", faces()), table])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="found nothing"):
        take_in(make_manifest(1), sources=[tmp_path / "empty"])


# --- which file is whose -----------------------------------------------------------------------


def test_files_without_a_clip_and_clips_without_a_file_are_named(write, take_in):
    for name in ("c000", "c001", "stranger"):
        write(name, faces())
    report = take_in(make_manifest(4))
    assert report.strays == ("stranger.npz",)
    assert report.without == ("mine/c002", "mine/c003")
    assert not report.ok


def test_a_suffix_that_no_clip_has_is_refused_with_both_names(write, take_in):
    write("c000_cnn_audio", faces())
    with pytest.raises(ManifestError, match=r"'c000_cnn_audio\.npz', the first clip 'mine/c000'"):
        take_in(make_manifest(1))


def test_a_name_that_two_clips_have_is_ambiguous_unless_the_folder_says_which(write, take_in):
    twins = Manifest((make_clip(0), replace(make_clip(0, corpus="other"), sha256="f" * 64)))
    write("c000", faces())
    write("other/c000", faces(seed=1))
    report = take_in(twins)
    assert report.findings == ("c000.npz may be of mine/c000, other/c000; expected one clip",)
    assert report.done == ("other/c000",)


def test_of_two_files_of_a_clip_one_is_used_and_it_is_said(write, take_in):
    write("a/c000", faces())
    write("b/c000", faces(seed=1))
    report = take_in(make_manifest(1))
    assert report.findings == ("c000.npz is of mine/c000, as c000.npz is; not used",)


def test_the_video_of_a_performance_serves_for_its_sound_file(write, take_in):
    # RAVDESS: the first field is the modality, 01 sound and picture, 03 sound only.
    sound = Clip(
        "ravdess/03-01-05-01-02-01-12", "ravdess", "/nowhere/03-01-05-01-02-01-12.wav",
        emotion="angry", sha256="a" * 64, take="ravdess/01-05-01-02-01-12",
    )  # fmt: skip
    write("01-01-05-01-02-01-12", faces(), label=4)
    report = take_in(Manifest((sound,)), labels="ravdess")
    assert report.ok
    assert any("01-01-05-01-02-01-12.npz of ravdess/03-01-05" in note for note in report.notes)


def test_clips_with_a_fault_want_no_features(write, take_in):
    write("c000", faces())
    manifest = Manifest((make_clip(0), replace(make_clip(1), fault="not understood")))
    assert take_in(manifest).ok


# --- again, and interrupted --------------------------------------------------------------------


def shards(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_a_killed_import_goes_on_to_the_same_bytes(write, take_in, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_SIZE", 2)
    manifest = make_manifest(6)
    for i in range(6):
        write(f"c{i:03d}", faces(seed=i))
    take_in(manifest, store="whole")
    real, written = importing.write_shard, []

    def write_two(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[2])
        return real(*arguments)

    monkeypatch.setattr(importing, "write_shard", write_two)
    with pytest.raises(KeyboardInterrupt):
        take_in(manifest)
    monkeypatch.setattr(importing, "write_shard", real)
    report = take_in(manifest)
    assert (report.new, len(report.done)) == (2, 6)
    assert shards(tmp_path / "store") == shards(tmp_path / "whole")
    assert take_in(manifest).new == 0


def test_what_failed_is_taken_in_once_its_file_is_mended(write, take_in):
    write("c000", faces())
    write("c001", np.full((6, 5), np.nan, "f4"))
    assert len(take_in(make_manifest(2)).failed) == 1
    write("c001", faces(seed=1))
    report = take_in(make_manifest(2))
    assert (report.new, report.ok) == (1, True)


def test_a_file_that_changed_after_the_import_is_a_finding(write, take_in, tmp_path):
    manifest = make_manifest(2)
    for i in range(2):
        write(f"c{i:03d}", faces(seed=i))
    take_in(manifest)
    write("c001", faces(seed=9))
    (finding,) = take_in(manifest).findings
    assert "1 files hold other numbers than 'faces' was filled from: mine/c001" in finding
    np.testing.assert_array_equal(read(tmp_path / "store", manifest)[1], faces(seed=1))


def test_a_second_corpus_joins_the_same_set(write, take_in, tmp_path):
    manifest = Manifest((make_clip(0), make_clip(1, corpus="other")))
    first, second = write("a/c000", faces()), write("b/c001", faces(seed=1))
    assert take_in(manifest, sources=[first]).without == ("other/c001",)
    report = take_in(manifest, sources=[second])
    assert report.ok
    assert len(report.done) == 2


def test_features_of_other_columns_are_refused_by_number(write, take_in, tmp_path):
    first, second = write("a/c000", faces()), write("b/c001", faces(6, 7))
    take_in(make_manifest(2), sources=[first])
    with pytest.raises(StoreError, match="'faces' has 5 columns there and 7 here"):
        take_in(make_manifest(2), sources=[second])


# --- tables ------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path, take_in):
    """Import a CSV of this text."""

    def table(text, manifest, **settings):
        path = tmp_path / "voice.csv"
        path.write_text(text)
        return take_in(manifest, "voice", [path], **settings)

    return table


def test_a_row_of_a_table_is_one_frame_with_named_columns(table, tmp_path):
    manifest = make_manifest(2)
    report = table("f0_mean,jitter,file\n120.5,0.01,c000.wav\n210,2e-2,c001.mp4\n", manifest)
    assert report.ok
    assert (report.columns, report.frame_rate) == (("f0_mean", "jitter"), None)
    first, second = read(tmp_path / "store", manifest, "voice")
    np.testing.assert_array_equal(first, np.array([[120.5, 0.01]], "f4"))
    np.testing.assert_array_equal(second, np.array([[210, 0.02]], "f4"))


def test_what_tells_the_speaker_or_the_answer_is_no_feature(table):
    report = table(
        "file,f0,emotion,intensity,actor,gender\nc000,120,neutral,1,17,male\nc001,210,calm,2,18,f\n",
        make_manifest(2),
    )
    assert report.columns == ("f0",)
    assert any("emotion, intensity, actor, gender" in note for note in report.notes)


def test_an_emotion_of_a_table_is_held_against_the_manifest(table):
    report = table("file,f0,emotion\nc000,120,neutral\nc001,210,angry\n", make_manifest(2))
    assert "voice.csv:3 (it says angry; the clip is calm)" in report.findings[0]


def test_semicolons_and_quoted_names_are_read(table):
    # As openSMILE writes them: name in quotes, then frameTime.
    text = "name;frameTime;F0\n'c000';0.0;26.5\n'c001';0.0;31\n"
    report = table(text, make_manifest(2))
    assert report.ok
    assert report.columns == ("F0",)


def test_a_column_with_many_empty_cells_must_be_left_out(table):
    text = "file,f0,cpp\n" + "".join(f"c{i:03d},{i},{'' if i % 2 else 1}\n" for i in range(40))
    with pytest.raises(FeatureFileError, match=r"no number for cpp in 20 of 40.*--without cpp"):
        table(text, make_manifest(40))
    assert table(text, make_manifest(40), without=["cpp"]).ok
    with pytest.raises(FeatureFileError, match=r"--without: no column 'cp'. Did you mean 'cpp'"):
        table(text, make_manifest(40), without=["cp"])


def test_a_clip_with_an_empty_cell_fails_and_the_column_is_named(table):
    text = "file,f0,cpp\n" + "".join(f"c{i:03d},{i},{'' if i == 7 else 1}\n" for i in range(40))
    (failure,) = table(text, make_manifest(40)).failed
    assert (failure.clip_id, failure.code) == ("mine/c007", "E1704")
    assert "column cpp" in failure.reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("f0,f1\n1,2\n", "no column clip_id, file, .*--id COLUMN"),
        ("file,f0\nc000,1\nc001,many\n", "line 3: f0 is 'many'; expected a number"),
        ("file,f0\nc000\n", "line 2: not 2 cells"),
        ("file,f0,f0\nc000,1,2\n", "column 'f0' stands twice"),
        ("file,word\nc000,a\n", "no column of numbers"),
        ("file,f0\n", "no rows"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_words(table, text, told):
    with pytest.raises(FeatureFileError, match=told):
        table(text, make_manifest(2))


def test_the_column_that_names_the_clip_can_be_said(table):
    assert table("recording,f0\nc000,1\n", make_manifest(1), id_column="recording").ok
    with pytest.raises(FeatureFileError, match=r"no column 'recordin'\. Did you mean 'recording'"):
        table("recording,f0\nc000,1\n", make_manifest(1), id_column="recordin")


# --- training on them --------------------------------------------------------------------------

N_SPEAKERS = 6


@pytest.fixture(scope="module")
def trained_place(tmp_path_factory):
    """A manifest of six speakers and a store of imported functionals that tell the emotion."""
    folder = tmp_path_factory.mktemp("imported")
    rng = np.random.default_rng(0)
    lines = ["file," + ",".join(f"f{i}" for i in range(16))]
    clips = []
    for number in range(N_SPEAKERS * 12):
        place = number % 4
        emotion = ("neutral", "happy", "sad", "angry")[place]
        values = rng.normal(0, 1, 16) + 4 * (np.arange(16) // 4 == place)
        lines.append(f"c{number:03d}," + ",".join(f"{value:.4f}" for value in values))
        clips.append(make_clip(number, emotion, speaker=number // 12))
    (folder / "voice.csv").write_text("\n".join(lines) + "\n")
    manifest = Manifest(tuple(clips))
    manifest.write(folder / "manifest.csv")
    report = import_features([folder / "voice.csv"], manifest, folder / "store", "voice")
    assert report.ok
    return folder


def experiment_on(folder, **changes):
    content = {
        "name": "imported",
        "manifest": str(folder / "manifest.csv"),
        "store": str(folder / "store"),
        "labels": {"scheme": "four"},
        "features": {"name": "voice"},
        "split": {"protocol": "sequential-6fold", "folds": [1]},
        "model": {"name": "crnn", "channels": [8, 8], "n_hidden": 8, "n_attention": 8},
        "training": {"epochs": 5, "batch_size": 8, "learning_rate": 0.03, "average": 0.5},
        "augmentation": {"gain_db": 0.0, "band_masks": 0},
    }
    return make_experiment({**content, **changes})


def test_imported_features_can_be_trained_on_and_judged_but_not_exported(trained_place, tmp_path):
    from affectus.export import export_run
    from affectus.runs import read_provenance
    from affectus.training import evaluate_run, train

    done = train(experiment_on(trained_place), tmp_path)
    assert evaluate_run(done, "test").uar.value > 0.7  # chance is 0.25
    facts = read_provenance(done)[0]["features"]
    assert (facts["name"], facts["kind"], facts["n_columns"]) == ("voice", "imported", 16)
    assert len(facts["sha256"]) == 64
    with pytest.raises(ModelError, match="imported features 'voice', which nothing here computes"):
        export_run(done, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_settings_that_do_not_fit_imported_features_are_refused(trained_place, tmp_path):
    from affectus.training import train

    with pytest.raises(ConfigError, match=r"gain_db is 1\.5, but.*'voice' are not in dB"):
        train(experiment_on(trained_place, augmentation={}), tmp_path)
    with pytest.raises(ConfigError, match="'voice' were imported and have no parameter 'n_mels'"):
        train(experiment_on(trained_place, features={"name": "voice", "n_mels": 9}), tmp_path)
    with pytest.raises(ConfigError, match="no features 'voic'"):
        train(experiment_on(trained_place, features={"name": "voic"}), tmp_path)
    with pytest.raises(ConfigError, match=r"9 blocks halve 16 bands to nothing"):
        train(experiment_on(trained_place, model={"name": "cnn", "channels": [4] * 9}), tmp_path)


def test_clips_that_lack_imported_features_are_told_how_to_get_them(trained_place, tmp_path):
    from affectus.training import train

    more = (*Manifest.read(trained_place / "manifest.csv").clips, make_clip(900, "sad"))
    Manifest(more).write(tmp_path / "more.csv")
    with pytest.raises(StoreError, match=r"72 of 73 clips for 'voice'.*import-features.*--matched"):
        train(experiment_on(trained_place, manifest=str(tmp_path / "more.csv")), tmp_path)


# --- out again ---------------------------------------------------------------------------------


@pytest.fixture
def filled(write, take_in, tmp_path):
    manifest = make_manifest(3)
    for i in range(3):
        write(f"c{i:03d}", faces(5 + i, seed=i))
    take_in(manifest)
    return tmp_path / "store", manifest


def test_exported_features_open_without_pickle(filled, tmp_path):
    folder, manifest = filled
    with FeatureStore(folder) as store:
        report = export_features(store, manifest, tmp_path / "out")
    assert (report.written, report.missing) == (3, ())
    with np.load(tmp_path / "out/mine/c001.npz") as file:  # which refuses objects
        np.testing.assert_array_equal(file["features"], faces(6, seed=1))
        assert file["features"].dtype == np.float32
        assert file["columns"].tolist() == [f"video_features_{i}" for i in range(5)]
        assert (float(file["frame_rate"]), str(file["clip_id"])) == (15.0, "mine/c001")
        assert (str(file["emotion"]), str(file["speaker"])) == ("calm", "mine:0")
    rows = list(csv.DictReader((tmp_path / "out/index.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [f"mine/c00{i}.npz" for i in range(3)]
    assert [row["n_frames"] for row in rows] == ["5", "6", "7"]


def test_what_was_exported_can_be_imported_to_the_same_arrays(filled, take_in, tmp_path):
    folder, manifest = filled
    with FeatureStore(folder) as store:
        export_features(store, manifest, tmp_path / "out")
        kept = [store.get("faces", clip.content_key) for clip in manifest]
    report = take_in(manifest, sources=[tmp_path / "out"], store="again")
    assert report.ok
    assert (report.frame_rate, report.columns[0]) == (15.0, "video_features_0")
    for mine, theirs in zip(kept, read(tmp_path / "again", manifest), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_export_is_the_same_bytes_each_time(filled, tmp_path):
    folder, manifest = filled
    with FeatureStore(folder) as store:
        for name in ("one", "two"):
            export_features(store, manifest, tmp_path / name)
    files = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 4


def test_no_clip_id_leads_out_of_the_folder(write, take_in, tmp_path):
    clip = replace(make_clip(0), clip_id="../../c000")
    write("c000", faces())
    take_in(Manifest((clip,)))
    with FeatureStore(tmp_path / "store") as store:
        export_features(store, Manifest((clip,)), tmp_path / "deep/er/out")
    assert (tmp_path / "deep/er/out/__/__/c000.npz").is_file()


def test_an_export_names_clips_without_features_and_refuses_what_is_there(filled, tmp_path):
    folder, manifest = filled
    more = Manifest((*manifest.clips, make_clip(77)))
    with FeatureStore(folder) as store:
        assert export_features(store, more, tmp_path / "out").missing == ("mine/c077",)
        with pytest.raises(ConfigError, match="out: there already; expected a new folder"):
            export_features(store, more, tmp_path / "out")
        with pytest.raises(StoreError, match="holds no clip of the manifest"):
            export_features(store, Manifest((make_clip(78),)), tmp_path / "none")


def test_of_several_feature_sets_one_must_be_named(filled, take_in, tmp_path):
    folder, manifest = filled
    take_in(manifest, name="second")
    with (
        FeatureStore(folder) as store,
        pytest.raises(ConfigError, match=r"holds faces, second.*--features NAME"),
    ):
        export_features(store, manifest, tmp_path / "out")


# --- the commands ------------------------------------------------------------------------------


def test_the_commands_take_in_and_give_out(write, tmp_path, capsys):
    for i in range(2):
        write(f"c{i:03d}", faces(seed=i))
    make_manifest(3).write(tmp_path / "m.csv")
    place = ["--manifest", str(tmp_path / "m.csv")]
    store = str(tmp_path / "store")
    taken = ["import-features", str(tmp_path / "files"), *place, "--store", store, "--name", "v"]
    assert run([*taken, "--matched", str(tmp_path / "two.csv")]) == 1
    out, err = capsys.readouterr()
    assert "2 of 3 clips (2 now), 0 failed, 1 without a file, 0 files of no clip" in out
    assert "no feature file: mine/c002" in err
    two = Manifest.read(tmp_path / "two.csv")
    assert [clip.clip_id for clip in two] == ["mine/c000", "mine/c001"]
    place = ["--manifest", str(tmp_path / "two.csv")]
    assert run([*taken[:2], *place, "--store", store, "--name", "v", "--json"]) == 0
    capsys.readouterr()
    assert run(["export-features", store, *place, "-o", str(tmp_path / "out")]) == 0
    assert "2 clips written, 0 without features" in capsys.readouterr().out
    assert run(["status", store]) == 0
