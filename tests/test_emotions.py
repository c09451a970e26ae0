"""Emotions: every spelling to its canonical name, and what becomes of calm and surprised."""

import doctest
import unicodedata
from itertools import product

import pytest

from affectus import emotions
from affectus.emotions import EMOTIONS, label_scheme, parse_emotion, read_label
from affectus.errors import LabelError

# What corpora and tools write, in the order of EMOTIONS; '-' where they have none.
# Source: the corpora's and tools' own documentation, collected in peers.md, section 5.4; IEMOCAP's
# codes as in SpeechBrain's recipe; EMO-DB's words and 'anxiety/fear' from its page; the labels of
# emotion2vec+ as FunASR returns them.
SPELLINGS = {
    "RAVDESS": "neutral calm happy sad angry fearful disgust surprised",
    "EmoBox": "Neutral Calm Happy Sad Angry Fear Disgust Surprise",
    "nkululeko, RAVDESS": "neutral calm happy sad angry fear disgust surprise",
    "nkululeko, SAVEE": "neutral - happiness sadness anger fear disgust surprise",
    "emotion2vec": "neutral - happy sad angry fearful disgusted surprised",
    "deepface": "neutral - happy sad angry fear disgust surprise",
    "py-feat": "neutral - happiness sadness anger fear disgust surprise",
    "CREMA-D": "NEU - HAP SAD ANG FEA DIS -",
    "IEMOCAP": "neu - hap sad ang fea dis sur",
    "MELD": "neutral - joy sadness anger fear disgust surprise",
    "EMO-DB, English": "neutral - happiness sadness anger anxiety/fear disgust -",
    "EMO-DB, German": "Neutral - Freude Trauer Wut Angst Ekel -",
    "EMO-DB, German, the other word": "- - - - Ärger - - -",
    "emotion2vec+": "中立/neutral - 开心/happy 难过/sad 生气/angry 恐惧/fearful 厌恶/disgusted "
    "吃惊/surprised",
    "TESS": "neutral - happy sad angry fear disgust ps",
    "TESS, folders": "neutral - happy sad angry Fear disgust pleasant_surprised",
    "nEMO": "neutral - happiness sadness anger fear - surprised",
}
CASES = [
    pytest.param(spelling, emotion, id=f"{source}-{spelling}")
    for source, row in SPELLINGS.items()
    for spelling, emotion in zip(row.split(), EMOTIONS, strict=True)
    if spelling != "-"
]


@pytest.mark.parametrize(("spelling", "emotion"), CASES)
def test_corpora_and_tools_are_understood(spelling, emotion):
    assert parse_emotion(spelling) == emotion


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_canonical_emotion_is_itself_in_any_case(emotion):
    assert parse_emotion(emotion) == emotion
    assert parse_emotion(f"  {emotion.upper()}\n") == emotion


@pytest.mark.parametrize(
    "spelling", ["pleasant surprise", "Pleasant_Surprise", "pleasant-surprise", "PS"]
)
def test_blanks_hyphens_and_underscores_are_one(spelling):
    assert parse_emotion(spelling) == "surprised"


def test_the_emotions_are_the_eight_of_ravdess_in_its_order():
    # Source: Livingstone and Russo (2018): codes 01 to 08.
    assert " ".join(EMOTIONS) == SPELLINGS["RAVDESS"]


def test_the_examples_in_docstrings_are_true():
    assert doctest.testmod(emotions) == (0, 2)  # none failed of two


def test_an_unknown_emotion_lists_the_known_and_proposes_the_nearest():
    with pytest.raises(LabelError) as caught:
        parse_emotion("Angri")
    text = str(caught.value)
    assert text.startswith(
        "LabelError: emotion 'Angri' is not known; known emotions: neutral, calm"
    )
    assert all(emotion in text for emotion in EMOTIONS)
    assert text.endswith("Did you mean 'angry'?")


# emotion2vec's 'other' and 'unknown', IEMOCAP's excitement and frustration are none of the eight:
# to take them for one would be a decision that nobody made.
@pytest.mark.parametrize("spelling", ["", "other", "unknown", "exc", "fru", "xxx", "contempt", "0"])
def test_what_is_none_of_the_eight_is_refused(spelling):
    with pytest.raises(LabelError, match="is not known; known emotions"):
        parse_emotion(spelling)


