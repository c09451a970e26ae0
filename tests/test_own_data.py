"""Own data: tables and folders of users and of other tools, to the same manifest."""

import hashlib
import json
import re
import tracemalloc

import pytest

from affectus.cli import run
from affectus.corpora import load_corpus
from affectus.corpora.columns import read_seconds
from affectus.corpora.joining import append_clips
from affectus.corpora.labels import parse_spellings
from affectus.corpora.table import read_table
from affectus.errors import AffectusError, CorpusError, LabelError, ManifestError
from affectus.manifest import Clip, Manifest
from tests.messages import message


@pytest.fixture
def table(make_file):
    """A function that writes a table and reads it: (text, corpus name, …) to a manifest."""

    def read(text, name=None, file="own.csv", **options):
        path = make_file(file, text.encode() if isinstance(text, str) else text)
        return load_corpus("table", path, corpus_name=name, **options)

    return read


# --- a table -----------------------------------------------------------------------------------


def test_a_table_of_three_columns_is_enough(table, make_file):
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
        "file,emotion,speaker,start,end,sex,age,ethnicity,language,intensity,sentence,repetition,"
        "take,split,votes,corpus\n"
        "a.wav,sad,1,0.5,2,Female,31,Asian,pl,strong,kids,2,t7,train,sad:4 neutral:1,mine\n"
    )
    assert clip == Clip(
        clip_id="mine/a.wav@0.5-2.0",
        corpus="mine",
        file=clip.file,
        speaker="mine:1",
        emotion="sad",
        start=0.5,
        end=2.0,
        sex="female",
        age="31",
        ethnicity="Asian",
        language="pl",
        source_label="sad",
        intensity="strong",
        sentence="kids",
        repetition="2",
        take="mine/t7",
        split="train",
        votes={"sad": 4, "neutral": 1},
        fault="file cannot be read: No such file or directory",
    )


# Source: peers.md 5.2: nkululeko, audformat, Hugging Face, EmoBox and SpeechBrain; Kaggle notebooks
# have 'Emotions,Path'.
@pytest.mark.parametrize(
    "header",
    [
        "file,emotion,speaker,gender",
        "file_name,label,speaker_id,gender",
        "wav,emo,spk,sex",
        "path,emotion,subject,sex",
        "filename,class,actor,gender",
        "audio,Label,Speaker,Gender",
        "Path,Emotions,Actor,Gender",
        " FILE , Emotion , SPEAKER , Sex ",
    ],
)
def test_the_columns_of_other_tools_are_understood(table, header):
    (clip,) = table(f"{header}\na.wav,Anger,7,male\n")
    assert (clip.emotion, clip.speaker, clip.sex) == ("angry", "own:7", "male")


def test_columns_may_stand_in_any_order_and_others_are_passed_over(table):
    # The first, without a name, is the index that pandas writes.
    (clip,) = table(",duration,speaker,emotion,file\n0,2.5,1,joy,a.wav\n")
    assert (clip.emotion, clip.speaker, clip.path.name) == ("happy", "own:1", "a.wav")


def test_a_table_with_a_mark_windows_lines_quotes_and_letters_is_read(table):
    (clip,) = table('\ufefffile,emotion,speaker\r\n"a, b.wav", sad ,żółw\r\n'.encode())
    assert (clip.path.name, clip.emotion, clip.speaker) == ("a, b.wav", "sad", "own:żółw")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_of_a_spreadsheet_separate_as_commas_do(table, separator):
    text = "file,emotion,speaker\na.wav,sad,1\n,,\n".replace(",", separator)  # an empty row below
    (clip,) = table(text)
    assert (clip.path.name, clip.emotion, clip.speaker) == ("a.wav", "sad", "own:1")


def test_a_given_name_is_the_corpus_and_a_column_is_above_it(table):
    first, second = table("file,emotion,corpus\na.wav,sad,\nb.wav,sad,other\n", "given")
    assert (first.clip_id, second.clip_id) == ("given/a.wav", "other/b.wav")


def test_a_row_without_an_emotion_is_kept_for_prediction(table):
    manifest = table("file,emotion,speaker\na.wav,,1\n")
    assert manifest.clips[0].emotion is None
    assert not any("label" in note for note in manifest.notes)


def test_a_file_that_is_not_there_is_a_fault_of_its_row(table, make_file):
    make_file("b.wav")
    manifest = table("file,emotion,speaker\na.wav,sad,1\nb.wav,sad,1\n")
    assert [clip.fault for clip in manifest] == [
        "file cannot be read: No such file or directory",
        "",
    ]
    assert manifest.notes == ()


def test_paths_begin_where_one_says(table, make_file, tmp_path):
    # As in EmoBox: the table lies in data/x, its paths begin two folders above it.
    make_file("downloads/x/a.wav", b"sound")
    text = '{"key": "x-a", "dataset": "x", "wav": "downloads/x/a.wav", "emo": "sad"}\n'
    lost = table(text, file="data/x/x.jsonl")
    assert lost.clips[0].fault
    assert lost.notes[-1] == (
        f"none of the 1 recordings is where the table says; the first was looked for at "
        f"{tmp_path}/data/x/downloads/x/a.wav. Paths are taken to begin at {tmp_path}/data/x; if "
        f"they begin elsewhere, say where: --root FOLDER."
    )
    (clip,) = table(text, file="data/x/x.jsonl", root=tmp_path)
    assert (clip.clip_id, clip.fault) == ("x/downloads/x/a.wav", "")
    assert clip.path == tmp_path / "downloads/x/a.wav"


