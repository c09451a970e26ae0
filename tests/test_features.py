"""Features: the same numbers as librosa's, whatever the level, and settings that cannot be lost."""

import doctest
import hashlib
import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectus.errors import ConfigError
from affectus.features import (
    create_extractor,
    describe_extractor,
    hash_record,
    list_extractors,
    restore_extractor,
    voice,
)
from affectus.features.speech import SPEECH
from affectus.features.voice import LogMel, mel_filters

RATE = 16_000


def noise(seconds=1.0, level=0.1, rate=RATE):
    return np.random.default_rng(3).normal(0, level, round(seconds * rate)).astype(np.float32)


def sound_in_silence(before=1.0, sound=0.5, after=1.0, level=0.1):
    quiet = [np.zeros(round(seconds * RATE), np.float32) for seconds in (before, after)]
    return np.concatenate([quiet[0], noise(sound, level), quiet[1]])


def refusal(call):
    with pytest.raises(ConfigError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_examples_in_docstrings_are_true():
    assert doctest.testmod(voice) == (0, 2)  # none failed of two


# --- log-mel -----------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"n_fft": 1_024, "win_length": 400, "hop_length": 160, "n_mels": 40, "f_min": 0.0},
    {"n_fft": 2_048, "win_length": 2_048, "hop_length": 512, "n_mels": 128, "f_min": 30.0},
    {"n_fft": 512, "win_length": 401, "hop_length": 101, "n_mels": 26, "f_max": 6_000.0},
    {"sample_rate": 48_000, "n_fft": 1_024, "win_length": 1_024, "f_max": 24_000.0},
    {"sample_rate": 8_000, "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 20,
     "f_min": 100.0, "f_max": 4_000.0},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{len(s)}-{s.get('n_fft', 512)}")
def test_log_mel_equals_librosa(settings):
    librosa = pytest.importorskip("librosa")
    extractor = LogMel(**settings, trim_db=None)
    rate = extractor.sample_rate
    seconds = np.arange(rate) / rate
    waveform = (noise(1.0, 0.05, rate) + 0.5 * np.sin(2 * np.pi * 700 * seconds)).astype(np.float32)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=rate, n_fft=extractor.n_fft, win_length=extractor.win_length,
        hop_length=extractor.hop_length, n_mels=extractor.n_mels, fmin=extractor.f_min,
        fmax=extractor.f_max, center=False,
    )  # fmt: skip
    theirs = librosa.power_to_db(power, top_db=None).T
    ours = extractor(waveform, rate)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 0.01  # dB


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{len(s)}-{s.get('n_fft', 512)}")
def test_mel_filters_equal_librosa(settings):
    librosa = pytest.importorskip("librosa")
    e = LogMel(**settings)
    theirs = librosa.filters.mel(
        sr=e.sample_rate, n_fft=e.n_fft, n_mels=e.n_mels, fmin=e.f_min, fmax=e.f_max
    )
    ours = mel_filters(e.sample_rate, e.n_fft, e.n_mels, e.f_min, e.f_max)
    np.testing.assert_allclose(ours.T, theirs, rtol=1e-5, atol=1e-8)
    assert ours.dtype == np.float32


def test_a_tone_stands_out_in_the_band_that_is_named_for_it():
    extractor = LogMel(trim_db=None)
    seconds = np.arange(RATE) / RATE
    for pitch in (200, 1_000, 5_000):
        frames = extractor(np.sin(2 * np.pi * pitch * seconds).astype(np.float32), RATE)
        loudest = extractor.columns[int(frames.mean(axis=0).argmax())]
        centre = float(loudest.split("_")[-1].removesuffix("hz"))
        assert abs(centre - pitch) < 0.06 * pitch + 20


def test_columns_are_named_once_each_from_low_to_high():
    columns = LogMel().columns
    assert len(set(columns)) == len(columns) == 64
    centres = [float(column.split("_")[-1].removesuffix("hz")) for column in columns]
    assert centres == sorted(centres)
    assert 50 < centres[0] < centres[-1] < 8_000


def test_ten_times_the_amplitude_is_20_decibels():
    extractor = LogMel()
    quiet, loud = extractor(noise(level=0.01), RATE), extractor(noise(level=0.1), RATE)
    np.testing.assert_allclose(loud - quiet, 20.0, atol=1e-3)


def test_frames_start_a_hop_apart_and_nothing_is_padded():
    # A click that only the windows around it can see: k * hop <= sample < k * hop + n_fft.
    extractor = LogMel(trim_db=None)
    waveform = np.zeros(RATE, np.float32)
    waveform[5_000] = 1.0
    heard = np.flatnonzero(extractor(waveform, RATE).max(axis=1) > -99)
    expected = [k for k in range(61) if 256 * k < 5_000 < 256 * k + 512]
    assert heard.tolist() == expected
    assert extractor.frame_rate == RATE / 256


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("trim_db", [None, 40.0])
def test_frames_are_float32(dtype, trim_db):
    frames = LogMel(trim_db=trim_db)(noise().astype(dtype), RATE)
    assert frames.dtype == np.float32
    assert frames.shape == (61, 64)


