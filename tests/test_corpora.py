"""Corpora: published names to a manifest. Users' own tables and folders: test_own_data.py."""

import hashlib
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from affectus.corpora import (
    expected_clips,
    expected_counts,
    find_corpus,
    list_corpora,
    load_corpus,
)
from affectus.corpora.ravdess import read_clip
from affectus.emotions import EMOTIONS
from affectus.errors import CorpusError, LabelError
from affectus.manifest import Clip, Manifest
from tests.messages import message


def ravdess_names(modality="03", channel="01", actors=range(1, 25)):
    """The published names of one part. Source: Livingstone and Russo (2018), Zenodo 1188976."""
    codes = product(range(1, 9), (1, 2), (1, 2), (1, 2), actors)
    for emotion, intensity, statement, repetition, actor in codes:
        if emotion == 1 and intensity == 2:
            continue  # neutral has no strong intensity
        if channel == "02" and (emotion > 6 or actor == 18):
            continue  # disgust and surprised are not sung, and actor 18 has no song
        fields = (emotion, intensity, statement, repetition, actor)
        yield "-".join([modality, channel, *(f"{field:02d}" for field in fields)])


@pytest.fixture
def ravdess(make_file, tmp_path):
    """A function that lays out names as RAVDESS does (each file holds its own name)."""

    def lay_out(names, ending=".wav"):
        for name in names:
            make_file(f"ravdess/Actor_{name[-2:]}/{name}{ending}", name.encode())
        return tmp_path / "ravdess"

    return lay_out


# --- every corpus ------------------------------------------------------------------------------

# Files by part, as the corpora's papers and tables have it: Livingstone and Russo (2018), Cao et
# al. (2014), Haq and Jackson (2009), Pichora-Fuller and Dupuis (2020), Burkhardt et al. (2005),
# Das et al. (2022). nEMO's names are not known, only their number: Christop (2024).
PUBLISHED = {
    "banglaser": {"whole": 1_467},
    "cremad": {"wav": 7_442, "mp3": 7_442, "video": 7_442},
    "emodb": {"whole": 535},
    "nemo": {"whole": 4_481},
    "ravdess": {
        "speech": 1_440, "speech-video": 1_440, "speech-picture": 1_440,
        "song": 1_012, "song-video": 1_012, "song-picture": 1_012,
    },
    "savee": {"audio": 480, "video": 480},
    "tess": {"whole": 2_800},
}  # fmt: skip
# Female and male speakers, and the emotions, from the same.
SPEAKERS = {
    "banglaser": (17, 17), "cremad": (43, 48), "emodb": (5, 5), "nemo": (4, 5), "ravdess": (12, 12),
    "savee": (0, 4), "tess": (2, 0),
}  # fmt: skip
_SIX = {"neutral", "happy", "sad", "angry", "fearful", "disgust"}
LABELS = {
    "banglaser": {"neutral", "happy", "sad", "angry", "surprised"},
    "cremad": _SIX,
    "emodb": _SIX,
    "nemo": _SIX - {"disgust"} | {"surprised"},
    "ravdess": set(EMOTIONS),
    "savee": _SIX | {"surprised"},
    "tess": _SIX | {"surprised"},
}