def test_a_path_has_one_id_however_it_is_written(table, make_file, tmp_path):
    make_file("audio/a.wav")
    for written in ("audio/a.wav", "./audio/a.wav", "audio//a.wav", f"{tmp_path}/audio/a.wav"):
        (clip,) = table(f"file,emotion\n{written},sad\n")
        assert (clip.clip_id, clip.fault) == ("own/audio/a.wav", "")
    (above,) = table("file,emotion\n../b.wav,sad\n", file="tables/own.csv")
    assert above.path == tmp_path / "b.wav"


def test_hashing_says_how_far_it_is(table):
    told = []
    table("file,emotion\na.wav,sad\nb.wav,sad\n", on_progress=lambda *far: told.append(far))
    assert told == [(1, 2), (2, 2)]


def test_a_table_takes_less_than_700_bytes_a_row(make_file):
    # A million rows in 0.7 GB: cells that many rows share are kept once, and there are no Paths.
    rows = "".join(
        f"audio/spk{n % 50:03d}/recording_{n // 4:07d}.wav,{['sad', 'joy'][n % 2]},spk{n % 50},"
        f"{n % 4 * 2.5},{n % 4 * 2.5 + 2.5},female,31,train\n"
        for n in range(10_000)
    )
    path = make_file("own.csv", f"file,emotion,speaker,start,end,sex,age,split\n{rows}".encode())
    tracemalloc.start()
    try:
        manifest = read_table(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(manifest) == 10_000
    assert peak / len(manifest) < 700


# --- faults in a table -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,emotn\na.wav,sad\n", "own.csv: no column 'emotion' among file, emotn; expected"),
        ("file,emotn\na.wav,sad\n", "expected file,emotion,speaker. Did you mean 'emotn'?"),
        ("emotion\nsad\n", "own.csv: no column 'file' among emotion"),
        ("file emotion\na.wav sad\n", "own.csv: no column 'file' among file emotion"),
        ("", "own.csv: no column 'file' among none"),
        ("file,emotion\n", "own.csv: no rows; expected one a clip."),
        ("file,emotion\na.wav,sad\n,sad\n", "own.csv:3: column 'file' is empty; expected a file"),
        ("file,emotion\na.wav,angri\n", "own.csv:2: emotion 'angri' is not known; known emotions:"),
        ("file,emotion\na.wav,angri\n", "Did you mean 'angry'? Correct it, or say what it means: "),
        ("file,emotion\n\n\na.wav,angri\n", "own.csv:4: emotion 'angri'"),
        (
            "file,emotion,start\na.wav,sad,soon\n",
            "own.csv:2: start is 'soon'; expected seconds, 0 or more, or a time like '0 days 0",
        ),
        ("file,emotion,start\na.wav,sad,-1\n", "own.csv:2: start is '-1'; expected seconds, 0 o"),
        ("file,emotion,start\na.wav,sad,nan\n", "own.csv:2: start is 'nan'; expected seconds"),
        ("file,emotion,end\na.wav,sad,inf\n", "own.csv:2: end is 'inf'; expected seconds"),
        (
            "file,emotion,end\na.wav,sad,-1 days +23:59:59\n",
            "own.csv:2: end is '-1 days +23:59:59'; expected seconds",
        ),
        (
            "file,emotion,start,end\na.wav,sad,2,1\n",
            "own.csv:2: end 1 s; expected more than start 2",
        ),
        ("file,emotion,end\na.wav,sad,0\n", "own.csv:2: end 0 s; expected more than start 0 s."),
        (
            "file,emotion,split\na.wav,sad,train\nb.wav,sad,fold1\n",
            "own.csv:3: split is 'fold1'; expected train, dev or test (also valid, validation",
        ),
        ("file,emotion,split\na.wav,sad,trian\n", "Did you mean 'train'? Leave it empty for"),
        (
            "file,emotion,votes\na.wav,sad,sad 5\n",
            "own.csv:2: votes are 'sad 5'; expected emotions with counts, such as 'angry:5 neut",
        ),
        (
            "file,emotion,votes\na.wav,sad,sda:5 sadd:1\n",
            "own.csv:2: votes are 'sda:5 sadd:1' (emotion 'sadd' is not known; known emotions: ne",
        ),
        ("file,emotion,votes\na.wav,sad,sad:-1\n", "own.csv:2: -1 votes for sad; expected 0 or"),
        (
            "file,emotion,take,parent\na.wav,sad,1,b.wav\n",
            "own.csv:2: column 'take' and column 'parent' are both filled in ('1', 'own/b.wav');",
        ),
        (
            "file,emotion,parent\na.wav,sad,b.wav\nb.wav,sad,a.wav\n",
            "own/a.wav is a copy of own/b.wav is a copy of own/a.wav; expected an original at the "
            "end. Correct column 'parent'.",
        ),
        (
            "file,emotion,start,parent\na.wav,sad,0,b.wav\na.wav,sad,1,c.wav\n",
            "own.csv:3: own/a.wav is a copy of own/c.wav, and of own/b.wav above; expected one",
        ),
        (
            "file,emotion\na,b.wav,sad\n",
            "own.csv:2: not 2 cells; expected one a column. Put a cell that holds a ',' in quotes.",
        ),
        ("file;emotion\na;b.wav;sad\n", "Put a cell that holds a ';' in quotes."),
        ("file,emotion,speaker\na.wav,sad\n", "own.csv:2: not 3 cells; expected one a column."),
        ("file,emotion\na.wav,sad\na.wav,joy\n", "clip id 'own/a.wav' stands 2 times"),
        ('file,emotion\n"a.wav,sad\n', "own.csv:2: unexpected end of data; expected a CSV."),
        ('file,"emotion\n', "own.csv:1: unexpected end of data; expected a CSV. Correct the line."),
        ("file,emotion\n" + "x" * 200_000 + ",sad\n", "field larger than field limit"),
        ("file,emotion\na\0.wav,sad\n", "own.csv: holds NUL characters; expected a CSV in UTF-8."),
        (
            "file,emotion\na.wav,sad\ncafé.wav,sad\n".encode("latin-1"),
            "own.csv: not UTF-8 in line 3; expected a CSV in UTF-8. Save it again as UTF-8 (in "
            "Excel: as 'CSV UTF-8').",
        ),
        (
            b"PK\x03\x04\x14\0\x06\0\xff",
            "own.csv: an Excel workbook or a zip archive; expected a CS",
        ),
        (b"\x80\x04\x95\0", "own.csv: no text; expected a CSV in UTF-8."),
        (
            "Datei;emotion;Sprecher\na.wav;sad;1\n",
            "no column 'file' among datei, emotion, sprecher; expected file,emotion,speaker. "
            "Rename the column in the table's first line.",
        ),
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


def test_a_folder_is_no_table(tmp_path):
    text = message(ManifestError, lambda: load_corpus("table", tmp_path))
    assert text == (
        f"ManifestError: {tmp_path}: Is a directory; expected a CSV file,emotion,speaker. Give the "
        f"table's file, or read the folder: affectus import folder {tmp_path.name}"
    )


def test_a_table_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "own.csv").symlink_to(tmp_path / "own.csv")
    text = message(ManifestError, lambda: load_corpus("table", tmp_path / "own.csv"))
    assert "Too many levels of symbolic links" in text
    assert text.endswith("expected a CSV. Check the file.")