def test_the_same_sound_gives_the_same_frames_and_is_left_as_it_was():
    waveform = sound_in_silence()
    before = waveform.copy()
    first, second = LogMel()(waveform, RATE), LogMel()(waveform.copy(), RATE)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(waveform, before)
    waveform.flags.writeable = False  # as from a file that is mapped
    np.testing.assert_array_equal(LogMel()(waveform, RATE), first)


def test_a_wrong_rate_is_refused():
    text = refusal(lambda: LogMel()(noise(), 22_050))
    assert text == (
        "ConfigError: logmel: waveform at 22050 Hz; expected 16000 Hz. "
        "Resample it: read_audio(..., sample_rate=16000)."
    )


# --- silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [0, 1, 255, 256, 511, 512, 513, 768])
@pytest.mark.parametrize("trim_db", [None, 40.0])
def test_however_short_there_is_a_frame(n_samples, trim_db):
    frames = LogMel(trim_db=trim_db)(noise()[:n_samples], RATE)
    assert frames.shape == (1 + max(0, n_samples - 512) // 256, 64)
    assert np.isfinite(frames).all()


@pytest.mark.parametrize("trim_db", [None, 40.0])
def test_silence_is_kept_whole_at_the_floor(trim_db):
    frames = LogMel(trim_db=trim_db)(np.zeros(RATE, np.float32), RATE)
    assert frames.shape == (61, 64)
    np.testing.assert_allclose(frames, -100.0, atol=1e-4)


def test_trimming_keeps_the_sounding_part_and_its_edges():
    waveform = sound_in_silence(before=1.0, sound=0.5, after=2.0)
    whole, trimmed = LogMel(trim_db=None)(waveform, RATE), LogMel()(waveform, RATE)
    # Sound from 1.0 to 1.5 s, and 0.1 s about it, at 62.5 frames a second.
    assert len(trimmed) == pytest.approx((0.5 + 2 * 0.1) * 62.5, abs=2)
    sounding = np.flatnonzero(whole.max(axis=1) > -99)
    first = next(k for k in range(len(whole)) if np.array_equal(whole[k], trimmed[0])
                 and np.array_equal(whole[k : k + len(trimmed)], trimmed))  # fmt: skip
    assert first <= sounding[0]
    assert first + len(trimmed) > sounding[-1]


def test_trimming_keeps_the_silence_between_two_sounds():
    waveform = np.concatenate([sound_in_silence(1.0, 0.2, 1.0), sound_in_silence(0.0, 0.2, 1.0)])
    assert len(LogMel()(waveform, RATE)) == pytest.approx((0.2 + 1.0 + 0.2 + 0.2) * 62.5, abs=2)


def test_trimming_leaves_sound_that_has_no_silence():
    np.testing.assert_array_equal(LogMel()(noise(), RATE), LogMel(trim_db=None)(noise(), RATE))


@pytest.mark.parametrize("factor", [2.0**-10, 0.5, 2.0, 8.0])
def test_trimming_does_not_depend_on_the_level(factor):
    # Powers of two scale exactly, so that the cut must be the very same.
    waveform = sound_in_silence() + noise(2.5, 1e-4)
    assert len(LogMel()(waveform, RATE)) == len(LogMel()(waveform * np.float32(factor), RATE)) < 100


def test_a_quieter_sound_is_cut_where_trim_db_says():
    # 30 dB below the loudest: kept at 40 dB, cut at 20.
    waveform = np.concatenate([noise(1.0, 0.1), noise(1.0, 0.1 * 10 ** (-30 / 20))])
    assert len(LogMel(trim_db=40.0)(waveform, RATE)) == 124
    assert len(LogMel(trim_db=20.0)(waveform, RATE)) < 75


def test_trim_pad_is_in_seconds():
    waveform = sound_in_silence()
    lengths = [len(LogMel(trim_pad=pad)(waveform, RATE)) for pad in (0.0, 0.2)]
    assert lengths[1] - lengths[0] == pytest.approx(2 * 0.2 * 62.5, abs=2)


# --- settings ----------------------------------------------------------------------------------


# Those that need a model's files, or a film, have their own tests.
NEED_FILES = {"embedding", "onnx", "face_crops", "face_embedding", *(k.name for k in SPEECH)}


@pytest.mark.parametrize("name", sorted({*list_extractors()} - NEED_FILES))
def test_every_extractor_keeps_the_contract(name):
    if name.startswith(("egemaps", "compare")):
        pytest.importorskip("opensmile", reason="needs the extra opensmile")
    extractor = create_extractor(name)
    assert extractor.name == name
    assert extractor.version >= 1
    frames = extractor(noise(rate=extractor.sample_rate), extractor.sample_rate)
    assert frames.shape[1] == len(extractor.columns) == len(set(extractor.columns))
    assert frames.dtype == np.float32
    expected = extractor.frame_rate or 1  # of 1 s; 0 stands for a row a clip
    assert len(frames) == pytest.approx(expected, rel=0.1)
    assert create_extractor(name, **extractor.parameters()) == extractor


def test_a_record_brings_the_extractor_back():
    extractor = create_extractor("logmel", n_mels=40, f_min=0, trim_db=None)
    record = describe_extractor(extractor)
    assert (record["name"], record["version"], record["n_mels"]) == ("logmel", 1, 40)
    assert restore_extractor(record) == extractor
    assert restore_extractor(json.loads(json.dumps(record))) == extractor  # as in model.json


def test_a_record_of_another_version_is_refused():
    record = describe_extractor(create_extractor("logmel")) | {"version": 99}
    assert refusal(lambda: restore_extractor(record)) == (
        "ConfigError: features 'logmel' were made by version 99; expected version 1. Extract them "
        "again, or train the model again."
    )


def test_a_record_of_nothing_is_refused():
    assert "no features 'None'; known: logmel, " in refusal(lambda: restore_extractor({}))


def test_an_unknown_extractor_proposes_the_nearest():
    text = refusal(lambda: create_extractor("logmell"))
    assert text.startswith("ConfigError: no features 'logmell'; known: logmel, descriptors, func")
    assert text.endswith(". Did you mean 'logmel'?")


def test_an_unknown_parameter_proposes_the_nearest():
    assert refusal(lambda: create_extractor("logmel", n_mel=3)) == (
        "ConfigError: features 'logmel' have no parameter 'n_mel'; known: f_max, f_min, "
        "hop_length, n_fft, n_mels, sample_rate, trim_db, trim_pad, win_length. "
        "Did you mean 'n_mels'?"
    )


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("sample_rate", 999), ("n_fft", 1), ("n_fft", 1 << 17), ("win_length", 513),
        ("win_length", 1), ("hop_length", 0), ("hop_length", 513), ("n_mels", 0), ("n_mels", 513),
        ("f_min", -1.0), ("f_min", 8_000.0), ("f_min", float("nan")), ("f_max", 8_001.0),
        ("trim_db", 0.0), ("trim_db", 201.0), ("trim_pad", -0.1), ("trim_pad", 11.0),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_named(parameter, value):
    text = refusal(lambda: create_extractor("logmel", **{parameter: value}))
    assert text.startswith(
        f"ConfigError: logmel: {parameter} is {value}; expected a value that fits"
    )


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("n_fft", "512", "int"),
        ("n_fft", 512.0, "int"),
        ("n_mels", True, "int"),
        ("hop_length", None, "int"),
        ("f_min", "50", "float"),
        ("trim_db", "40", "float or None"),
    ],
)
def test_a_value_of_another_type_is_named(parameter, value, expected):
    text = refusal(lambda: create_extractor("logmel", **{parameter: value}))
    assert text == (
        f"ConfigError: features 'logmel': {parameter} is {value!r}; expected {expected}. Change it."
    )