def list_published(corpus, part):
    """The file names of a part; of nEMO, all that its rule allows."""
    if corpus.name == "nemo":
        speakers = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
        labels = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
        cells = product(speakers, labels, range(1, 91))
        return [f"samples/{speaker}_{label}_{number}.wav" for speaker, label, number in cells]
    return list(corpus.list_names(part))


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_every_corpus_keeps_the_contract(corpus):
    assert find_corpus(corpus.name) is corpus
    assert re.fullmatch(r"[a-z][a-z0-9]*", corpus.name)
    assert re.search(r"\((19|20)\d\d\)", corpus.citation), "who and when"
    assert corpus.licence and corpus.url and corpus.title and corpus.layout
    assert not re.search(r"https?:|www\.|\.(org|com|net|edu|de|uk)\b", corpus.url), "in words"
    assert re.fullmatch(r"[a-z]{2}", corpus.language)
    counts = PUBLISHED[corpus.name]
    assert [part for row in corpus.parts for part in row] == list(counts)
    firsts = sum(counts[row[0]] for row in corpus.parts)
    assert corpus.n_clips == (7_356 if corpus.name == "ravdess" else firsts)

    clips, unmapped = [], set()
    for part, n_clips in counts.items():
        names = list_published(corpus, part)
        read = [corpus.read_clip(Path(name)) for name in names]
        assert [clip.file for clip in read] == names
        assert {corpus.find_part(clip) for clip in read} == {part}
        # One of them says that the part is there; then all are expected, by name or by number.
        one = Manifest((read[0],))
        if corpus.names_known:
            assert len(names) == n_clips
            assert corpus.expected(one) == tuple(read)
        assert corpus.n_expected(one) == expected_counts(one)[corpus.name] == n_clips
        clips += read

    assert len({clip.clip_id for clip in clips}) == len({clip.file for clip in clips}) == len(clips)
    sexes = {clip.speaker: clip.sex for clip in clips}
    assert len(sexes) == corpus.n_speakers == sum(SPEAKERS[corpus.name])
    assert (
        Counter(sexes.values())["female"], Counter(sexes.values())["male"]
    ) == SPEAKERS[corpus.name]  # fmt: skip
    for clip in clips:
        assert (clip.corpus, clip.language) == (corpus.name, corpus.language)
        assert clip.clip_id.startswith(f"{corpus.name}/")
        assert clip.speaker.startswith(f"{corpus.name}:")
        assert clip.take == "" or clip.take.startswith(f"{corpus.name}/")
        assert clip.source_label and clip.sentence
        if clip.emotion is None:
            unmapped.add(clip.source_label)
    assert {clip.emotion for clip in clips} - {None} == LABELS[corpus.name]
    assert unmapped == set(corpus.unmapped)
    # The files of one performance share a take, and each of them is in another part.
    takes = Counter((clip.take, corpus.find_part(clip)) for clip in clips if clip.take)
    assert set(takes.values()) <= {1}


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_a_folder_of_published_names_is_read_whole(corpus, make_file, tmp_path):
    names = list_published(corpus, corpus.parts[0][0])[::97]
    for name in names:
        make_file(f"corpus/{name}", name.encode())
    manifest = load_corpus(corpus.name, tmp_path / "corpus")
    found = {clip.path.relative_to(tmp_path / "corpus").as_posix() for clip in manifest}
    assert found == set(names)
    assert [clip.fault for clip in manifest if clip.fault] == []
    assert [clip.clip_id for clip in manifest] == sorted(clip.clip_id for clip in manifest)


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_a_folder_without_the_corpus_says_what_was_expected(corpus, make_file, tmp_path):
    make_file("music/song.mp3")
    text = message(CorpusError, lambda: load_corpus(corpus.name, tmp_path))
    assert text == (
        f"CorpusError: {tmp_path}: 1 media files, none with a name of {corpus.title} (the first is "
        f"'song.mp3'); expected {corpus.layout}. Give the folder that holds them."
    )


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_a_part_that_a_corpus_does_not_have_is_refused(corpus, tmp_path):
    text = message(CorpusError, lambda: load_corpus(corpus.name, tmp_path, parts=["smell"]))
    assert text == f"CorpusError: {corpus.name}: no part 'smell'; expected " + ", ".join(
        PUBLISHED[corpus.name]
    ) + "."  # fmt: skip


def test_corpora_are_listed_by_name():
    names = [corpus.name for corpus in list_corpora()]
    assert names == sorted(names)
    assert set(names) == set(PUBLISHED)


def test_an_unknown_corpus_lists_the_known_and_proposes_the_nearest(tmp_path):
    text = message(CorpusError, lambda: load_corpus("ravdes", tmp_path))
    assert text.startswith("CorpusError: no corpus 'ravdes'; known corpora: ")
    assert all(corpus.name in text for corpus in list_corpora())
    assert ", table, folder, renamed." in text
    assert text.endswith("Did you mean 'ravdess'?")