def test_a_manifest_needs_no_import(tmp_path):
    path = tmp_path / "m.csv"
    Manifest((Clip("own/a", "own", str(tmp_path / "a.wav")),)).write(path)
    text = message(ManifestError, lambda: load_corpus("table", path))
    assert text == (
        f"ManifestError: {path}: is a manifest already; expected a table of your own. Use it as it "
        f"is: affectus audit m.csv"
    )


# --- stretches ---------------------------------------------------------------------------------


def test_stretches_of_one_file_are_clips_of_their_own(table):
    # The third begins within the second.
    rows = "".join(f"a.wav,sad,1,{start},{start + 1}\n" for start in (0, 1, 1.5, 1234.5671))
    manifest = table(f"file,emotion,speaker,start,end\n{rows}a.wav,sad,1,,\nb.wav,sad,1,0,\n")
    assert [clip.clip_id for clip in manifest] == [
        "own/a.wav@0-1.0",
        "own/a.wav@1-2.0",
        "own/a.wav@1.5-2.5",
        "own/a.wav@1234.5671-1235.5671",
        "own/a.wav",
        "own/b.wav",  # from 0 to its end is all of it
    ]
    assert [(clip.start, clip.end) for clip in manifest][2:] == [
        (1.5, 2.5),
        (1234.5671, 1235.5671),
        (0.0, None),
        (0.0, None),
    ]


# What pandas writes for a Timedelta, and the seconds it stands for: days, hours, minutes, seconds.
# Source: audformat, 'Conventions' ("0 days 00:00:02.100000") and pandas' Timedelta.
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("2", 2.0),
        ("1e-3", 0.001),
        ("0 days", 0.0),
        ("0 days 00:00:02.100000", 2.1),
        ("0 days 00:00:01.500000123", 1.500000123),
        ("0 days 01:02:03", 3_723.0),
        ("1 days 02:00:00.5", 86_400 + 7_200 + 0.5),
        ("00:00:01.5", 1.5),
        ("12:34:56", 12 * 3_600 + 34 * 60 + 56),
    ],
)
def test_times_are_seconds_or_as_pandas_writes_them(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "nan", "inf", "-1 days +23:59:59", "00:61:00", "1:2", "2 h", "1,5", "0 days x"],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        read_seconds(text)


def test_a_table_of_audformat_is_read(table):
    # Source: audformat, 'Tables': segmented; an end that is not known is NaT, an empty cell in CSV.
    manifest = table(
        "file,start,end,emotion,speaker\n"
        "wav/03a01Fa.wav,0 days 00:00:00,0 days 00:00:01.500000,happiness,3\n"
        "wav/03a01Fa.wav,0 days 00:00:01.500000,,neutral,3\n"
        "wav/03a01Nc.wav,0 days,NaT,neutral,3\n"
    )
    assert [(c.clip_id, c.start, c.end, c.emotion) for c in manifest] == [
        ("own/wav/03a01Fa.wav@0-1.5", 0.0, 1.5, "happy"),
        ("own/wav/03a01Fa.wav@1.5-", 1.5, None, "neutral"),
        ("own/wav/03a01Nc.wav", 0.0, None, "neutral"),
    ]


# --- other tools' tables -----------------------------------------------------------------------


def test_a_table_of_nkululeko_is_read(table):
    # Source: nkululeko, data/ravdess: the two rows its script shows; `split` as in data/esd.
    first, second = table(
        "file,emotion,speaker,gender,split\n"
        "./Actor_09/03-01-08-01-02-02-09.wav,surprise,ravdess_09,male,train\n"
        "./Actor_09/03-01-08-02-01-01-09.wav,surprise,ravdess_09,male,test\n"
    )
    assert first.clip_id == "own/Actor_09/03-01-08-01-02-02-09.wav"
    assert (first.emotion, first.speaker, first.sex) == ("surprised", "own:ravdess_09", "male")
    assert (first.split, second.split) == ("train", "test")


def test_json_lines_of_emobox_are_read(table):
    # Source: EmoBox, README (the first line) and EmoDataset.py (start_time, end_time).
    first, second = table(
        '{"key": "Ses01M_impro01_F000", "dataset": "iemocap", "wav": '
        '"downloads/iemocap/Ses01M_impro01_F000.wav", "type": "raw", "sample_rate": 16000, '
        '"length": 3.2, "task": "category", "emo": "hap", "channel": 1}\n\n'
        '{"key": "b", "dataset": "iemocap", "wav": "b.wav", "emo": null, "spk": 12, '
        '"start_time": 0.5, "end_time": 2}\n',
        file="iemocap.jsonl",
    )
    assert first.clip_id == "iemocap/downloads/iemocap/Ses01M_impro01_F000.wav"
    assert (first.emotion, first.speaker, first.end) == ("happy", "", None)
    assert (second.emotion, second.speaker) == (None, "iemocap:12")
    assert (second.start, second.end) == (0.5, 2.0)