def test_a_letter_of_two_parts_is_the_same_as_one():
    # File names of macOS spell Ä as A and a mark.
    assert parse_emotion(unicodedata.normalize("NFD", "Ärger")) == "angry"


# --- labels of somebody's data -----------------------------------------------------------------


@pytest.mark.parametrize(("spelling", "emotion"), CASES)
def test_a_known_label_is_its_emotion(spelling, emotion):
    assert read_label(spelling) == emotion


# Source: IEMOCAP (exc, fru, oth, xxx), EMO-DB (boredom, Langeweile; 'boredem' in EmoBox), MEAD and
# MSP-Podcast (contempt, no agreement), emotion2vec (other, unknown, <unk>), EMNS (sarcasm),
# JL-Corpus, EmoV-DB (amused, sleepiness); what pandas writes for nothing (nan, None).
OTHERS = """
    exc excited excitement fru frustrated frustration oth xxx boredom bored boredem Langeweile
    contempt no_agreement other 其他/other unknown <unk> sarcasm amused sleepiness encouraging
    assertive apologetic concerned pain pleasure disappointed nan None
"""


@pytest.mark.parametrize("label", OTHERS.split())
def test_a_label_of_another_emotion_or_of_none_is_nobodys(label):
    assert read_label(label) is None


# The letters contradict each other: EMO-DB has W, E, A, F, T for Wut, Ekel, Angst, Freude, Trauer;
# ShEMO has W for surprise, A for anger, F for fear; SAVEE a, d, f, h, n. Numbers are no names.
@pytest.mark.parametrize("label", [*"WLEAFTNSHDCPJ", "0", "7", "03"])
def test_letters_and_numbers_are_not_taken_for_an_emotion(label):
    assert read_label(label) is None


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("hapy", "happy"),
        ("Angri", "angry"),
        ("suprise", "surprise"),
        ("Nuetral", "neutral"),
        ("fearfull", "fearful"),
        ("disgusto", "disgust"),
        ("unhappy", "happy"),  # asked for, never guessed
        ("01_happy", "happy"),
        ("male_angry", "angry"),
        ("hot anger", "anger"),
        ("Ärger (Wut)", "ärger"),
    ],
)
def test_what_may_be_a_slip_of_the_pen_is_refused_with_what_may_be_meant(label, meant):
    with pytest.raises(LabelError) as caught:
        read_label(label)
    assert caught.value.message.startswith(f"emotion '{label}' is not known; known emotions: neut")
    assert caught.value.message.endswith(f"Did you mean '{meant}'?")


# --- schemes -----------------------------------------------------------------------------------


# Source: design, section 4. The six are common to RAVDESS, CREMA-D, SAVEE and TESS (peers.md 5.4).
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("four", "neutral happy sad angry"),
        ("six", "neutral happy sad angry fearful disgust"),
        ("seven", "neutral happy sad angry fearful disgust surprised"),
        ("eight", "neutral calm happy sad angry fearful disgust surprised"),
    ],
)
def test_the_labels_of_a_scheme_and_their_order_are_fixed(name, labels):
    assert " ".join(label_scheme(name).labels) == labels


def test_eight_is_the_default():
    assert label_scheme() == label_scheme("eight")


def every_scheme():
    for name, calm, surprised in product(
        ("four", "six", "seven", "eight"), (None, "keep", "merge", "drop"), (None, "keep", "drop")
    ):
        try:
            yield label_scheme(name, calm, surprised)
        except LabelError:
            continue


def test_no_scheme_turns_an_emotion_into_another_but_calm_into_neutral():
    schemes = list(every_scheme())
    assert len({scheme.name for scheme in schemes}) == 4
    for scheme in schemes:
        for emotion in EMOTIONS:
            allowed = {emotion, None} | ({"neutral"} if emotion == "calm" else set())
            assert scheme.label(emotion) in allowed, (scheme, emotion)


def test_never_anything_becomes_angry():
    for scheme in every_scheme():
        assert [e for e in (*EMOTIONS, None) if scheme.label(e) == "angry"] == ["angry"]


def test_every_label_of_a_scheme_is_kept_and_nothing_else():
    for scheme in every_scheme():
        assert [e for e in EMOTIONS if scheme.label(e) == e] == list(scheme.labels)


def test_an_unlabelled_clip_stays_unlabelled():
    assert label_scheme("six").label(None) is None


