import shutil

import numpy as np
import pytest
import torch
from small_run import PITCHES

from affectus import models
from affectus.errors import ConfigError, LimitError, MediaError, ModelError
from affectus.media import Limits, read_audio, write_audio
from affectus.models import Inputs
from affectus.predictor import load_model

RATE = 16_000


@pytest.fixture(scope="module")
def model(tones_folder):
    return load_model(tones_folder / "model", speech="off")  # tones are no speech


def tone(emotion, seconds=0.5):
    time = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).normal(0, 0.03, len(time))
    return (0.3 * np.sin(2 * np.pi * PITCHES[emotion] * time) + noise).astype(np.float32)


def test_the_answer_is_the_emotion_that_was_learnt(model):
    for emotion in PITCHES:
        assert model.predict((tone(emotion), RATE)).emotion == emotion


def test_scores_are_the_networks_own(model, tones_folder):
    # One front end: training's own path (extractor, torch) and prediction's give the same.
    file = next((tones_folder / "recordings").rglob("angry_0.wav"))
    network, _ = models.load(tones_folder / "model/weights.safetensors")
    frames = torch.from_numpy(model.extractor(read_audio(file).waveform, RATE))
    logits = network(Inputs(frames[None], torch.tensor([len(frames)])))
    scores = model.predict(file).scores
    logits = logits.double() / model.facts.temperature
    expected = torch.softmax(logits, 1)[0].tolist()
    assert list(scores) == ["neutral", "happy", "sad", "angry"]
    np.testing.assert_allclose(list(scores.values()), expected, atol=2e-6)


def test_a_file_its_bytes_and_its_samples_get_the_same_answer(model, tones_folder):
    file = next((tones_folder / "recordings").rglob("sad_1.wav"))
    answers = [
        model.predict(file),
        model.predict(str(file)),
        model.predict(file.read_bytes()),
        model.predict((read_audio(file).waveform, RATE)),
    ]
    assert len({tuple(answer.scores.values()) for answer in answers}) == 1
    assert [answer.file for answer in answers] == [str(file), str(file), "bytes", "array"]


def test_samples_at_another_rate_are_resampled(model):
    time = np.arange(48_000) / 48_000
    wave = 0.3 * np.sin(2 * np.pi * PITCHES["happy"] * time)
    wave += np.random.default_rng(1).normal(0, 0.03, len(time))
    stereo = np.stack([wave, wave], axis=1)
    assert model.predict((stereo, 48_000)).emotion == "happy"


def test_windows_follow_a_change(model):
    wave = np.concatenate([tone("happy", 2.0), tone("angry", 2.0)])
    answer = model.predict((wave, RATE), window=1.0, hop=0.5, smooth=False)
    assert [(part.start, part.end) for part in answer.segments] == [
        (0.5 * n, 0.5 * n + 1) for n in range(7)
    ]
    assert [part.emotion for part in answer.segments[:2]] == ["happy", "happy"]
    assert [part.emotion for part in answer.segments[-2:]] == ["angry", "angry"]
    mean = np.mean([list(part.scores.values()) for part in answer.segments], axis=0)
    np.testing.assert_allclose(list(answer.scores.values()), mean, atol=2e-6)


def test_windows_cover_the_whole_recording(model):
    for seconds in (0.3, 1.0, 1.1, 1.6, 2.0, 2.7):
        parts = model.predict((tone("sad", seconds), RATE), window=1.0, smooth=False).segments
        assert parts[0].start == 0.0
        assert seconds - parts[-1].end < 0.5  # a rest below half a window says too little
        assert all(part.end - part.start >= min(0.5, seconds) - 1e-9 for part in parts)


def test_silence_gets_no_answer_rather_than_a_class(model):
    answer = model.predict((np.zeros(RATE, np.float32), RATE))
    assert answer.emotion is None and answer.reason == "no speech" and answer.scores == {}
    assert [(part.emotion, part.reason) for part in answer.segments] == [(None, "no speech")]
    assert answer.warnings[0].startswith("W1304 silence")


def test_warnings_travel_with_the_answer(model, tmp_path):
    write_audio(tmp_path / "x.wav", tone("sad")[::2], 8_000)
    warning, short = model.predict(tmp_path / "x.wav").warnings
    assert short.startswith("W1202 short: 0.50 s")
    assert warning.startswith("W1105 recorded at 8,000 Hz")


def test_a_broken_file_among_good_ones_stands_in_its_place(model, tones_folder, tmp_path):
    good = next((tones_folder / "recordings").rglob("sad_1.wav"))
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    found = list(model.predict_many([good, bad, good]))
    assert found[0] == found[2] and found[0].emotion
    assert isinstance(found[1], MediaError) and found[1].code == "E1002"


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (np.full(RATE, np.nan, np.float32), "E1301"),
        (np.zeros(0, np.float32), "E1004"),
        (np.zeros(100, np.float32), "E1201"),
        (np.zeros((RATE, 9), np.float32), "E1107"),
        (np.zeros(RATE, np.int16), "E1107"),
        (np.zeros((1, 1, RATE), np.float32), "E1107"),
    ],
)
def test_bad_samples_are_refused_with_the_code_of_bad_files(model, samples, code):
    with pytest.raises(MediaError) as caught:
        model.predict((samples, RATE))
    assert caught.value.code == code


def test_limits_hold(model):
    with pytest.raises(LimitError, match="the limit is 1 s"):
        model.predict((tone("sad", 1.5), RATE), limits=Limits(max_seconds=1.0))


def test_windows_out_of_range_are_refused(model):
    with pytest.raises(ConfigError, match=r"window is 0\.01 s; expected 0\.1 to 600 s"):
        model.predict((tone("sad"), RATE), window=0.01)
    with pytest.raises(ConfigError, match=r"hop is 2 s; expected 0\.01 s to the window's length"):
        model.predict((tone("sad"), RATE), window=1.0, hop=2.0)


def test_a_model_for_unknown_features_is_refused(tones_folder, tmp_path):
    shutil.copytree(tones_folder / "model", tmp_path / "m")
    text = (tmp_path / "m/model.json").read_text()
    (tmp_path / "m/model.json").write_text(text.replace('"version": 1,', '"version": 2,', 1))
    with pytest.raises(ModelError, match=r"model\.json: features 'logmel' were made by version 2"):
        load_model(tmp_path / "m")