def test_json_of_speechbrain_is_read(table, make_file, tmp_path):
    # Source: SpeechBrain, recipes/IEMOCAP: one object, by utterance, paths from {data_root}.
    make_file("corpus/session1/ang/a.wav")
    text = (
        '{"psno1_ang_s084": {"wav": "{data_root}/session1/ang/a.wav", "length": 2.1, "emo": "ang"}}'
    )
    (clip,) = table(text, file="train.json", root=tmp_path / "corpus")
    assert (clip.clip_id, clip.emotion, clip.fault) == ("train/session1/ang/a.wav", "angry", "")
    (same,) = table('[{"wav": "a.wav", "emo": "ang"}]', file="train.json")
    assert same.emotion == "angry"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            "t.jsonl",
            '{"wav": "a.wav", "emo": "sad"}\n{"wav": \n',
            "t.jsonl:2: Input data was trunc",
        ),
        (
            "t.jsonl",
            '["a.wav", "sad"]\n',
            "t.jsonl:1: Expected `object`, got `array`; expected one",
        ),
        ("t.jsonl", "", "t.jsonl: no column 'file' among none"),
        ("t.jsonl", '{"wav": "a.wav", "emo": "angri"}\n', "t.jsonl:1: emotion 'angri' is not kno"),
        ("t.json", '{"x": "a.wav"}', "t.json:x: no JSON object; expected one a clip, as {"),
        ("t.json", "3", "t.json: Expected `object | array`, got `int`; expected one JSON object"),
        ("t.json", '{"x": {"wav": "a.wav", "emo": "angri"}}', "t.json:x: emotion 'angri' is not"),
        ("t.jsonl", b'{"wav": "caf\xe9"}', "expected JSON, one object a line in UTF-8. Save it ag"),
    ],
)
def test_a_fault_in_json_is_named_with_its_place(table, file, text, words):
    assert words in message((ManifestError, LabelError), lambda: table(text, file=file))


# Source: Hugging Face, 'Structure your repository': the keywords of each split.
@pytest.mark.parametrize(
    ("written", "side"),
    [
        *[(name, "train") for name in ("train", "training", "Train")],
        *[(name, "dev") for name in ("dev", "valid", "validation", "val", "Validation")],
        *[(name, "test") for name in ("test", "testing", "eval", "evaluation", "TEST")],
        ("", ""),
    ],
)
def test_the_sides_of_other_tools_become_ours(table, written, side):
    (clip,) = table(f"file,emotion,split\na.wav,sad,{written}\n")
    assert clip.split == side


# --- copies ------------------------------------------------------------------------------------


def takes(manifest):
    return {clip.clip_id: clip.take for clip in manifest}


@pytest.mark.parametrize("column", ["parent", "original"])
def test_a_copy_has_the_take_of_what_it_was_made_from(table, column):
    # A copy of a copy is one of the first; originals may stand below their copies.
    manifest = table(
        f"file,emotion,{column}\n"
        "noisy.wav,sad,./a.wav\n"
        "a.wav,sad,\n"
        "noisier.wav,sad,noisy.wav\n"
        "b.wav,sad,b.wav\n"  # says of itself that it is an original
        "c.wav,sad,\n"
    )
    assert takes(manifest) == {
        "own/noisy.wav": "own/a.wav",
        "own/a.wav": "own/a.wav",
        "own/noisier.wav": "own/a.wav",
        "own/b.wav": "",
        "own/c.wav": "",
    }
    assert len(manifest.notes) == 2  # on speakers, on files that are not there


def test_a_copy_of_the_whole_is_of_one_take_with_every_stretch(table):
    manifest = table(
        "file,emotion,start,end,parent\na.wav,sad,0,1,\na.wav,joy,1,2,\nnoisy.wav,sad,,,a.wav\n"
    )
    assert set(takes(manifest).values()) == {"own/a.wav"}


def test_copies_get_the_take_that_the_table_gives_their_original(table):
    manifest = table(
        "file,emotion,take,parent\na.wav,sad,t1,\na.mp4,sad,t1,\nnoisy.wav,sad,,a.wav\n"
    )
    assert set(takes(manifest).values()) == {"own/t1"}


def test_copies_of_an_original_that_is_not_there_stay_together_and_are_noted(table):
    manifest = table("file,emotion,parent\nx.wav,sad,gone.wav\ny.wav,sad,gone.wav\n")
    assert set(takes(manifest).values()) == {"own/gone.wav"}
    assert any(
        note.startswith("1 recordings that copies were made from are not in the table (own/gone.wa")
        for note in manifest.notes
    )


# --- labels ------------------------------------------------------------------------------------

LABELS = ["sad", "exc", "boredom", "exc", "xxx", "neutral"]
MIXED = "file,emotion,speaker\n" + "".join(f"{n}.wav,{label},1\n" for n, label in enumerate(LABELS))


def test_a_label_that_is_none_of_the_eight_is_kept_counted_and_not_trained_on(table, make_file):
    make_file("0.wav")
    manifest = table(MIXED)
    assert [clip.emotion for clip in manifest] == ["sad", None, None, None, None, "neutral"]
    assert [clip.source_label for clip in manifest] == LABELS
    assert manifest.notes == (
        "4 clips have a label that is none of the eight emotions (exc 2, boredom 1, xxx 1); they "
        "are kept without an emotion and not trained on. If one of them is meant to count, say as "
        "what: --map 'exc=EMOTION'.",
    )


