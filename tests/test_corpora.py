"""Corpora: published names, users' tables and folders, all to the same manifest."""

import hashlib
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from affectus.corpora import expected_clips, find_corpus, list_corpora, load_corpus
from affectus.corpora.ravdess import read_clip
from affectus.emotions import EMOTIONS
from affectus.errors import AffectusError, CorpusError, LabelError, ManifestError
from affectus.manifest import Clip, Manifest


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


def message(kind, call):
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- every corpus ------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_every_corpus_keeps_the_contract(corpus):
    assert find_corpus(corpus.name) is corpus
    assert re.fullmatch(r"[a-z][a-z0-9]*", corpus.name)
    assert re.search(r"\((19|20)\d\d\)", corpus.citation), "who and when"
    assert corpus.licence and corpus.url and corpus.title and corpus.layout
    assert re.fullmatch(r"[a-z]{2}", corpus.language)
    assert corpus.n_speakers > 0
    assert corpus.n_clips > 0


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_the_clips_that_a_corpus_expects_can_be_read_by_their_names(corpus, make_file, tmp_path):
    seed = Clip(f"{corpus.name}/x", corpus.name, SEEDS[corpus.name], emotion="happy")
    clips = corpus.expected(Manifest((seed,)))
    assert len({clip.clip_id for clip in clips}) == len(clips) > 0
    assert len({clip.speaker for clip in clips}) <= corpus.n_speakers
    for clip in clips:
        assert clip.corpus == corpus.name
        assert clip.clip_id.startswith(f"{corpus.name}/")
        assert clip.speaker.startswith(f"{corpus.name}:")
        assert clip.emotion in EMOTIONS
        assert clip.language == corpus.language
        assert corpus.read_clip(clip.path) == clip


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_a_folder_without_the_corpus_says_what_was_expected(corpus, make_file, tmp_path):
    make_file("music/song.mp3")
    text = message(CorpusError, lambda: load_corpus(corpus.name, tmp_path))
    assert text == (
        f"CorpusError: {tmp_path}: 1 media files, none with a name of {corpus.title} (the first is "
        f"'song.mp3'); expected {corpus.layout}. Give the folder that holds them."
    )


SEEDS = {"ravdess": "03-01-03-01-01-01-01.wav"}  # a file name of each corpus


def test_corpora_are_listed_by_name():
    names = [corpus.name for corpus in list_corpora()]
    assert names == sorted(names)
    assert set(SEEDS) == set(names)


def test_an_unknown_corpus_lists_the_known_and_proposes_the_nearest(tmp_path):
    text = message(CorpusError, lambda: load_corpus("ravdes", tmp_path))
    assert text.startswith("CorpusError: no corpus 'ravdes'; known corpora: ")
    assert all(corpus.name in text for corpus in list_corpora())
    assert ", table, folder." in text
    assert text.endswith("Did you mean 'ravdess'?")


@pytest.mark.parametrize("name", ["ravdess", "folder"])
def test_a_folder_that_is_not_there_is_named(name, tmp_path, make_file):
    for path, found in ((tmp_path / "gone", "no such folder"), (make_file("a.wav"), "a file")):
        text = message(CorpusError, lambda path=path: load_corpus(name, path))
        assert text == (
            f"CorpusError: {path}: {found}; expected a folder of recordings. Check the path."
        )


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


# --- a user's table ----------------------------------------------------------------------------


@pytest.fixture
def table(make_file):
    """A function that writes a CSV and reads it: (text, corpus name) to a manifest."""
    make_file("own.csv")

    def read(text, name=None):
        path = make_file("own.csv", text.encode() if isinstance(text, str) else text)
        return load_corpus("table", path, corpus_name=name)

    return read


def test_a_table_of_three_columns_is_enough(table, make_file, tmp_path):
    path = make_file("audio/a.wav", b"sound")
    (clip,) = table("file,emotion,speaker\naudio/a.wav,Happiness,anna\n")
    assert clip == Clip(
        clip_id="own/audio/a.wav",
        corpus="own",
        file=str(path),
        speaker="own:anna",
        emotion="happy",
        source_label="Happiness",
        sha256=hashlib.sha256(b"sound").hexdigest(),
    )


def test_every_column_of_a_table_is_read(table):
    (clip,) = table(
        "file,emotion,speaker,start,end,sex,language,intensity,sentence,corpus\n"
        "a.wav,sad,1,0.5,2,Female,pl,strong,kids,mine\n"
    )
    assert (clip.corpus, clip.speaker, clip.start, clip.end) == ("mine", "mine:1", 0.5, 2.0)
    assert (clip.sex, clip.language, clip.intensity, clip.sentence) == (
        "female",
        "pl",
        "strong",
        "kids",
    )