@pytest.mark.parametrize("name", ["ravdess", "folder"])
def test_a_folder_that_is_not_there_is_named(name, tmp_path, make_file):
    for path, found, remedy in (
        (tmp_path / "gone", "no such folder", "Check the path."),
        (make_file("a.wav"), "a file", "Give the folder; unpack an archive."),
    ):
        text = message(CorpusError, lambda path=path: load_corpus(name, path))
        assert text == (f"CorpusError: {path}: {found}; expected a folder of recordings. {remedy}")


def test_every_file_is_hashed(ravdess):
    folder = ravdess(["03-01-03-01-01-01-01"])
    (clip,) = load_corpus("ravdess", folder)
    assert clip.sha256 == hashlib.sha256(b"03-01-03-01-01-01-01").hexdigest()


# --- RAVDESS -----------------------------------------------------------------------------------


def test_a_ravdess_name_says_everything(ravdess):
    clip = read_clip(Path("Actor_12/03-01-06-02-01-02-12.wav"))
    assert clip == Clip(
        clip_id="ravdess/03-01-06-02-01-02-12",
        corpus="ravdess",
        file="Actor_12/03-01-06-02-01-02-12.wav",
        speaker="ravdess:12",
        emotion="fearful",
        sex="female",
        language="en",
        source_label="06",
        intensity="strong",
        sentence="kids",
        repetition="2",
        take="ravdess/01-06-02-01-02-12",
        channels=("voice",),
    )


# Source: https://zenodo.org/records/1188976, 'File naming convention'.
@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        (1, "neutral"), (2, "calm"), (3, "happy"), (4, "sad"),
        (5, "angry"), (6, "fearful"), (7, "disgust"), (8, "surprised"),
    ],
)  # fmt: skip
def test_ravdess_emotions_are_those_of_its_page(code, emotion):
    assert read_clip(Path(f"03-01-{code:02d}-01-01-01-01.wav")).emotion == emotion


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("02-01-03-01-01-01-01", "channels", ("face",)),
        ("01-01-03-01-01-01-01", "channels", ("voice", "face")),
        ("03-02-03-01-01-01-01", "sentence", "kids (sung)"),
        ("03-01-03-01-02-01-01", "sentence", "dogs"),
        ("03-01-03-01-01-01-01", "intensity", "normal"),
        ("03-01-03-01-01-01-01", "sex", "male"),
        ("03-01-03-01-01-01-24", "sex", "female"),
        ("03-01-03-01-01-01-07", "speaker", "ravdess:07"),
    ],
)
def test_each_ravdess_field_is_read(name, field, value):
    assert getattr(read_clip(Path(f"{name}.wav")), field) == value


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("04-01-03-01-01-01-01", "modality is '04'; expected 01 or 02 or 03"),
        ("03-03-03-01-01-01-01", "channel is '03'; expected 01 or 02"),
        ("03-01-00-01-01-01-01", "emotion is '00'; expected 01 to 08"),
        ("03-01-09-01-01-01-01", "emotion is '09'; expected 01 to 08"),
        ("03-01-03-03-01-01-01", "intensity is '03'; expected 01 or 02"),
        ("03-01-03-01-03-01-01", "statement is '03'; expected 01 or 02"),
        ("03-01-03-01-01-03-01", "repetition is '03'; expected 01 or 02"),
        ("03-01-03-01-01-01-25", "actor is '25'; expected 01 to 24"),
        ("03-01-03-01-01-01-00", "actor is '00'; expected 01 to 24"),
        ("03-01-03-01-01-01-1", "actor is '1'; expected 01 to 24"),
        ("03-01-03-01-01-01", "6 fields; expected seven, like 03-01-05-01-02-01-12"),
        ("03-01-03-01-01-01-01-01", "8 fields; expected seven"),
        ("happy", "1 fields; expected seven"),
        ("03-01-01-02-01-01-01", "neutral with intensity 02; expected 01"),
        ("03-02-07-01-01-01-01", "disgust by actor 01 was never sung"),
        ("03-02-08-01-01-01-01", "surprised by actor 01 was never sung"),
        ("03-02-03-01-01-01-18", "happy by actor 18 was never sung"),
    ],
)
def test_each_ravdess_field_is_checked(name, words):
    text = message(LabelError, lambda: read_clip(Path(f"{name}.wav")))
    assert text.startswith(f"LabelError: name '{name}.wav': {words}")