def test_one_says_what_a_label_means(table, make_file):
    make_file("0.wav")
    manifest = table(MIXED, spellings=parse_spellings(["EXC = Happiness", "xxx=other"]))
    assert [clip.emotion for clip in manifest] == ["sad", "happy", None, "happy", None, "neutral"]
    assert [clip.source_label for clip in manifest][1] == "exc"
    (note,) = manifest.notes
    assert note.startswith("2 clips have a label that is none of the eight emotions (boredom 1, xx")


def test_numbers_and_foreign_words_can_be_given_a_meaning(table):
    spellings = parse_spellings(["0=angry", "tristeza=sad", "unhappy=other"])
    manifest = table("file,emotion\na.wav,0\nb.wav,tristeza\nc.wav,unhappy\n", spellings=spellings)
    assert [clip.emotion for clip in manifest] == ["angry", "sad", None]


def test_a_table_of_which_no_label_is_known_is_refused(table):
    text = message(LabelError, lambda: table("file,emotion\na.wav,W\nb.wav,W\nc.wav,F\n"))
    assert text.endswith(
        "own.csv: no label is an emotion that is known: W 2, F 1; expected neutral, calm, happy, "
        "sad, angry, fearful, disgust, surprised or their common spellings. Say what each means: "
        "--map 'W=EMOTION' and so on."
    )


def test_many_labels_are_not_all_listed(table):
    rows = "".join(f"{n}.wav,{n},1\n" for n in range(20))
    note = table(f"file,emotion,speaker\na.wav,sad,1\n{rows}").notes[0]
    assert "(0 1, 1 1, 2 1, 3 1, 4 1, 5 1, 6 1, 7 1 and 12 more)" in note


def test_a_misspelling_asks_instead_of_guessing(table):
    text = message(LabelError, lambda: table("file,emotion\na.wav,sad\nb.wav,unhappy\n"))
    assert "own.csv:3: emotion 'unhappy' is not known" in text
    assert text.endswith(
        "Did you mean 'happy'? Correct it, or say what it means: --map 'unhappy=EMOTION', or "
        "--map 'unhappy=other' for none of them."
    )


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["exc"], "--map 'exc': no label and emotion; expected e.g. exc=happy."),
        (["=happy"], "--map '=happy': no label and emotion; expected e.g. exc=happy."),
        (["exc=hapy"], "emotion 'hapy' is not known"),
        (["exc=happy", "EXC=angry"], "--map 'EXC=angry': 'exc' is mapped twice; expected it once."),
        (
            ["fear=angry"],
            "--map 'fear=angry': 'fear' is a spelling of fearful; expected a label that is not kn",
        ),
    ],
)
def test_a_meaning_that_is_none_is_refused(texts, words):
    assert words in message(LabelError, lambda: parse_spellings(texts))


def test_a_known_spelling_can_be_left_out_but_not_turned_into_another():
    assert parse_spellings(["relaxed=other", "wut=angry", "x="]) == {
        "relaxed": None,
        "wut": "angry",
        "x": None,
    }


def test_a_meaning_for_a_label_that_no_clip_has_is_refused(table):
    read = lambda: table("file,emotion\na.wav,sad\n", spellings={"exk": "happy"})  # noqa: E731
    assert message(LabelError, read).endswith(
        "own.csv: --map 'exk=…': no clip has this label; expected one of sad. Check the spelling."
    )


def test_votes_for_other_emotions_are_not_counted(table):
    (clip,) = table("file,emotion,votes\na.wav,sad,sad:3 SAD:1 boredom:2 HAP:0\n")
    assert clip.votes == {"sad": 4, "happy": 0}


# --- speakers ----------------------------------------------------------------------------------


def test_an_unknown_speaker_is_noted_with_what_it_means_and_what_to_do(table, make_file):
    for name in "ab":
        make_file(f"{name}.wav")
    (note,) = table("file,emotion\na.wav,sad\n").notes
    assert note == (
        "no speaker is known. Where one person is heard in training and in test, a model can "
        "recognise the person instead of the emotion, and its score says nothing about people it "
        "has never heard (speaker leakage). So these clips can only be split at random, and every "
        "report then says that it is leaky. Add a column 'speaker' to own.csv, or say where the "
        "file names tell it: --speaker '(spk[0-9]+)' finds spk7 in sad/spk7_03.wav, --speaker "
        "'/([^/]+)/' finds anna in sad/anna/03.wav."
    )
    (note,) = table("file,emotion,speaker\na.wav,sad,\nb.wav,sad,2\n").notes
    assert note.startswith("1 of 2 clips: no speaker is known")
    assert table("file,emotion,speaker\na.wav,sad,1\n").notes == ()


def test_the_examples_in_the_note_find_what_they_say(table):
    note = table("file,emotion\na.wav,sad\n").notes[0]
    examples = re.findall(r"--speaker '(\S+)' finds (\w+) in ([\w/]+\.wav)", note)
    assert len(examples) == 2
    for expression, found, path in examples:
        assert re.search(expression, path).group(1) == found