# Source: peers.md 5.2: nkululeko, audformat, Hugging Face, EmoBox and SpeechBrain.
@pytest.mark.parametrize(
    "header",
    [
        "file,emotion,speaker,gender",
        "file_name,label,speaker_id,gender",
        "wav,emo,spk,sex",
        "path,emotion,subject,sex",
        "filename,class,actor,gender",
        "audio,Label,Speaker,Gender",
        " FILE , Emotion , SPEAKER , Sex ",
    ],
)
def test_the_columns_of_other_tools_are_understood(table, header):
    (clip,) = table(f"{header}\na.wav,Anger,7,male\n")
    assert (clip.emotion, clip.speaker, clip.sex) == ("angry", "own:7", "male")


def test_columns_may_stand_in_any_order_and_others_are_passed_over(table):
    (clip,) = table("split,speaker,emotion,file\ntrain,1,joy,a.wav\n")
    assert (clip.emotion, clip.speaker, clip.path.name) == ("happy", "own:1", "a.wav")


def test_a_table_with_a_mark_windows_lines_quotes_and_letters_is_read(table):
    (clip,) = table('\ufefffile,emotion,speaker\r\n"a, b.wav", sad ,żółw\r\n'.encode())
    assert (clip.path.name, clip.emotion, clip.speaker) == ("a, b.wav", "sad", "own:żółw")


def test_a_given_name_is_the_corpus_and_a_column_is_above_it(table):
    first, second = table("file,emotion,corpus\na.wav,sad,\nb.wav,sad,other\n", "given")
    assert (first.clip_id, second.clip_id) == ("given/a.wav", "other/b.wav")


def test_a_row_without_an_emotion_is_kept_for_prediction(table):
    (clip,) = table("file,emotion,speaker\na.wav,,1\n")
    assert clip.emotion is None


def test_a_file_that_is_not_there_is_a_fault_of_its_row(table):
    (clip,) = table("file,emotion,speaker\na.wav,sad,1\n")
    assert clip.fault == "file cannot be read: No such file or directory"


def test_stretches_of_one_file_are_clips_of_their_own(table):
    rows = "".join(f"a.wav,sad,1,{start},{start + 1}\n" for start in (0, 1, 1234.5671, 1234.5672))
    manifest = table(f"file,emotion,speaker,start,end\n{rows}")
    assert [clip.clip_id for clip in manifest] == [
        "own/a.wav@0-1.0",
        "own/a.wav@1-2.0",
        "own/a.wav@1234.5671-1235.5671",
        "own/a.wav@1234.5672-1235.5672",
    ]


def test_an_unknown_speaker_is_noted(table):
    assert table("file,emotion\na.wav,sad\n").notes == (
        "no speaker is known: scores cannot be speaker-independent, and only splits labelled leaky "
        "can be made. Add a column 'speaker' to own.csv.",
    )
    (note,) = table("file,emotion,speaker\na.wav,sad,\nb.wav,sad,2\n").notes
    assert note.startswith("1 of 2 clips: no speaker is known")
    assert table("file,emotion,speaker\na.wav,sad,1\n").notes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,emotn\na.wav,sad\n", "own.csv: no column 'emotion' among file, emotn; expected"),
        ("file,emotn\na.wav,sad\n", "expected file,emotion,speaker. Did you mean 'emotn'?"),
        ("emotion\nsad\n", "own.csv: no column 'file' among emotion"),
        ("file;emotion\na.wav;sad\n", "own.csv: no column 'file' among file;emotion"),
        ("", "own.csv: no column 'file' among none"),
        ("file,emotion\n", "own.csv: no rows; expected one a clip."),
        ("file,emotion\na.wav,sad\n,sad\n", "own.csv:3: column 'file' is empty; expected a file"),
        ("file,emotion\na.wav,angri\n", "own.csv:2: emotion 'angri' is not known; known emotions:"),
        ("file,emotion\na.wav,angri\n", "Did you mean 'angry'?"),
        ("file,emotion\n\n\na.wav,angri\n", "own.csv:4: emotion 'angri'"),
        (
            "file,emotion,start\na.wav,sad,soon\n",
            "own.csv:2: start is 'soon'; expected seconds, 0 o",
        ),
        (
            "file,emotion,start\na.wav,sad,-1\n",
            "own.csv:2: start is '-1'; expected seconds, 0 or m",
        ),
        ("file,emotion,start\na.wav,sad,nan\n", "own.csv:2: start is 'nan'; expected seconds"),
        ("file,emotion,end\na.wav,sad,inf\n", "own.csv:2: end is 'inf'; expected seconds"),
        (
            "file,emotion,start,end\na.wav,sad,2,1\n",
            "own.csv:2: end 1 s; expected more than start 2",
        ),
        (
            "file,emotion\na,b.wav,sad\n",
            "own.csv:2: not 2 cells; expected one a column. Put a cell",
        ),
        ("file,emotion,speaker\na.wav,sad\n", "own.csv:2: not 3 cells; expected one a column."),
        ("file,emotion\na.wav,sad\na.wav,joy\n", "clip id 'own/a.wav' stands 2 times"),
        ('file,emotion\n"a.wav,sad\n', "own.csv:2: unexpected end of data; expected a CSV."),
        ("file,emotion\n" + "x" * 200_000 + ",sad\n", "field larger than field limit"),
        ("file,emotion\na\0.wav,sad\n", "own.csv: holds NUL characters; expected a CSV in UTF-8."),
        ("file,emotion\ncafé.wav,sad\n".encode("latin-1"), "expected a CSV in UTF-8."),
    ],
)
def test_a_fault_in_a_table_is_named_with_line_and_column(table, text, words):
    found = message((ManifestError, LabelError), lambda: table(text))
    assert words in found


