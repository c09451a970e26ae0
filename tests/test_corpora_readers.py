"""The readers beside RAVDESS: what each name says, what is refused, tables, hand-made names."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from affectus.cli import run
from affectus.corpora import (
    expected_clips,
    expected_counts,
    find_corpus,
    list_corpora,
    load_corpus,
)
from affectus.corpora.votes import find_plurality
from affectus.errors import CorpusError, LabelError
from affectus.manifest import Clip, Manifest
from tests.messages import message


def read(corpus, name):
    return find_corpus(corpus).read_clip(Path(name))


@pytest.fixture
def lay_out(make_file, tmp_path):
    """A function that writes files below a folder, each holding its own name or the text given."""

    def write(*names, **texts):
        for name in names:
            make_file(f"corpus/{name}", name.encode())
        for name, text in texts.items():
            make_file(f"corpus/{name}", text.encode())
        return tmp_path / "corpus"

    return write


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpus", "name", "told"),
    [
        ("cremad", "AudioWAV/1091_IEO_FEA_HI.wav",
         ("cremad/1091_IEO_FEA_HI", "cremad:1091", "fearful", "female", "", "IEO", "high")),
        ("cremad", "VideoFlash/1001_DFA_ANG_XX.flv",
         ("cremad/1001_DFA_ANG_XX-video", "cremad:1001", "angry", "male", "", "DFA", "")),
        ("cremad", "AudioMP3/1001_DFA_ANG_XX.mp3",
         ("cremad/1001_DFA_ANG_XX-mp3", "cremad:1001", "angry", "male", "", "DFA", "")),
        # so it was published until October 2022: issue 6 of the corpus
        ("cremad", "1040_ITH_SAD_X.wav",
         ("cremad/1040_ITH_SAD_XX", "cremad:1040", "sad", "male", "", "ITH", "")),
        ("savee", "AudioData/DC/sa01.wav",
         ("savee/DC_sa01", "savee:DC", "sad", "male", "", "sa01", "")),
        ("savee", "ALL/KL_su15.wav",
         ("savee/KL_su15", "savee:KL", "surprised", "male", "", "su15", "")),
        ("savee", "AudioVisualClip/JE/n7.avi",
         ("savee/JE_n07-video", "savee:JE", "neutral", "male", "", "n07", "")),
        ("tess", "OAF_Pleasant_surprise/OAF_back_ps.wav",
         ("tess/OAF_back_ps", "tess:OAF", "surprised", "female", "64", "back", "")),
        ("tess", "OAF_neutral/OA_bite_neutral.wav",
         ("tess/OAF_bite_neutral", "tess:OAF", "neutral", "female", "64", "bite", "")),
        ("tess", "yaf_youth_Pleasant_Surprised.ogg",
         ("tess/YAF_youth_ps", "tess:YAF", "surprised", "female", "26", "youth", "")),
        ("emodb", "wav/03a01Fa.wav",
         ("emodb/03a01Fa", "emodb:03", "happy", "male", "31", "a01", "")),
        ("emodb", "16b10Lb.wav", ("emodb/16b10Lb", "emodb:16", None, "female", "31", "b10", "")),
        ("nemo", "samples/MP0_surprised_90.wav",
         ("nemo/MP0_surprised_90", "nemo:MP0", "surprised", "male", "24", "90", "")),
        ("banglaser", "03-01-01-01-03-02-34.wav",
         ("banglaser/03-01-01-01-03-02-34", "banglaser:34", "happy", "female", "", "3", "normal")),
        ("banglaser", "01-01-04-02-03-01-15.ogg",
         ("banglaser/01-01-04-02-03-01-15", "banglaser:15", "surprised", "male", "", "3",
          "strong")),
    ],
)  # fmt: skip
def test_a_name_says_who_what_and_how(corpus, name, told):
    c = read(corpus, name)
    assert (c.clip_id, c.speaker, c.emotion, c.sex, c.age, c.sentence, c.intensity) == told
    seen = name.endswith((".flv", ".avi"))
    assert c.channels == (("voice", "face") if seen else ("voice",))


@pytest.mark.parametrize(
    ("corpus", "name", "words"),
    [
        ("cremad", "1001_DFA_ANG.wav", "3 fields; expected four, like 1001_DFA_ANG_XX"),
        ("cremad", "1092_DFA_ANG_XX.wav", "actor is '1092'; expected 1001 to 1091"),
        ("cremad", "1001_ABC_ANG_XX.wav", "sentence is 'ABC'; expected DFA to WSI"),
        ("cremad", "1001_DFA_CAL_XX.wav", "emotion is 'CAL'; expected ANG to SAD"),
        ("cremad", "1001_DFA_ANG_X.wav", "level is 'X'; expected HI to XX"),
        ("cremad", "1001_DFA_ANG_HI.wav", "never published"),
        ("cremad", "1001_IEO_ANG_XX.wav", "never published"),
        ("cremad", "1008_WSI_SAD_XX.wav", "never published"),
        ("savee", "DC/b01.wav", "not a speaker, emotion and number; expected DC/a01 or DC_a01"),
        ("savee", "ALL/a01.wav", "no speaker in it or in folder 'ALL'; expected DC, JE, JK or KL"),
        ("savee", "JE/DC_a01.wav", "speaker DC in folder JE"),
        ("savee", "DC/a16.wav", "sentence 16; expected 1 to 15"),
        ("savee", "DC/n31.wav", "sentence 31; expected 1 to 30"),
        ("savee", "DC/a00.wav", "sentence 0; expected 1 to 15"),
        ("tess", "OAF_angry.wav", "2 fields; expected three, like OAF_back_angry"),
        ("tess", "MAF_back_angry.wav", "speaker is 'MAF'; expected OA or OAF or YAF"),
        ("tess", "OAF_zebra_angry.wav", "word 'zebra'; expected one of its 200"),
        ("tess", "OAF_back_calm.wav", "emotion is 'calm'; expected angry, disgust, fear, happy, "),
        ("tess", "OAF_Sad/OAF_back_fear.wav", "fearful of OAF in folder OAF_Sad"),
        ("tess", "YAF_fear/OAF_back_fear.wav", "fearful of OAF in folder YAF_fear"),
        ("emodb", "03a01F.wav", "not a speaker, sentence, emotion and version; expected one like"),
        ("emodb", "04a01Fa.wav", "speaker is '04'; expected 03 to 16"),
        ("emodb", "03a03Fa.wav", "sentence is 'a03'; expected a01 to b10"),
        ("emodb", "03a01Xa.wav", "emotion is 'X'; expected A to W"),
        ("nemo", "EB0_anger.wav", "2 fields; expected three, like EB0_anger_17"),
        ("nemo", "XX0_anger_1.wav", "speaker is 'XX0'; expected EB0 to WR0"),
        ("nemo", "EB0_angry_1.wav", "emotion is 'angry'; expected anger to surprised"),
        ("nemo", "EB0_anger_91.wav", "sentence is '91'; expected 1 to 90"),
        ("nemo", "EB0_anger_01.wav", "sentence is '01'; expected 1 to 90"),
        ("banglaser", "02-01-01-01-01-01-01.wav", "modality is '02'; expected 01 or 03"),
        ("banglaser", "03-02-01-01-01-01-01.wav", "channel is '02'; expected 01"),
        ("banglaser", "03-01-06-01-01-01-01.wav", "emotion is '06'; expected 01 to 05"),
        ("banglaser", "03-01-01-02-01-01-01.wav", "happy with intensity 02 was never spoken"),
        ("banglaser", "03-01-03-01-01-01-01.wav", "angry with intensity 01 was never spoken"),
        ("banglaser", "03-01-01-01-04-01-01.wav", "statement is '04'; expected 01 or 02 or 03"),
        ("banglaser", "03-01-01-01-01-01-35.wav", "actor is '35'; expected 01 to 34"),
        ("banglaser", "03-01-05-01-01-01-11.wav", "neutral by actor 11 was never spoken"),
    ],
)
def test_each_field_of_a_name_is_checked(corpus, name, words):
    text = message(LabelError, lambda: read(corpus, name))
    assert text.startswith(f"LabelError: name '{Path(name).name}': {words}")


# --- CREMA-D -----------------------------------------------------------------------------------

STEM = "1001_DFA_ANG_XX"
FORMS = (f"AudioWAV/{STEM}.wav", f"AudioMP3/{STEM}.mp3", f"VideoFlash/{STEM}.flv")
# Rows as the corpus has them, of its first actor; the last columns are left out.
TABLE = f""""","A","D","F","H","N","S","fileName","numResponses"
"100025",6,2,0,0,1,0,"{STEM}",9
"200025",3,0,0,3,0,1,"{STEM}",7
"300025",8,1,-1,-1,0,0,"{STEM}",9
"100026",0,0,0,0,0,0,"1001_DFA_FEA_XX",0
"""
PEOPLE = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
TABLES = {"processedResults/tabulatedVotes.csv": TABLE, "VideoDemographics.csv": PEOPLE}


def test_cremad_counts_by_emotion_are_those_of_its_tables():
    # Of 91 actors: five emotions 14 times, neutral 12 times, less the 20 never published.
    clips = [read("cremad", name) for name in find_corpus("cremad").list_names("wav")]
    counts = Counter(clip.emotion for clip in clips)
    assert counts.pop("neutral") == 1_087
    assert counts == dict.fromkeys(("angry", "disgust", "fearful", "happy", "sad"), 1_271)
    assert Counter(clip.intensity for clip in clips) == {
        "low": 455, "medium": 455, "high": 455, "": 6_077,
    }  # fmt: skip


def test_each_form_of_a_cremad_performance_has_an_id_of_its_own_and_they_share_a_take(lay_out):
    manifest = load_corpus("cremad", lay_out(*FORMS), parts=["wav", "mp3", "video"])
    assert [clip.clip_id for clip in manifest] == [
        f"cremad/{STEM}", f"cremad/{STEM}-mp3", f"cremad/{STEM}-video",
    ]  # fmt: skip
    assert {clip.take for clip in manifest} == {f"cremad/{STEM}"}
    assert len(expected_clips(manifest)) == expected_counts(manifest)["cremad"] == 3 * 7_442


def test_a_cremad_performance_is_read_once_by_itself(lay_out):
    (clip,) = manifest = load_corpus("cremad", lay_out(*FORMS))
    assert clip.clip_id == f"cremad/{STEM}"
    assert manifest.notes == (
        "1 mp3 and 1 video files were passed over (other forms of the same performances); to have "
        "them: --parts wav,mp3,video",
    )


def test_votes_are_of_those_who_heard_or_saw_what_the_file_holds(lay_out):
    folder = lay_out(*FORMS, **TABLES)
    voice, mp3, video = load_corpus("cremad", folder, parts=["wav", "mp3", "video"])
    assert voice.votes == mp3.votes == {"angry": 6, "disgust": 2, "neutral": 1}
    assert video.votes == {"angry": 8, "disgust": 1}  # -1: nobody
    (face,) = load_corpus("cremad", folder, raters="face")
    assert face.votes == {"angry": 3, "happy": 3, "sad": 1}
    assert (face.emotion, face.channels) == ("angry", ("voice",))  # intended


def test_people_are_in_the_table_of_people(lay_out):
    (clip,) = load_corpus("cremad", lay_out(FORMS[0], **TABLES))
    assert (clip.age, clip.sex, clip.ethnicity) == ("51", "male", "Caucasian, Not Hispanic")
    assert clip.source_label == "ANG"


def test_the_perceived_label_is_what_more_raters_chose_than_anything_else(lay_out):
    folder = lay_out(FORMS[0], "AudioWAV/1001_DFA_FEA_XX.wav", "AudioWAV/1001_DFA_SAD_XX.wav",
                     **TABLES)  # fmt: skip
    angry, fear, sad = manifest = load_corpus("cremad", folder, label="perceived")
    assert (angry.emotion, fear.emotion, sad.emotion) == ("angry", None, None)
    assert (fear.votes, sad.votes) == (None, None)
    assert manifest.notes == (
        "labels are what most raters chose (raters: those who heard or saw the same); 0 clips are "
        "ties and 2 have no votes: kept without an emotion, never trained on",
    )
    tie, *_ = manifest = load_corpus("cremad", folder, label="perceived", raters="face")
    assert tie.emotion is None
    assert "(raters: face); 1 clips are ties" in manifest.notes[0]


@pytest.mark.parametrize(
    ("votes", "emotion"),
    [
        ({"angry": 3, "sad": 2}, "angry"),
        ({"sad": 2, "angry": 2}, None),
        ({"angry": 2, "sad": 2, "happy": 3}, "happy"),
        ({"sad": 1}, "sad"),
        ({"sad": 0}, None),
        ({}, None),
    ],
)
def test_a_plurality_is_unique(votes, emotion):
    assert find_plurality(votes) == emotion


def test_votes_that_are_asked_for_must_be_there(lay_out):
    folder = lay_out(FORMS[0])
    text = message(CorpusError, lambda: load_corpus("cremad", folder, label="perceived"))
    assert text == (
        f"CorpusError: {folder}: no tabulatedVotes.csv; expected it for the votes of raters. Give "
        f"the folder that holds processedResults too."
    )


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tabulatedVotes.csv", LFS, "a Git LFS pointer, not the table; expected the columns '', "),
        ("tabulatedVotes.csv", '"","A","D"\n', "no column 'fileName' in it; expected the columns"),
        ("tabulatedVotes.csv", TABLE.replace("6,2", "x,2"), f"row '100025' of {STEM}; expected a"),
        ("tabulatedVotes.csv", TABLE.replace("100025", "25"), f"row '25' of {STEM}; expected a nu"),
        ("VideoDemographics.csv", "a,b\n", "no column 'ActorID' in it; expected the columns Actor"),
        ("VideoDemographics.csv", '"ActorID', "unexpected end of data; expected a CSV in UTF-8."),
    ],
)
def test_a_table_that_cannot_be_read_is_named(lay_out, name, text, words):
    folder = lay_out(FORMS[0], **{name: text})
    found = message(CorpusError, lambda: load_corpus("cremad", folder))
    assert found.startswith(f"CorpusError: {folder / name}")
    assert words in found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"label": "acted"}, "label is 'acted'; expected intended or perceived."),
        ({"label": "percieved"}, "Did you mean 'perceived'?"),
        ({"raters": "video"}, "raters is 'video'; expected voice or face or both."),
    ],
)
def test_a_label_or_raters_that_cannot_be_are_refused(tmp_path, settings, words):
    assert words in message(CorpusError, lambda: load_corpus("cremad", tmp_path, **settings))


@pytest.mark.parametrize("settings", [{"label": "perceived"}, {"raters": "voice"}])
def test_a_corpus_without_votes_says_so(tmp_path, settings):
    text = message(CorpusError, lambda: load_corpus("tess", tmp_path, **settings))
    assert text == (
        "CorpusError: tess: has no votes of raters; expected the intended label. Leave --label and "
        "--raters out."
    )


@pytest.mark.parametrize("name", ["table", "folder", "renamed"])
def test_own_data_have_no_parts_and_no_raters(tmp_path, name):
    for settings in ({"parts": ["speech"]}, {"label": "perceived"}, {"raters": "both"}):
        text = message(CorpusError, lambda s=settings: load_corpus(name, tmp_path, **s))
        assert text.startswith(f"CorpusError: {name}: has no parts and no raters; expected")


def test_parts_label_and_raters_can_be_said_on_the_command_line(lay_out, tmp_path, capsys):
    out = tmp_path / "votes.csv"
    told = ["--parts", "wav,video", "--label", "perceived", "--raters", "face", "-o", str(out)]
    assert run(["import", "cremad", str(lay_out(*FORMS, **TABLES)), *told]) == 0
    clips = Manifest.read(out).clips
    assert [clip.clip_id for clip in clips] == [f"cremad/{STEM}", f"cremad/{STEM}-video"]
    for clip in clips:
        assert clip.emotion is None  # a tie of those who saw the face
        assert clip.votes == {"angry": 3, "happy": 3, "sad": 1}
        assert (clip.age, clip.ethnicity) == ("51", "Caucasian, Not Hispanic")
    assert "2 clips are ties" in capsys.readouterr().err


def test_every_corpus_is_listed_with_its_number_and_citation(capsys):
    assert run(["corpora"]) == 0
    text = capsys.readouterr().out
    for corpus in list_corpora():
        assert f"{corpus.n_clips:,}" in text
        assert corpus.citation in text and corpus.url in text
    assert "affectus import renamed DIR" in text


def test_clips_known_to_be_faulty_are_noted(lay_out):
    # Issues 3, 6, 8 and 11 of the corpus.
    names = ("1076_MTI_SAD_XX", "1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD", STEM)
    manifest = load_corpus("cremad", lay_out(*(f"AudioWAV/{name}.wav" for name in names)))
    assert manifest.notes == (
        "known to be faulty: cremad/1076_MTI_SAD_XX (no sound; its film has no face)",
        "known to be faulty: cremad/1076_MTI_NEU_XX (its mp3 and film cannot be played)",
        "known to be faulty: cremad/1064_TIE_SAD_XX (its film has no duration)",
        "known to be faulty: cremad/1064_IEO_DIS_MD (61 s, with several emotions)",
    )


# --- the others --------------------------------------------------------------------------------


def test_the_same_name_of_two_savee_speakers_is_two_clips(lay_out):
    folder = lay_out("AudioData/DC/a01.wav", "AudioData/JE/a01.wav", "ALL/JK_a01.wav")
    manifest = load_corpus("savee", folder)
    assert [clip.clip_id for clip in manifest] == ["savee/DC_a01", "savee/JE_a01", "savee/JK_a01"]
    assert manifest.speakers == ("savee:DC", "savee:JE", "savee:JK")


def test_both_savee_layouts_of_one_recording_are_one_clip(make_file, tmp_path):
    for name in ("AudioData/DC/a01.wav", "ALL/DC_a01.wav"):
        make_file(f"corpus/{name}", b"the same")
    (clip,) = manifest = load_corpus("savee", tmp_path / "corpus")
    assert clip.fault == ""
    assert manifest.notes == ("1 second copies with the same name and bytes were passed over",)


def test_nested_copies_of_tess_are_passed_over_and_other_bytes_are_a_fault(make_file, tmp_path):
    # Archives with 4,000 files and more for 2,800 clips are passed around.
    inner = "TESS Toronto emotional speech set data"
    for name in ("OAF_Fear/OAF_back_fear.wav", "YAF_sad/YAF_bar_sad.wav"):
        make_file(f"corpus/{name}", name.encode())
        make_file(f"corpus/{inner}/{name}", name.encode())
    make_file(f"corpus/{inner}/YAF_sad/YAF_bar_sad.wav", b"another")
    fear, sad, fault = manifest = load_corpus("tess", tmp_path / "corpus")
    assert (fear.clip_id, sad.clip_id) == ("tess/OAF_back_fear", "tess/YAF_bar_sad")
    assert fault.fault == "second file of tess/YAF_bar_sad with other bytes than YAF_bar_sad.wav"
    assert manifest.notes == ("1 second copies with the same name and bytes were passed over",)


def test_a_corrected_name_is_the_published_clip():
    assert (
        read("tess", "OAF_bite_neutral.wav").clip_id == read("tess", "OA_bite_neutral.wav").clip_id
    )


def test_boredom_is_kept_without_an_emotion_and_noted(lay_out):
    angry, bored = manifest = load_corpus("emodb", lay_out("03a01Wa.wav", "03a04Lc.wav"))
    assert (angry.emotion, bored.emotion, bored.source_label) == ("angry", None, "L")
    assert bored.fault == ""
    assert manifest.notes == (
        "1 clips are boredom ('L'), none of our emotions: kept without an emotion, never trained "
        "on",
    )


def test_emodb_counts_are_the_published_ones():
    # By letter as in the corpus's documentation; by speaker as its archive has it.
    clips = [read("emodb", name) for name in find_corpus("emodb").list_names("whole")]
    assert Counter(clip.source_label for clip in clips) == {
        "W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79,
    }  # fmt: skip
    assert Counter(clip.speaker[-2:] for clip in clips) == {
        "03": 49, "08": 58, "09": 43, "10": 38, "11": 55, "12": 35, "13": 61, "14": 69, "15": 56,
        "16": 71,
    }  # fmt: skip


# Speaker, sentence and version of angry clips. Source: EmoBox, its list of EMO-DB.
ANGRY = """
    03a01a 03a02b 03a02c 03a04c 03a05a 03a05b 03a07c 03b01a 03b01c 03b02b 03b03c 03b09a 03b10b
    03b10c 08a01a 08a01c 08a02c 08a04c 08a05a 08a07c 08b01a 08b02d 08b03d 08b09a 08b09c 08b10a
    09a01b 09a02b 09a04a 09a05b 09a05c 09a07b 09a07d 09b01b 09b02c 09b02d 09b03b 09b09a 09b10a
    10a01a 10a02a 10a04a 10a04b 10a05b 10a07b 10b02b 10b03b 10b09b 10b10a 11a01c 11a02c 11a04c
    11a05d 11a07c 11b01d 11b02b 11b03a 11b03b 11b09a 11b10a 12a01c 12a02a 12a02c 12a04c 12a05b
    12a07a 12b01a 12b02a 12b02b 12b02d 12b09c 12b10a
