"""Emotions: every spelling to its canonical name, and what becomes of calm and surprised."""

import doctest
from itertools import product

import pytest

from affectus import emotions
from affectus.emotions import EMOTIONS, label_scheme, parse_emotion
from affectus.errors import LabelError

# What corpora and tools write, in the order of EMOTIONS; '-' where they have none.
# Source: the corpora's and tools' own documentation, collected in peers.md, section 5.4.
SPELLINGS = {
    "RAVDESS": "neutral calm happy sad angry fearful disgust surprised",
    "EmoBox": "Neutral Calm Happy Sad Angry Fear Disgust Surprise",
    "nkululeko, RAVDESS": "neutral calm happy sad angry fear disgust surprise",
    "nkululeko, SAVEE": "neutral - happiness sadness anger fear disgust surprise",
    "emotion2vec": "neutral - happy sad angry fearful disgusted surprised",
    "deepface": "neutral - happy sad angry fear disgust surprise",
    "py-feat": "neutral - happiness sadness anger fear disgust surprise",
    "CREMA-D": "NEU - HAP SAD ANG FEA DIS -",
    "IEMOCAP": "neu - hap sad ang - - -",
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
    assert doctest.testmod(emotions) == (0, 1)  # none failed of one


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


def test_an_unknown_scheme_lists_the_known_and_proposes_the_nearest():
    with pytest.raises(LabelError) as caught:
        label_scheme("sevn")
    assert str(caught.value) == (
        "LabelError: no label scheme 'sevn'; known schemes: six, seven, eight, four. "
        "Did you mean 'seven'?"
    )


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (
            label_scheme("six"),
            ["6 labels", "calm counts as neutral", "surprised clips are left out"],
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
