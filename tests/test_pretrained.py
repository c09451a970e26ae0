"""The models that ship: whole, small, sturdy, and what their cards say."""

import numpy as np
import pytest

from affectus.emotions import label_scheme
from affectus.features import restore_extractor
from affectus.model_folder import PRETRAINED, list_pretrained, read_model, read_statistics
from affectus.predictor import load_model
from affectus.synthesis import synthesize_voice

RATE = 16_000
EMOTIONS = label_scheme("eight").labels


@pytest.fixture(scope="module")
def model():
    return load_model("voice", speech="off")


@pytest.fixture(scope="module")
def voices():
    return [
        synthesize_voice(speaker=speaker, emotion=emotion, sentence=0, seed=3)
        for speaker in (1, 2)
        for emotion in EMOTIONS
    ]


def test_the_voice_model_ships():
    assert "voice" in list_pretrained()


@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_that_ships_is_whole_and_small(name):
    facts, network = read_model(PRETRAINED / name)  # every file by its hash
    assert len(network) <= 6_000_000
    mean, deviation = read_statistics(PRETRAINED / name)
    columns = restore_extractor(facts.extractor).columns
    assert len(mean) == len(deviation) == len(columns)
    assert (deviation > 0).all()
    assert facts.evaluation["uar"][1] < facts.evaluation["uar"][0] < facts.evaluation["uar"][2]


@pytest.mark.parametrize("name", list_pretrained())
def test_a_card_says_whose_data_it_was_and_what_it_is_not_for(name):
    facts, _ = read_model(PRETRAINED / name)
    card = (PRETRAINED / name / "MODEL_CARD.md").read_text("utf-8")
    assert all(line in card for line in facts.licences)
    for words in ("Article 5(1)(f)", "Article 50(3)", "employment", "non-commercial", "acted"):
        assert words in card
    assert f"{facts.evaluation['uar'][0]:.3f}" in card
    assert f"{facts.temperature:.3f}" in card
    assert f"{facts.abstain_below:.3f}" in card


def test_scores_are_of_eight_emotions(model, voices):
    assert tuple(model.labels) == EMOTIONS
    scores = model.predict((voices[0], RATE)).scores
    assert tuple(scores) == EMOTIONS
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_gain_hardly_changes_an_answer(model, voices, gain):
    # Drawn voices are strange to it: many best scores are near ties, but none may move far. The
    # card has the share of real clips whose best label changes.
    def hear(scale):
        found = [model.predict((scale * 0.2 * voice, RATE)) for voice in voices]
        return [one.emotion for one in found], np.array([[*one.scores.values()] for one in found])

    (plain, scores), (answers, others) = hear(1.0), hear(gain)
    assert np.mean([one != other for one, other in zip(plain, answers, strict=True)]) <= 0.1
    assert np.abs(scores - others).max() < 0.1


def test_a_speaker_who_is_known_is_heard_otherwise(model, voices):
    clips = [(voice, RATE) for voice in voices[:8]]
    known = model.learn_speaker(clips)
    plain, adapted = (model.predict(clips[3], speaker=speaker) for speaker in (None, known))
    assert plain.scores != adapted.scores
    assert sum(adapted.scores.values()) == pytest.approx(1, abs=1e-5)