def test_bands_without_a_frequency_are_refused():
    text = refusal(lambda: create_extractor("logmel", n_mels=256))
    assert text == (
        "ConfigError: logmel: 256 mel bands leave some without a frequency at n_fft 512; expected "
        "at least one each. Lower n_mels or raise n_fft."
    )


def test_a_whole_number_and_a_fraction_that_equals_it_are_one_setting():
    # A TOML file says f_min = 50, another f_min = 50.0.
    whole, fraction = (create_extractor("logmel", f_min=f_min) for f_min in (50, 50.0))
    assert hash_record(describe_extractor(whole)) == hash_record(describe_extractor(fraction))


def test_settings_cannot_be_changed_afterwards():
    extractor = create_extractor("logmel")
    with pytest.raises(FrozenInstanceError):
        extractor.n_mels = 3


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=6), st.randoms())
def test_a_hash_does_not_depend_on_the_order_of_keys(record, random):
    keys = list(record)
    random.shuffle(keys)
    assert hash_record({key: record[key] for key in keys}) == hash_record(record)


def test_a_hash_depends_on_every_value():
    record = {"name": "logmel", "version": 1, "trim_db": None}
    changes = [{"name": "x"}, {"version": 2}, {"trim_db": 40.0}, {"more": 1}]
    assert len({hash_record(record | change) for change in [{}, *changes]}) == 5


def test_a_hash_is_the_sha256_of_sorted_json():
    # Stores and models on disk hold it: it must not change between versions.
    text = b'{"a": 1, "b": null, "c": 0.5}'
    assert hash_record({"c": 0.5, "a": 1, "b": None}) == hashlib.sha256(text).hexdigest()