@pytest.mark.parametrize(
    ("name", "calm", "label"),
    [
        ("six", None, "neutral"),  # the default
        ("six", "merge", "neutral"),
        ("six", "drop", None),
        ("seven", "drop", None),
        ("eight", None, "calm"),
    ],
)
def test_calm_goes_where_its_policy_says(name, calm, label):
    assert label_scheme(name, calm=calm).label("calm") == label


def test_six_leaves_surprised_out_and_seven_keeps_it():
    assert label_scheme("six").label("surprised") is None
    assert label_scheme("seven").label("surprised") == "surprised"


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("six", {"calm": "keep"}),
        ("six", {"surprised": "keep"}),
        ("seven", {"surprised": "drop"}),
        ("eight", {"calm": "merge"}),
        ("eight", {"calm": "drop"}),
        ("eight", {"surprised": "drop"}),
    ],
)
def test_a_policy_that_contradicts_the_name_is_refused(name, policy):
    with pytest.raises(LabelError, match=f"scheme '{name}'.*would change its labels.*Choose anoth"):
        label_scheme(name, **policy)


def test_a_misspelt_policy_is_not_taken_for_drop():
    with pytest.raises(LabelError, match="calm is 'Merge'; expected keep, merge, drop"):
        label_scheme("six", calm="Merge")
    with pytest.raises(LabelError, match="surprised=droop"):
        label_scheme("six", surprised="droop")


@pytest.mark.parametrize(
    ("name", "labels", "calm"),
    [
        ("angry+happy+sad", "happy sad angry", None),
        ("anger+Joy+neutral", "neutral happy angry", "neutral"),
        ("calm+neutral+surprise", "neutral calm surprised", "calm"),
        ("sad+surprised", "sad surprised", None),
    ],
)
def test_any_emotions_joined_by_a_plus_are_a_scheme(name, labels, calm):
    scheme = label_scheme(name)
    assert " ".join(scheme.labels) == labels
    assert scheme.name == labels.replace(" ", "+")
    assert scheme.label("calm") == calm
    assert scheme.label("fearful") is None
    assert scheme.label("surprised") == ("surprised" if "surprised" in labels else None)
    assert label_scheme(scheme.name) == scheme


@pytest.mark.parametrize(
    ("name", "policy", "words"),
    [
        ("happy+sad+joy", {}, "an emotion stands twice; expected each once"),
        ("happy+bored", {}, "emotion 'bored' is not known"),
        ("happy+", {}, "emotion '' is not known"),
        ("happy+sad", {"calm": "merge"}, "would change its labels; expected calm=drop"),
        ("neutral+calm", {"calm": "merge"}, "would change its labels; expected calm=keep"),
        ("happy+surprised", {"surprised": "drop"}, "expected calm=drop .*surprised=keep"),
    ],
)
def test_a_list_of_emotions_that_is_no_scheme_is_refused(name, policy, words):
    with pytest.raises(LabelError, match=words):
        label_scheme(name, **policy)


def test_an_unknown_scheme_lists_the_known_and_proposes_the_nearest():
    with pytest.raises(LabelError) as caught:
        label_scheme("sevn")
    assert str(caught.value) == (
        "LabelError: no label scheme 'sevn'; known schemes: six, seven, eight, four, or emotions "
        "joined by a plus (happy+sad). Did you mean 'seven'?"
    )


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (
            label_scheme("six"),
            ["6 labels", "calm counts as neutral", "surprised clips are left out"],
        ),
        (
            label_scheme("happy+sad+surprised"),
            [
                "3 labels",
                "surprised is its own label; neutral and angry and fearful and disgust "
                "clips are left out",
                "calm clips are left out",
            ],
        ),
        (label_scheme("six", calm="drop"), ["6 labels", "calm clips are left out"]),
        (
            label_scheme("four"),
            ["4 labels", "surprised clips are left out; so are fearful and disg"],
        ),
        (label_scheme("seven"), ["7 labels", "surprised is its own label"]),
        (
            label_scheme("eight"),
            ["8 labels", "calm is its own label", "surprised is its own label"],
        ),
    ],
)
def test_a_scheme_says_in_words_what_it_does(scheme, words):
    text = scheme.describe()
    assert all(word in text for word in words)
    assert ", ".join(scheme.labels) in text