@pytest.mark.parametrize(
    ("names", "proposal"),
    [
        (
            [f"{emotion}/{who}_{n}.wav" for emotion in ("sad", "happy") for who in ("ben", "eva")
             for n in (1, 2)],
            r"--speaker '([^/_-]+)[_-][^/]*$' finds ben in happy/ben_1.wav, 2 in all.",
        ),
        (
            [f"{emotion}/{who}/{n}.wav" for emotion in ("sad", "happy") for who in ("ben", "eva")
             for n in (1, 2)],
            r"--speaker '/([^/]+)/[^/]+$' finds ben in happy/ben/1.wav, 2 in all.",
        ),
        (
            [f"train/{emotion}/{n}-{who}.wav" for emotion in ("sad", "happy")
             for who in ("ben", "eva") for n in (1, 2, 3, 4, 5, 6)],
            r"--speaker '[_-]([^/_-]+)\.\w+$' finds ben in train/happy/1-ben.wav, 2 in all.",
        ),
        (
            [f"{emotion}/{who} - Take {n}.wav" for emotion in ("Trauer", "Freude")
             for who in ("Björn Groß", "Eva") for n in (1, 2)],
            r"--speaker '([^/_-]+?) *[_-][^/]*$' finds Björn Groß in "
            r"Freude/Björn Groß - Take 1.wav, 2 in all.",
        ),
        (
            [f"{emotion}/{n} - {who}.wav" for emotion in ("sad", "happy")
             for who in ("Ben", "Eva") for n in (1, 2, 3, 4, 5, 6)],
            r"--speaker '[_-] *([^/_-]+)\.\w+$' finds Ben in happy/1 - Ben.wav, 2 in all.",
        ),
        (
            [f"{emotion}/{emotion}_{who}_{n}.wav" for emotion in ("sad", "happy")
             for who in (1, 2) for n in (1, 2, 3)],
            r"--speaker '[_-]([^/_-]+)\.\w+$' finds 1 in happy/happy_1_1.wav, 3 in all.",
        ),
    ],
)  # fmt: skip
def test_an_expression_that_would_do_is_proposed_and_does(make_file, tmp_path, names, proposal):
    for name in names:
        make_file(f"mine/{name}")
    (note,) = load_corpus("folder", tmp_path / "mine").notes
    assert note.endswith(f"for example, if that is who speaks, {proposal}")
    expression = re.search(r"--speaker '([^']+)' finds", note).group(1)
    manifest = load_corpus("folder", tmp_path / "mine", speaker=expression)
    assert len(manifest.speakers) == int(re.search(r"(\d+) in all", note).group(1))
    assert manifest.notes == ()


def test_nothing_is_proposed_where_every_name_would_be_a_speaker(make_file, tmp_path):
    for n in range(8):
        make_file(f"mine/{('sad', 'happy')[n % 2]}/clip{n}_a{n}.wav")
    (note,) = load_corpus("folder", tmp_path / "mine").notes
    assert "if that is who speaks" not in note
    assert "finds spk7 in sad/spk7_03.wav" in note


def test_speakers_of_a_table_are_found_where_no_column_says_them(table):
    manifest = table(
        "file,emotion,speaker\nwav/anna_1.wav,sad,\nwav/ben_1.wav,sad,\nc.wav,sad,eva\n",
        speaker=r"/(\w+)_",
    )
    assert manifest.speakers == ("own:anna", "own:ben", "own:eva")


def test_a_row_in_which_nobody_is_found_is_named(table):
    text = message(CorpusError, lambda: table("file,emotion\na.wav,sad\n", speaker="(spk[0-9])"))
    assert text.endswith(
        "own.csv:2: --speaker '(spk[0-9])' finds nobody in 'a.wav'; expected one speaker a file. "
        "Change the expression."
    )


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
    assert "Say where the names tell who speaks: --speaker '(spk[0-9]+)' finds" in manifest.notes[0]


def test_a_speaker_is_found_by_an_expression(make_file, tmp_path):
    for name in ("sad/spk1_a.wav", "sad/spk2_a.wav", "happy/spk1_b.wav"):
        make_file(f"mine/{name}", name.encode())
    manifest = load_corpus("folder", tmp_path / "mine", corpus_name="own", speaker=r"(spk\d)_")
    assert manifest.speakers == ("own:spk1", "own:spk2")
    assert manifest.notes == ()
    assert manifest.corpora == ("own",)


def test_a_folder_for_each_side_may_stand_around_the_classes(make_file, tmp_path):
    # Source: Hugging Face, 'Create an audio dataset': data/train/electronic/01.mp3.
    for name in ("train/sad/a.wav", "Validation/sad/b.wav", "test/joy/c.wav", "sad/d.wav"):
        make_file(f"mine/{name}")
    manifest = load_corpus("folder", tmp_path / "mine")
    assert {clip.clip_id: (clip.split, clip.emotion) for clip in manifest} == {
        "mine/train/sad/a.wav": ("train", "sad"),
        "mine/Validation/sad/b.wav": ("dev", "sad"),
        "mine/test/joy/c.wav": ("test", "happy"),
        "mine/sad/d.wav": ("", "sad"),
    }


def test_folders_of_other_emotions_are_kept_and_counted(make_file, tmp_path):
    for name in ("sad/a.wav", "boredom/b.wav", "boredom/c.wav"):
        make_file(f"mine/{name}")
    manifest = load_corpus("folder", tmp_path / "mine")
    assert [(clip.emotion, clip.source_label) for clip in manifest] == [
        (None, "boredom"),
        (None, "boredom"),
        ("sad", "sad"),
    ]
    assert manifest.notes[0].startswith("2 clips have a label that is none of the eight")
    meant = load_corpus("folder", tmp_path / "mine", spellings={"boredom": "neutral"})
    assert [clip.emotion for clip in meant] == ["neutral", "neutral", "sad"]