def test_what_was_not_sung_was_spoken():
    for name in ("03-01-07-01-01-01-01", "03-01-03-01-01-01-18"):
        assert read_clip(Path(f"{name}.wav")).emotion


def test_an_actor_in_a_folder_of_another_is_a_fault():
    text = message(LabelError, lambda: read_clip(Path("Actor_02/03-01-03-01-01-01-01.wav")))
    assert text == "LabelError: name '03-01-03-01-01-01-01.wav': actor 01 in folder Actor_02"


# Source: Livingstone and Russo (2018): 1,440 speech (60 a speaker), 1,012 song (44 a singer of 23),
# each as sound, picture, and both: 7,356 files; and the counts by emotion that follow.
@pytest.mark.parametrize(
    ("channel", "n_clips", "n_each", "n_actors", "n_emotions"),
    [("01", 1_440, 60, 24, 8), ("02", 1_012, 44, 23, 6)],
)
@pytest.mark.parametrize("modality", ["01", "02", "03"])
def test_ravdess_holds_what_its_paper_says(
    modality, channel, n_clips, n_each, n_actors, n_emotions
):
    seed = read_clip(Path(f"{modality}-{channel}-03-01-01-01-01.mp4"))
    clips = expected_clips(Manifest((seed,)))
    assert len(clips) == n_clips
    by_speaker = Counter(clip.speaker for clip in clips)
    assert len(by_speaker) == n_actors
    assert set(by_speaker.values()) == {n_each}
    by_emotion = Counter(clip.emotion for clip in clips)
    assert len(by_emotion) == n_emotions
    assert by_emotion.pop("neutral") == n_actors * 4  # half as many: one intensity
    assert set(by_emotion.values()) == {n_actors * 8}
    assert {clip.clip_id for clip in clips} == {
        f"ravdess/{name}" for name in ravdess_names(modality, channel)
    }


def test_all_of_ravdess_is_7356_files():
    seeds = [
        read_clip(Path(f"{m}-{c}-03-01-01-01-01.mp4"))
        for m in ("01", "02", "03")
        for c in ("01", "02")
    ]
    clips = expected_clips(Manifest(tuple(seeds)))
    assert len(clips) == find_corpus("ravdess").n_clips == 7_356
    assert len({clip.speaker for clip in clips}) == find_corpus("ravdess").n_speakers == 24
    assert Counter(clip.path.suffix for clip in clips) == {".wav": 2_452, ".mp4": 4_904}


def test_nothing_is_expected_of_a_part_that_is_not_there():
    assert expected_clips(Manifest(())) == ()
    faulty = Clip("ravdess/x", "ravdess", "03-01-03-01-01-01-01.wav", fault="bad")
    assert expected_clips(Manifest((faulty,))) == ()


def test_other_corpora_do_not_make_ravdess_expected():
    own = Clip("own/x", "own", "03-02-03-01-01-01-01.wav", emotion="happy")
    odd = Clip("ravdess/y", "ravdess", "a-b.wav", emotion="happy")  # by a user's table
    speech = read_clip(Path("03-01-03-01-01-01-01.wav"))
    assert expected_clips(Manifest((own, odd))) == ()
    assert len(expected_clips(Manifest((own, odd, speech)))) == 1_440


def test_a_whole_ravdess_is_read_in_order(ravdess):
    names = sorted(ravdess_names())
    manifest = load_corpus("ravdess", ravdess(names))
    assert [clip.clip_id for clip in manifest] == [f"ravdess/{name}" for name in names]
    assert len(names) == 1_440
    assert manifest.notes == ()
    assert {clip.clip_id for clip in expected_clips(manifest)} == {c.clip_id for c in manifest}