"""


def test_emodb_names_are_those_of_another_list():
    names = [Path(name).stem for name in find_corpus("emodb").list_names("whole")]
    ours = {f"{name[:5]}{name[6]}" for name in names if name[5] == "W" and name[:2] < "13"}
    assert ours == set(ANGRY.split())


def test_names_that_break_the_rule_are_expected_as_published():
    assert "OAF_neutral/OA_bite_neutral.wav" in find_corpus("tess").list_names("whole")
    names = find_corpus("banglaser").list_names("whole")
    assert sorted(name for name in names if name.startswith("01-")) == [
        "01-01-04-02-03-01-15.wav", "01-01-04-02-03-02-15.wav", "01-01-04-02-03-03-15.wav",
    ]  # fmt: skip


def test_savee_tess_and_banglaser_counts_are_the_published_ones():
    def count(corpus):
        names = find_corpus(corpus).list_names(find_corpus(corpus).parts[0][0])
        return Counter((clip.emotion, clip.speaker) for clip in (read(corpus, n) for n in names))

    savee = count("savee")
    assert {n for (emotion, _), n in savee.items() if emotion == "neutral"} == {30}
    assert {n for (emotion, _), n in savee.items() if emotion != "neutral"} == {15}
    assert set(count("tess").values()) == {200}
    bangla = count("banglaser")
    assert set(bangla.values()) == {9}
    assert Counter(emotion for emotion, _ in bangla) == {
        "happy": 34, "sad": 34, "angry": 34, "surprised": 34, "neutral": 27,
    }  # fmt: skip


def test_where_names_are_not_known_only_their_number_is_expected(lay_out):
    manifest = load_corpus("nemo", lay_out("EB0_anger_1.wav"))
    assert expected_clips(manifest) == ()
    assert expected_counts(manifest) == {"nemo": 4_481}
    assert expected_counts(Manifest((Clip("own/x", "own", "EB0_anger_1.wav"),))) == {}
    assert expected_counts(Manifest((Clip("nemo/x", "nemo", "x.wav"),))) == {"nemo": 0}


# --- renamed by hand ---------------------------------------------------------------------------


def test_a_renamed_set_is_a_corpus_of_its_own(lay_out):
    names = ("03-01-05-01-01-01-31.wav", "more/03-01-05-01-01-01-31.wav", "03-01-01-02-09-07-7.wav")
    manifest = load_corpus("renamed", lay_out(*names), corpus_name="joined")
    assert [(c.clip_id, c.speaker, c.emotion) for c in manifest] == [
        ("joined/03-01-01-02-09-07-7", "joined:07", "neutral"),
        ("joined/03-01-05-01-01-01-31", "joined:31", "angry"),
        ("joined/more/03-01-05-01-01-01-31", "joined:31", "angry"),
    ]
    assert {(c.sex, c.sentence, c.intensity, c.take) for c in manifest} == {("", "", "", "")}
    (note,) = manifest.notes
    assert note.startswith("the names were given by hand: original names, sentences, sex and inten")
    assert expected_clips(manifest) == () and expected_counts(manifest) == {}


def test_a_renamed_set_is_called_as_its_folder_unless_told(lay_out):
    (clip,) = load_corpus("renamed", lay_out("03-01-05-01-01-01-31.wav"))
    assert clip.corpus == "corpus"


def test_names_of_a_renamed_set_are_checked(lay_out):
    names = ("03-01-05-01-01-01-99", "03-01-05-01-01-01-00", "03-01-09-01-01-01-01", "x",
             "07-01-05-01-01-01-01")  # fmt: skip
    good, *faulty = load_corpus("renamed", lay_out(*(f"{name}.wav" for name in names)))
    assert good.speaker == "corpus:99"
    assert sorted(clip.fault.split(": ", 1)[1] for clip in faulty) == [
        "1 fields; expected seven, like 03-01-05-01-02-01-12",
        "actor is '00'; expected 01 or more",
        "emotion is '09'; expected 01 to 08",
        "modality is '07'; expected 01 to 03",
    ]


# --- what the published table of clips itself says ---------------------------------------------


@pytest.mark.corpus
def test_the_real_list_of_cremad_is_the_readers(corpora_dir):
    table = corpora_dir / "cremad/SentenceFilenames.csv"
    with table.open(encoding="utf-8", newline="") as file:
        named = {row["Filename"] for row in csv.DictReader(file)}
    ours = {Path(name).stem for name in find_corpus("cremad").list_names("wav")}
    assert ours == named