@pytest.mark.parametrize(
    ("names", "speaker", "words"),
    [
        (
            ["a.wav"],
            None,
            "'a.wav' lies beside the class folders; expected each recording in a folder named for",
        ),
        (["train/a.wav"], None, "'train/a.wav' lies beside the class folders; expected each reco"),
        (["hapy/a.wav"], None, "/mine: emotion 'hapy' is not known"),
        (["hapy/a.wav"], None, "Did you mean 'happy'?"),
        (["01_happy/a.wav"], None, "Did you mean 'happy'? Correct it, or say what it means: --map"),
        (["anna/a.wav", "ben/b.wav"], None, "no label is an emotion that is known: anna 1, ben 1"),
        (["readme.txt"], None, "no recordings; expected sub-folders named for emotions."),
        (["sad/a.wav"], r"(spk\d)", "--speaker '(spk\\d)' finds nobody in 'sad/a.wav'; expected"),
        (["sad/a.wav"], r"(x)?sad", "--speaker '(x)?sad' finds nobody in 'sad/a.wav'; expected"),
        (["sad/a.wav"], r"spk\d", "--speaker 'spk\\d': 0 groups; expected one, as (…): what stan"),
        (["sad/a.wav"], r"(a)(b)", "--speaker '(a)(b)': 2 groups; expected one"),
        (
            ["sad/a.wav"],
            r"(spk",
            "--speaker '(spk': missing ), unterminated subpattern at position 0; expected a regula",
        ),
    ],
)
def test_a_fault_in_a_folder_is_named(make_file, tmp_path, names, speaker, words):
    for name in names:
        make_file(f"mine/{name}")
    read = lambda: load_corpus("folder", tmp_path / "mine", speaker=speaker)  # noqa: E731
    assert words in message(AffectusError, read)


# --- a folder with metadata --------------------------------------------------------------------


def test_a_folder_with_metadata_is_read_as_hugging_face_does(make_file, tmp_path):
    # Source: Hugging Face, 'Create an audio dataset': metadata.csv beside data/, with file_name.
    make_file("mine/data/a.mp3")
    make_file("mine/data/b.mp3")
    make_file("mine/metadata.csv", b"file_name,label,speaker_id\ndata/a.mp3,sad,7\n")
    manifest = load_corpus("folder", tmp_path / "mine")
    (clip,) = manifest
    assert (clip.clip_id, clip.emotion, clip.speaker, clip.split) == (
        "mine/data/a.mp3", "sad", "mine:7", "",
    )  # fmt: skip
    assert clip.path == tmp_path / "mine/data/a.mp3"
    assert manifest.notes == (
        "1 recordings are not named in metadata.csv and were passed over (the first: data/b.mp3).",
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_in_a_folder_for_each_side_is_one_corpus(make_file, tmp_path, kind):
    # Source: Hugging Face, datasets: a metadata file may lie in each side's folder.
    for side, emotion in (("train", "sad"), ("validation", "joy"), ("test", "exc")):
        make_file(f"mine/{side}/a.wav")
        text = f"file_name,emotion,speaker\na.wav,{emotion},{side}\n"
        if kind == "jsonl":
            text = json.dumps({"file_name": "a.wav", "emotion": emotion, "speaker": side}) + "\n"
        make_file(f"mine/{side}/metadata.{kind}", text.encode())
    manifest = load_corpus("folder", tmp_path / "mine")
    assert {clip.clip_id: (clip.split, clip.emotion) for clip in manifest} == {
        "mine/train/a.wav": ("train", "sad"),
        "mine/validation/a.wav": ("dev", "happy"),
        "mine/test/a.wav": ("test", None),
    }
    assert [clip.fault for clip in manifest] == ["", "", ""]
    assert manifest.notes[0].startswith("1 clip has a label that is none of the eight")


def test_one_metadata_file_may_name_the_files_of_each_side(make_file, tmp_path):
    rows = "train/a.wav,sad,\ntest/b.wav,sad,\ntest/c.wav,sad,train\n"
    make_file("mine/metadata.csv", f"file_name,emotion,split\n{rows}".encode())
    for name in ("train/a.wav", "test/b.wav", "test/c.wav"):
        make_file(f"mine/{name}")
    manifest = load_corpus("folder", tmp_path / "mine")
    assert [clip.split for clip in manifest] == ["train", "test", "train"]  # the table is above


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"metadata.csv": "file_name,text\na.wav,hello\n"},
            "metadata.csv: no column 'emotion' among file_name, text; expected file,emotion,spea",
        ),
        (
            {"metadata.csv": "file_name,emotion\n", "metadata.jsonl": ""},
            "metadata.csv and metadata.jsonl in one folder; expected one of them. Remove the oth",
        ),
        ({"metadata.csv": "file_name,emotion\n"}, "mine: no rows; expected one a clip."),
        (
            {"metadata.csv": "file_name,emotion\na.wav,hapy\n"},
            "mine/metadata.csv:2: emotion 'hapy' is not known",
        ),
    ],
)
def test_a_fault_in_metadata_is_named(make_file, tmp_path, files, words):
    make_file("mine/a.wav")
    for name, text in files.items():
        make_file(f"mine/{name}", text.encode())
    assert words in message(AffectusError, lambda: load_corpus("folder", tmp_path / "mine"))


# --- options that a corpus does not have -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ravdess", {"speaker": "(x)"}, "ravdess: says itself who speaks and what its labels mean"),
        ("ravdess", {"spellings": {"a": "sad"}}, "--speaker and --map for a table or a folder"),
        ("folder", {"root": "."}, "folder: has no paths of a table; expected --root for a table o"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path, name, options, words):
    assert words in message(CorpusError, lambda: load_corpus(name, tmp_path, **options))


# --- several corpora in one manifest -----------------------------------------------------------


def clip(name, corpus="own", **changes):
    fields = {"speaker": f"{corpus}:1", "emotion": "sad", "file": f"/{corpus}/{name}.wav"}
    return Clip(f"{corpus}/{name}", corpus, **(fields | {"sha256": name * 3} | changes))


def test_new_clips_stand_behind_the_old_ones():
    old, new = Manifest((clip("b"), clip("a"))), Manifest((clip("a", "two"),), ("a note",))
    joined = append_clips(old, new)
    assert joined.clips == (*old.clips, *new.clips)
    assert joined.corpora == ("own", "two")
    assert joined.notes == ("a note",)