@pytest.mark.parametrize("ending", [".wav", ".WAV", ".flac", ".ogg", ".mp3", ".mp4", ".m4a"])
def test_any_ending_of_a_recording_will_do(ravdess, ending):
    (clip,) = load_corpus("ravdess", ravdess(["03-01-03-01-01-01-01"], ending))
    assert clip.clip_id == "ravdess/03-01-03-01-01-01-01"
    assert clip.fault == ""


def test_other_files_and_hidden_ones_are_passed_over(ravdess, make_file):
    folder = ravdess(["03-01-03-01-01-01-01"])
    for name in ("README.txt", "Actor_01/._03-01-03-01-01-01-02.wav", "labels.csv"):
        make_file(f"ravdess/{name}", b"x")
    assert len(load_corpus("ravdess", folder)) == 1


def test_a_nested_second_copy_is_passed_over_and_noted(ravdess, make_file):
    # Kaggle's archive holds everything twice: peers.md 5.1.
    names = ["03-01-03-01-01-01-01", "03-01-04-01-01-01-02"]
    folder = ravdess(names)
    for name in names:
        make_file(f"ravdess/audio_speech_actors_01-24/Actor_{name[-2:]}/{name}.wav", name.encode())
    manifest = load_corpus("ravdess", folder)
    assert [clip.path.parent.parent for clip in manifest] == [folder, folder]  # the outer ones
    assert [clip.fault for clip in manifest] == ["", ""]
    assert manifest.notes == ("2 second copies with the same name and bytes were passed over",)


def test_a_second_file_with_other_bytes_is_kept_as_a_fault(ravdess, make_file):
    folder = ravdess(["03-01-03-01-01-01-01"])
    make_file("ravdess/again/Actor_01/03-01-03-01-01-01-01.wav", b"something else")
    first, second = load_corpus("ravdess", folder)
    assert (first.fault, first.emotion) == ("", "happy")
    assert second.clip_id == "ravdess/again/Actor_01/03-01-03-01-01-01-01.wav"
    assert second.emotion is None
    assert second.fault == (
        "second file of ravdess/03-01-03-01-01-01-01 with other bytes than 03-01-03-01-01-01-01.wav"
    )


