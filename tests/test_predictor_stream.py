"""Streams, windows, batches: other ways to the same answer."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from small_run import PITCHES

from affectus.errors import ConfigError, LimitError, MediaError
from affectus.media import Limits, open_audio, write_audio
from affectus.predictor import load_model

RATE = 16_000


@pytest.fixture(scope="module")
def model(tones_folder):
    return load_model(tones_folder / "model", speech="off")


def tones(*parts, rate=RATE):
    """Tones of (emotion or None for silence, seconds), one after another."""
    rng = np.random.default_rng(3)
    pieces = []
    for emotion, seconds in parts:
        time = np.arange(int(seconds * rate)) / rate
        if emotion is None:
            pieces.append(np.zeros(len(time)))
        else:
            tone = 0.3 * np.sin(2 * np.pi * PITCHES[emotion] * time)
            pieces.append(tone + rng.normal(0, 0.03, len(time)))
    return np.concatenate(pieces).astype(np.float32)


def assert_same(one, other):
    assert (one.emotion, one.reason, one.warnings) == (other.emotion, other.reason, other.warnings)
    assert len(one.segments) == len(other.segments)
    for mine, its in zip([one, *one.segments], [other, *other.segments], strict=True):
        assert mine.emotion == its.emotion and mine.scores.keys() == its.scores.keys()
        np.testing.assert_allclose(
            list(mine.scores.values()), list(its.scores.values()), rtol=0, atol=1e-5
        )
    for mine, its in zip(one.segments, other.segments, strict=True):
        assert (mine.start, mine.end) == (its.start, its.end)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(
    ("seconds", "settings"),
    [
        (0.7, {}),
        (9.9, {}),
        (10.1, {}),
        (23.3, {"abstain": 0.9}),
        (4.0, {"window": 1.0, "hop": 0.3}),
        (4.7, {"window": 2.0, "smooth": False}),
    ],
)
def test_a_stream_ends_as_the_whole_recording(model, rate, seconds, settings):
    wave = tones(("happy", seconds / 2), ("sad", seconds / 2), rate=rate)
    rng = np.random.default_rng(int(seconds * 10))
    stream = model.stream(rate, **settings)
    at = 0
    while at < len(wave):
        n = int(rng.choice([1, 160, 1_024, 30_000]))
        stream.feed(wave[at : at + n])
        at += n
    assert stream.seconds == pytest.approx(len(wave) / rate)
    assert_same(stream.finish(), model.predict((wave, rate), **settings))


def test_no_stream_asks_for_more_at_once_than_warming_up_did(tones_folder, monkeypatch):
    # onnxruntime keeps the memory of the most that it was ever asked about.
    model = load_model(tones_folder / "model", speech="off")
    asked, logits = [], model._network.logits

    def note(clips, *others):
        asked.append(sum(len(clip) for clip in clips))
        return logits(clips, *others)

    monkeypatch.setattr(model._network, "logits", note)
    model.warm_up()
    (most,) = asked
    stream = model.stream(RATE, window=2.0, hop=0.5)
    stream.feed(tones(("happy", 60)))  # a client that was held up
    model.predict((tones(("sad", 60)), RATE))
    assert len(asked) > 20 and max(asked[1:]) == most


def test_a_file_ends_as_its_samples(model, tmp_path):
    wave = tones(("angry", 9), ("sad", 9))
    write_audio(tmp_path / "x.flac", wave)
    stored = np.round(wave * 32_768) / 32_768  # as 16 bits
    assert_same(
        model.predict(tmp_path / "x.flac"), model.predict((stored.astype(np.float32), RATE))
    )


def test_stereo_is_mixed_in_streams_too(model):
    wave = tones(("happy", 2.0))
    stream = model.stream(RATE)
    stream.feed(np.stack([wave, wave], axis=1))
    assert_same(stream.finish(), model.predict((wave, RATE)))


def test_a_stream_tells_each_window_as_soon_as_it_is_whole(model):
    stream = model.stream(RATE, window=1.0, hop=0.5)
    wave = tones(("happy", 1.2), ("angry", 1.3))
    found = [stream.feed(wave[at : at + 1_600]) for at in range(0, len(wave), 1_600)]
    times = [(part.start, part.end) for parts in found for part in parts]
    assert times == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.5, 2.5)]
    assert found[8] == [] and found[9][0].emotion == "happy"  # at 1 s
    assert found[24][0].emotion == "angry"


def test_a_finished_stream_takes_nothing(model):
    stream = model.stream(RATE)
    stream.feed(tones(("sad", 0.5)))
    stream.finish()
    with pytest.raises(ConfigError, match="finished already; expected an open stream"):
        stream.feed(tones(("sad", 0.5)))
    with pytest.raises(ConfigError, match="finished already"):
        stream.finish()


def test_bad_samples_end_a_stream_with_the_code_of_bad_files(model):
    stream = model.stream(RATE, name="microphone")
    with pytest.raises(MediaError, match=r"E1107 'microphone': an array int16"):
        stream.feed(np.zeros(100, np.int16))
    with pytest.raises(MediaError, match="E1301"):
        stream.feed(np.full(100, np.nan, np.float32))
    with pytest.raises(MediaError, match="E1104"):
        model.stream(655_350)
    with pytest.raises(MediaError, match="E1004"):
        model.stream(RATE).finish()
    stream = model.stream(RATE, limits=Limits(max_seconds=1))
    stream.feed(tones(("sad", 0.7)))
    with pytest.raises(LimitError, match="the limit is 1 s"):
        stream.feed(tones(("sad", 0.7)))


def test_a_long_recording_becomes_segments_without_being_asked(model):
    wave = tones(("happy", 9.0), (None, 6.0), ("angry", 9.0))
    answer = model.predict((wave, RATE))
    assert [(part.emotion, part.reason) for part in answer.segments] == [
        ("happy", None), (None, "no speech"), ("angry", None),
    ]  # fmt: skip
    borders = [(part.start, part.end) for part in answer.segments]
    np.testing.assert_allclose(borders, [(0, 9), (9, 15), (15, 24)], atol=1.5)  # a hop
    assert all(a[1] == b[0] for a, b in pairwise(borders))
    assert answer.segments[1].scores == {}
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)


def test_memory_does_not_grow_with_the_recording(model):
    minute = tones(("sad", 6), (None, 54))

    def peak(n_minutes):
        stream = model.stream(RATE, limits=Limits(max_seconds=3_600))
        stream.feed(minute)
        tracemalloc.start()
        for _ in range(n_minutes):
            stream.feed(minute)
        stream.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    short, long = peak(2), peak(10)
    assert long < short + 1e6  # eight more minutes are 31 MB of samples


def test_batches_give_what_single_calls_give(model, tones_folder, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    files = [*sorted((tones_folder / "recordings").rglob("*.wav"))[:20], bad]
    sources = [*files, (tones(("happy", 12.0)), RATE), (np.zeros(RATE, np.float32), RATE), files[0]]
    for workers in (1, 2):
        found = list(model.predict_many(sources, workers=workers))
        assert [answer.file for answer in found[:20]] == [str(file) for file in files[:20]]
        assert isinstance(found[20], MediaError) and found[20].code == "E1002"
        assert len(found[21].segments) == 1 and found[22].reason == "no speech"
        for source, answer in zip(sources, found, strict=True):
            if not isinstance(answer, MediaError):
                assert_same(answer, model.predict(source))


def test_batches_are_made_as_they_are_asked_for(model):
    asked = []

    def sources():
        for number in range(1_000):
            asked.append(number)
            yield tones(("sad", 0.3)), RATE

    next(model.predict_many(sources()))
    assert len(asked) < 100


def test_a_speaker_who_is_followed_is_heard_once(model, monkeypatch):
    clips = [(tones((emotion, 1.0)), RATE) for emotion in ("happy", "sad", "angry")]
    hear, heard = model._network.hear, []
    monkeypatch.setattr(model._network, "hear", lambda wave: heard.append(len(wave)) or hear(wave))
    found = list(model.follow_speaker(clips))
    assert heard == [RATE] * 3
    for number, (answer, _) in enumerate(found):
        known = model.learn_speaker(clips[: number + 1])
        assert_same(answer, model.predict(clips[number], speaker=known))


def test_a_short_clip_of_whom_is_followed_is_decoded_once(model, tones_folder, monkeypatch):
    clips = sorted((tones_folder / "recordings/spk2").iterdir())[:3]
    opened = []

    def count(source, **named):
        opened.append(source)
        return open_audio(source, **named)

    monkeypatch.setattr("affectus.predictor.sound.open_audio", count)
    monkeypatch.setattr("affectus.predictor.predictor.read_audio", count)
    assert len(list(model.follow_speaker(clips))) == 3
    assert opened == clips


def test_a_long_recording_of_who_is_followed_is_learnt_from_in_pieces(model):
    sounds = [
        (tones(("happy", 6.0), ("sad", 6.0), rate=48_000), 48_000),
        (tones(("sad", 0.2)), RATE),
    ]
    (long, known), (short, last) = model.follow_speaker(sounds)
    expected = model.learn_speaker(sounds[:1])
    np.testing.assert_allclose(known.mean, expected.mean, atol=1e-4)
    assert known.n_clips == last.n_clips == 4  # 0.2 s are too little to learn from
    assert_same(long, model.predict(sounds[0], speaker=expected))
    assert_same(short, model.predict(sounds[1], speaker=expected))