def test_the_same_import_twice_changes_nothing_and_says_so():
    old = Manifest((clip("a"), clip("b")))
    joined = append_clips(old, Manifest((clip("b"), clip("c"))), "all.csv")
    assert joined.clips == (clip("a"), clip("b"), clip("c"))
    assert joined.notes[0] == "1 of 2 clips were in all.csv already, and the same"
    assert append_clips(joined, joined).clips == joined.clips


def test_other_content_under_an_id_that_is_there_is_refused():
    old = Manifest((clip("a"), clip("b"), clip("c"), clip("d")))
    new = [
        clip("a", emotion="happy"),
        clip("b", sha256="other"),
        clip("c", votes={"sad": 1}),
        clip("d", emotion=None),
    ]
    text = message(ManifestError, lambda: append_clips(old, Manifest(tuple(new)), "all.csv"))
    assert text == (
        "ManifestError: all.csv: 4 of the clips are there already with other content (own/a: "
        "emotion was 'sad', is 'happy'; own/b: the file's bytes are others; own/c: votes was '', "
        "is '{'sad': 1}' and 1 more); expected new clips, or the same ones. Give a corpus of your "
        "own another name (--name), or write a new manifest without --append."
    )


def test_a_path_stays_unless_only_the_new_one_is_there(make_file):
    here, there = make_file("here/a.wav"), make_file("there/a.wav")
    old, new = clip("a", file=str(here)), clip("a", file=str(there))
    assert append_clips(Manifest((old,)), Manifest((new,))).clips == (old,)
    here.unlink()
    assert append_clips(Manifest((old,)), Manifest((new,))).clips == (new,)


def test_speakers_that_were_there_are_noted_as_the_same_people():
    old = Manifest((clip("a"),))
    joined = append_clips(old, Manifest((clip("b"), clip("c", speaker="own:2"))), "all.csv")
    assert joined.notes == (
        "1 speakers were in all.csv already and count as the same people (own:1). If they are "
        "others, give this corpus another name: --name.",
    )


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def affectus(capsys):
    """A function that runs a command: (exit code, standard output, standard error)."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def test_append_joins_corpora_with_paths_that_stay_right(make_file, tmp_path, affectus):
    for name in ("one/sad/a.wav", "one/happy/b.wav", "two/a.wav"):
        make_file(name, name.encode())
    make_file("two/two.csv", b"file,emotion,speaker\na.wav,exc,7\n")
    out = tmp_path / "tables" / "all.csv"
    first = ("import", "folder", tmp_path / "one", "--append", "-o", out)
    code, text, _ = affectus(*first)
    assert (code, text) == (0, f"{out}: 2 clips of 0 speakers\n")
    second = ("import", "table", tmp_path / "two/two.csv", "--map", "exc=happy", "--append")
    code, text, _ = affectus(*second, "-o", out)
    assert (code, text) == (0, f"{out}: 3 clips of 1 speaker, 1 new row\n")
    manifest = Manifest.read(out)
    assert [(c.clip_id, c.path, c.emotion) for c in manifest] == [
        ("one/happy/b.wav", tmp_path / "one/happy/b.wav", "happy"),
        ("one/sad/a.wav", tmp_path / "one/sad/a.wav", "sad"),
        ("two/a.wav", tmp_path / "two/a.wav", "happy"),
    ]
    before = out.read_bytes()
    code, text, err = affectus(*first)
    assert (code, text) == (0, f"{out}: 3 clips of 1 speaker, 0 new rows\n")
    assert f"2 of 2 clips were in {out} already, and the same" in err
    assert out.read_bytes() == before


def test_append_refuses_other_content_and_leaves_the_manifest(make_file, tmp_path, affectus):
    make_file("a.wav")
    table = make_file("own.csv", b"file,emotion,speaker\na.wav,sad,1\n")
    command = ("import", "table", table, "--append", "-o", tmp_path / "all.csv")
    affectus(*command)
    before = (tmp_path / "all.csv").read_bytes()
    make_file("own.csv", b"file,emotion,speaker\na.wav,happy,1\n")
    code, _, err = affectus(*command)
    assert code == 2
    assert "own/a.wav: emotion was 'sad', is 'happy'" in err
    assert (tmp_path / "all.csv").read_bytes() == before


def test_append_to_what_is_no_manifest_is_refused_before_anything_is_read(
    make_file, tmp_path, affectus
):
    table = make_file("own.csv", b"file,emotion,speaker\na.wav,sad,1\n")
    other = make_file("other.csv", b"file,emotion\nb.wav,sad\n")
    code, _, err = affectus("import", "table", table, "--append", "-o", other)
    assert code == 2
    assert "other.csv: no column 'speaker'; expected file, emotion, speaker" in err


def test_import_says_in_json_what_is_new(make_file, tmp_path, affectus):
    make_file("audio/a.wav")
    table = make_file("own.csv", b"file,emotion,speaker\na.wav,sad,1\n")
    root = ("--root", tmp_path / "audio", "-o", tmp_path / "m.csv", "--json")
    code, text, _ = affectus("import", "table", table, *root)
    found = json.loads(text)
    assert (code, found["clips"], found["new"], found["speakers"]) == (0, 1, 1, 1)


def test_import_shows_how_far_the_hashing_is(make_file, tmp_path, affectus):
    make_file("mine/sad/a.wav")
    _, _, err = affectus("import", "folder", tmp_path / "mine", "-o", tmp_path / "m.csv")
    assert re.search(r"^hashing: 1 of 1, ", err, flags=re.MULTILINE)


@pytest.mark.parametrize("text", ["exc", "exc=hapy"])
def test_a_bad_meaning_is_refused_in_one_line(text, tmp_path, affectus):
    code, out, err = affectus("import", "table", tmp_path / "gone.csv", "--map", text)
    assert (code, out) == (2, "")
    assert err.startswith("LabelError: ")