def test_a_table_that_is_not_there_is_named(tmp_path):
    text = message(ManifestError, lambda: load_corpus("table", tmp_path / "gone.csv"))
    assert text == (
        f"ManifestError: {tmp_path}/gone.csv: no such file; expected a CSV file,emotion,speaker. "
        f"Check the path."
    )
    assert "Is a directory" in message(ManifestError, lambda: load_corpus("table", tmp_path))


# --- a folder per class ------------------------------------------------------------------------


def test_a_folder_per_class_is_read_in_natural_order(make_file, tmp_path):
    for name in ("happy/10.wav", "happy/2.wav", "Anger/deep/er/1.flac", "readme.txt"):
        make_file(f"mine/{name}", name.encode())
    manifest = load_corpus("folder", tmp_path / "mine")
    assert [(clip.clip_id, clip.emotion, clip.source_label) for clip in manifest] == [
        ("mine/Anger/deep/er/1.flac", "angry", "Anger"),
        ("mine/happy/2.wav", "happy", "happy"),
        ("mine/happy/10.wav", "happy", "happy"),
    ]
    assert manifest.speakers == ()
    assert manifest.notes[0].endswith("Say where the name tells it: --speaker REGEX.")


def test_a_speaker_is_found_by_an_expression(make_file, tmp_path):
    for name in ("sad/spk1_a.wav", "sad/spk2_a.wav", "happy/spk1_b.wav"):
        make_file(f"mine/{name}", name.encode())
    manifest = load_corpus("folder", tmp_path / "mine", corpus_name="own", speaker=r"(spk\d)_")
    assert manifest.speakers == ("own:spk1", "own:spk2")
    assert manifest.notes == ()
    assert manifest.corpora == ("own",)


@pytest.mark.parametrize(
    ("names", "speaker", "words"),
    [
        (
            ["a.wav"],
            None,
            "'a.wav' lies beside the class folders; expected each recording in a fol",
        ),
        (["hapy/a.wav"], None, "LabelError: emotion 'hapy' is not known"),
        (["hapy/a.wav"], None, "Did you mean 'happy'?"),
        (["readme.txt"], None, "no recordings; expected sub-folders named for emotions."),
        (["sad/a.wav"], r"(spk\d)", "--speaker '(spk\\d)' finds nobody in 'sad/a.wav'; expected"),
        (["sad/a.wav"], r"spk\d", "--speaker 'spk\\d': 0 groups; expected one, as (…)."),
        (["sad/a.wav"], r"(a)(b)", "--speaker '(a)(b)': 2 groups; expected one"),
        (["sad/a.wav"], r"(spk", "--speaker '(spk': missing ), unterminated subpattern"),
    ],
)
def test_a_fault_in_a_folder_is_named(make_file, tmp_path, names, speaker, words):
    for name in names:
        make_file(f"mine/{name}")
    read = lambda: load_corpus("folder", tmp_path / "mine", speaker=speaker)  # noqa: E731
    assert words in message(AffectusError, read)
