"""What becomes of scores: labels, thresholds, segments; and who is heard at all."""

from importlib.util import find_spec

import msgspec
import numpy as np
import pytest

from affectus.emotions import EMOTIONS, label_scheme
from affectus.errors import ConfigError, LabelError
from affectus.predictor.labelling import Labelling
from affectus.predictor.speech import find_detector
from affectus.predictor.windows import Answered, Grid, Timeline
from affectus.synthesis import synthesize_voice

LOGITS = np.array([[0.3, -1.0, 2.0, 0.1, -0.4, 0.0, 1.1, 0.9], [9, 0, 0, 0, 0, 0, 0, 800.0]])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_without_a_scheme_scores_are_the_softmax():
    np.testing.assert_allclose(Labelling(EMOTIONS, None, 0).scores(LOGITS), softmax(LOGITS))


def test_seven_adds_calm_to_neutral_and_six_also_rules_surprise_out():
    # By hand: P(neutral or calm), and Bayes' rule given "not surprised".
    p = softmax(LOGITS[:1])[0]
    seven = Labelling(EMOTIONS, "seven", 0)
    assert seven.labels == label_scheme("seven").labels
    np.testing.assert_allclose(seven.scores(LOGITS[:1])[0], [p[0] + p[1], *p[2:]], rtol=1e-12)
    six = Labelling(EMOTIONS, "six", 0).scores(LOGITS[:1])[0]
    np.testing.assert_allclose(six, np.array([p[0] + p[1], *p[2:7]]) / (1 - p[7]), rtol=1e-12)


def test_a_model_sure_of_what_is_ruled_out_still_gives_scores():
    scores = Labelling(EMOTIONS, "six", 0).scores(LOGITS[1:])[0]
    assert scores.sum() == pytest.approx(1) and scores.argmax() == 0


def test_four_is_within_six_whatever_the_order_of_labels():
    own = tuple(reversed(label_scheme("six").labels))
    logits = np.array([[5.0, 1.0, 2.0, 3.0, 4.0, 0.5]])  # disgust fearful angry sad happy neutral
    expected = softmax(np.array([[0.5, 4.0, 3.0, 2.0]]))  # neutral happy sad angry
    np.testing.assert_allclose(Labelling(own, "four", 0).scores(logits), expected)


def test_a_scheme_beyond_the_models_labels_is_refused():
    with pytest.raises(LabelError, match=r"'eight': this model never answers calm, surprised; exp"):
        Labelling(label_scheme("six").labels, "eight", 0)
    with pytest.raises(LabelError, match="no label scheme 'sven'"):
        Labelling(EMOTIONS, "sven", 0)


def test_below_the_threshold_there_is_no_answer():
    labelling = Labelling(("neutral", "sad"), None, 0.6)
    assert labelling.decide(np.array([0.59, 0.41])) == (None, "unsure")
    assert labelling.decide(np.array([0.4, 0.6])) == ("sad", None)
    assert labelling.decide(None) == (None, "no speech")
    with pytest.raises(ConfigError, match=r"abstain is 1\.5; expected a score"):
        Labelling(("neutral", "sad"), None, 1.5)


def timeline(rows, grid, end, threshold=0.0):
    found = Timeline(grid, Labelling(("neutral", "sad"), None, threshold))
    for number, row in enumerate(rows):
        stop = min(number * grid.hop + grid.window, end)
        found.add(number, stop, Answered(None if row is None else np.array([row, 1 - row])))
    segments, (scores, _) = found.finish()
    parts = [(part.start, part.end, part.emotion, part.scores.get("neutral")) for part in segments]
    return parts, scores


def test_a_cell_is_the_mean_of_the_windows_over_it():
    # Windows of 2 s each second: cells 0.9, (0.9 + 0.3) / 2, (0.3 + 0.1) / 2, 0.1; the first two
    # and the last two are of one emotion.
    parts, scores = timeline([0.9, 0.3, 0.1], Grid(2.0, 1.0), 4.0)
    assert parts == [(0.0, 2.0, "neutral", 0.75), (2.0, 4.0, "sad", 0.15)]
    np.testing.assert_allclose(scores, [1.3 / 3, 1.7 / 3])


def test_one_odd_window_does_not_cut_a_segment():
    parts, _ = timeline([0.9, 0.9, 0.4, 0.9, 0.9], Grid(3.0, 1.0), 7.0)
    assert [part[:3] for part in parts] == [(0.0, 7.0, "neutral")]


def test_half_silent_windows_put_the_border_where_the_silence_is():
    # Speech from 3 to 6 s; windows of 3 s, each 1.5 s: 0-3 silent, 1.5-4.5, 3-6, 4.5-7.5 not.
    parts, _ = timeline([None, 0.8, 0.8, 0.8, None, None], Grid(3.0, 1.5), 10.5)
    assert [part[:3] for part in parts] == [
        (0.0, 3.0, None), (3.0, 6.0, "neutral"), (6.0, 10.5, None),
    ]  # fmt: skip