def test_a_link_to_nowhere_is_kept_as_a_fault(ravdess):
    folder = ravdess(["03-01-03-01-01-01-01"])
    for name in ("again/03-01-03-01-01-01-01.wav", "03-01-03-01-01-01-02.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(folder / "gone.wav")
    faults = {clip.path.name: clip.fault for clip in load_corpus("ravdess", folder) if clip.fault}
    assert faults["03-01-03-01-01-01-02.wav"] == "file cannot be read: No such file or directory"
    assert faults["03-01-03-01-01-01-01.wav"].startswith("second file of ravdess/")


def test_files_with_other_names_stay_as_faults(ravdess, make_file):
    folder = ravdess(["03-01-03-01-01-01-01", "03-01-09-01-01-01-01"])
    make_file("ravdess/Actor_01/happy.wav", b"1")
    make_file("ravdess/Actor_02/03-01-03-01-01-01-03.wav", b"2")
    good, *faulty = load_corpus("ravdess", folder)
    assert good.fault == ""
    assert {clip.path.name: clip.fault.split(": ", 1)[1] for clip in faulty} == {
        "03-01-09-01-01-01-01.wav": "emotion is '09'; expected 01 to 08",
        "happy.wav": "1 fields; expected seven, like 03-01-05-01-02-01-12",
        "03-01-03-01-01-01-03.wav": "actor 03 in folder Actor_02",
    }
    for clip in faulty:
        assert (clip.emotion, clip.speaker) == (None, "")
        assert clip.clip_id.startswith("ravdess/Actor_")
        assert clip.sha256


def test_the_files_of_one_performance_are_one_take(ravdess):
    names = [f"{modality}-01-05-01-02-01-12" for modality in ("01", "02", "03")]
    every = ("speech", "speech-video", "speech-picture")
    clips = load_corpus("ravdess", ravdess(names), parts=every).clips
    assert [clip.clip_id for clip in clips] == [f"ravdess/{name}" for name in names]
    assert {clip.take for clip in clips} == {"ravdess/01-05-01-02-01-12"}
    other = read_clip(Path("03-01-05-01-02-02-12.wav"))
    assert other.take == "ravdess/01-05-01-02-02-12"


def test_each_performance_is_read_once_and_what_was_passed_over_is_told(ravdess):
    # speech in three forms, song in one
    names = ["01-01-05-01-02-01-12", "02-01-05-01-02-01-12", "03-01-05-01-02-01-12"]
    manifest = load_corpus("ravdess", ravdess([*names, "03-02-05-01-02-01-12"]))
    assert [clip.clip_id[8:] for clip in manifest] == [
        "03-01-05-01-02-01-12", "03-02-05-01-02-01-12",
    ]  # fmt: skip
    assert manifest.notes == (
        "1 speech-video and 1 speech-picture files were passed over (other forms of the same "
        "performances); to have them: --parts speech,song,speech-video,speech-picture",
        "1 speech and 1 song files were taken; to have one part only: --parts speech",
    )


def test_song_can_be_left_out(ravdess):
    folder = ravdess(["03-01-05-01-02-01-12", "03-02-05-01-02-01-12"])
    manifest = load_corpus("ravdess", folder, parts=["speech"])
    assert [clip.clip_id for clip in manifest] == ["ravdess/03-01-05-01-02-01-12"]
    assert manifest.notes == (
        "1 song files were passed over (not asked for); to have them: --parts speech,song",
    )
    assert {clip.sentence for clip in expected_clips(manifest)} == {"kids", "dogs"}


def test_a_form_that_is_there_alone_is_read(ravdess):
    (clip,) = load_corpus("ravdess", ravdess(["01-02-05-01-02-01-12"], ".mp4"))
    assert clip.channels == ("voice", "face")


def test_performances_that_are_passed_over_altogether_are_counted(ravdess):
    folder = ravdess(["03-01-05-01-02-01-12", "01-01-05-01-02-01-12", "01-01-05-01-02-02-12"])
    (note,) = load_corpus("ravdess", folder).notes
    assert note.startswith(
        "2 speech-video files were passed over (other forms of the same performances, but 1 are of "
        "performances that the files taken do not hold)"
    )


def test_a_part_that_is_not_in_the_folder_is_named(ravdess):
    folder = ravdess(["03-01-05-01-02-01-12"])
    text = message(CorpusError, lambda: load_corpus("ravdess", folder, parts=["song"]))
    assert text == (
        f"CorpusError: {folder}: nothing of part song; it holds 1 speech. Ask for another part."
    )


def test_a_folder_may_be_given_as_it_is_typed(ravdess, monkeypatch):
    ravdess(["03-01-05-01-02-01-12", "happy"])
    monkeypatch.chdir(ravdess([]).parent)
    good, bad = load_corpus("ravdess", "ravdess")
    assert (good.fault, bad.clip_id) == ("", "ravdess/Actor_py/happy.wav")


@pytest.mark.corpus
def test_the_real_ravdess_is_read_without_a_fault(corpora_dir):
    # 20 of the 24 actors, as FLAC; the folder's README.
    manifest = load_corpus("ravdess", corpora_dir / "ravdess")
    assert len(manifest) == 1_200
    assert [clip.clip_id for clip in manifest if clip.fault] == []
    assert manifest.speakers == tuple(f"ravdess:{actor:02d}" for actor in range(1, 21))
    absent = {c.clip_id for c in expected_clips(manifest)} - {c.clip_id for c in manifest}
    assert len(absent) == 240
    pairs = [k for k, n in Counter(clip.sha256 for clip in manifest).items() if n > 1]
    assert [c.clip_id[8:] for c in manifest if c.sha256 in pairs] == [
        "03-01-03-01-02-01-07", "03-01-03-01-02-02-07",
    ]  # fmt: skip