def test_a_short_last_window_ends_the_last_segment():
    parts, _ = timeline([0.9, 0.1], Grid(2.0, 2.0), 3.2)
    assert parts == [(0.0, 2.0, "neutral", 0.9), (2.0, 3.2, "sad", 0.1)]


def test_silence_alone_has_no_scores():
    parts, scores = timeline([None, None], Grid(2.0, 1.0), 3.0)
    assert parts == [(0.0, 3.0, None, None)] and scores is None


def sounds():
    rng = np.random.default_rng(0)
    time = np.arange(32_000) / 16_000
    yield "silence", np.zeros(32_000)
    yield "hiss", 0.1 * rng.normal(size=32_000)
    yield "hum", 0.2 * np.sin(2 * np.pi * 50 * time)
    yield "faint", 1e-4 * np.sin(2 * np.pi * 440 * time * (time % 0.5))


DETECTORS = ["energy"]
if find_spec("silero_vad"):
    DETECTORS.append("silero")


@pytest.mark.parametrize("name", DETECTORS)
def test_steady_sound_is_no_speech_and_a_voice_is(name):
    detector = find_detector(name, 16_000)
    for what, wave in sounds():
        assert not detector(wave.astype(np.float32)), what
    for emotion in ("neutral", "angry", "sad"):
        voice = synthesize_voice(emotion, speaker=1, sample_rate=16_000)
        hiss = np.random.default_rng(1).normal(0, 0.001, 16_000 + len(voice))
        hiss[16_000:] += voice
        assert detector(hiss.astype(np.float32)), emotion


@pytest.mark.skipif("silero" not in DETECTORS, reason="the extra 'vad' is not installed")
def test_music_is_no_speech_to_silero():
    time = np.arange(64_000) / 16_000
    steps = np.floor(time * 2) % 5
    chord = [np.sin(2 * np.pi * f * 2 ** (steps / 12) * time) for f in (220, 277, 330)]
    music = 0.1 * sum(chord) * np.exp(-3 * (time * 2 % 1))
    assert not find_detector("silero", 16_000)(music.astype(np.float32))
    assert find_detector("energy", 16_000)(music.astype(np.float32))  # as its docstring says


@pytest.mark.skipif("silero" not in DETECTORS, reason="the extra 'vad' is not installed")
def test_silero_hears_half_a_second_of_what_went_before_a_voice():
    # Its state is that of a recording's course: met cold, it takes a shout for noise.
    waveform = np.zeros(32_000, np.float32)
    waveform[24_000:] = np.sin(np.arange(8_000) / 5)
    frames = find_detector("silero", 16_000)._frames(waveform)
    silent = int(np.argmax(np.abs(frames[:, 64:]).max(axis=1) > 0))
    assert 15 <= silent <= 17  # of 32 ms


@pytest.mark.skipif("silero" not in DETECTORS, reason="the extra 'vad' is not installed")
def test_silero_hears_what_it_needs_and_no_more(monkeypatch):
    detector = find_detector("silero", 16_000)
    session, asked = detector._session, []

    class Session:
        def run(self, names, feed):
            asked.append(len(feed["input"]))
            return session.run(names, feed)

    monkeypatch.setattr(detector, "_session", Session())
    voice = synthesize_voice("angry", speaker=2, sample_rate=16_000)
    zeros = np.zeros((1, 1, 128), np.float32)
    for waveform in (voice, np.concatenate([np.zeros(9_000), voice]), voice[:3_000], 0 * voice):
        asked.clear()
        heard = detector(np.asarray(waveform, np.float32))
        frames = detector._frames(np.asarray(waveform, np.float32))
        whole = session.run(["speech_probs"], {"input": frames, "h": zeros, "c": zeros})[0]
        speech = np.cumsum(whole.ravel() > 0.5)
        enough = speech >= min(0.25 / 0.032, len(frames) / 3)  # a quarter of a second
        assert heard == enough.any()
        assert sum(asked) == (1 + np.argmax(enough) if heard else len(frames))


def test_silero_that_cannot_be_had_is_said(monkeypatch):
    monkeypatch.setattr("affectus.predictor.speech._find_silero", lambda: None)
    with pytest.raises(ConfigError, match=r"'silero': not installed; .*affectus\[vad\]"):
        find_detector("silero", 16_000)
    with pytest.raises(ConfigError, match="detection 'loud' is not known; expected auto"):
        find_detector("loud", 16_000)


def test_the_answer_is_the_json_that_doors_send():
    part = Labelling(("neutral", "sad"), None, 0).segment(0, 1.00049, np.array([0.25, 0.75]))
    assert msgspec.to_builtins(part) == {
        "start": 0,
        "end": 1.0,
        "emotion": "sad",
        "scores": {"neutral": 0.25, "sad": 0.75},
        "reason": None,
        "streams": {},
    }
