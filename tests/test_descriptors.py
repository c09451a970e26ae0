"""Descriptors and functionals: known tones, pulses and vowels; formulas; librosa; gain; silence."""

import doctest
import math
from itertools import pairwise, product

import numpy as np
import pytest
import soxr

from affectus.corpora import load_corpus
from affectus.errors import ConfigError
from affectus.extraction import extract_features
from affectus.features import (
    create_extractor,
    cycles,
    descriptors,
    formants,
    functionals,
    pitch,
    spectral,
)
from affectus.features.columns import DESCRIPTORS
from affectus.features.correlations import CORRELATIONS, correlate_voiced
from affectus.features.descriptors import Descriptors
from affectus.features.functionals import Functionals
from affectus.features.sums import add_up
from affectus.media import from_waveform, write_audio
from affectus.store import FeatureStore
from affectus.synthesis import synthesize_voice

RATE = 16_000
RATES = (8_000, 16_000, 48_000)
NAMES = [descriptor.name for descriptor in DESCRIPTORS]


def tone(hz, seconds=1.0, rate=RATE, level=0.3):
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def noise(seconds=1.0, level=0.1, rate=RATE, seed=3):
    return np.random.default_rng(seed).normal(0, level, round(seconds * rate)).astype("f4")


def pulses(at, heights, seconds, rate=RATE):
    """Band-limited impulses at times `at` (s), which need not fall on samples."""
    wave = np.zeros(int(seconds * rate))
    for time, height in zip(at, heights, strict=True):
        near = np.arange(-12, 13) + round(time * rate)
        near = near[(near >= 0) & (near < len(wave))]
        away = near - time * rate
        wave[near] += height * np.sinc(away) * np.cos(np.pi * away / 26) ** 2
    return (0.5 * wave).astype("f4")


def steady(hz, seconds=1.0, rate=RATE):
    return pulses(np.arange(0.005, seconds - 0.005, 1 / hz), np.ones(10_000)[: len(
        np.arange(0.005, seconds - 0.005, 1 / hz))], seconds, rate)  # fmt: skip


def resonate(wave, formant_hz, bandwidths, rate=RATE):
    """Two poles for each formant (Klatt 1980, equations 2 and 3), one after the other.

    Before them a real pole at 100 Hz: source and radiation together fall by 6 dB an octave.
    """
    out = wave.astype(float)
    last, pole = 0.0, math.exp(-2 * math.pi * 100 / rate)
    for n, x in enumerate(out):
        last = out[n] = x + pole * last
    for hz, width in zip(formant_hz, bandwidths, strict=True):
        c = -math.exp(-2 * math.pi * width / rate)
        b = 2 * math.exp(-math.pi * width / rate) * math.cos(2 * math.pi * hz / rate)
        once = twice = 0.0
        for n, x in enumerate(out):
            once, twice = (1 - b - c) * x + b * once + c * twice, once
            out[n] = once
    return (0.3 * out / np.abs(out).max()).astype("f4")


def describe(wave, rate=RATE, **settings):
    """Columns by name, of all frames."""
    extractor = create_extractor("descriptors", sample_rate=rate, **{"trim_db": None, **settings})
    frames = extractor(wave, rate)
    assert frames.dtype == np.float32
    assert np.isfinite(frames).all()
    return dict(zip(extractor.columns, frames.T, strict=True))


def test_the_examples_in_docstrings_are_true():
    assert doctest.testmod(descriptors) == (0, 2)
    assert doctest.testmod(functionals) == (0, 2)


# --- pitch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [70, 110, 220, 440, 700])
@pytest.mark.parametrize("rate", RATES)
def test_the_pitch_of_a_tone_is_its_frequency(hz, rate):
    found = describe(tone(hz, 0.5, rate), rate)
    assert (found["f0_hz"] > 0).all()
    np.testing.assert_allclose(found["f0_hz"], hz, rtol=0.01)
    # 27.5 Hz is the A four octaves below 440: 48 semitones.
    np.testing.assert_allclose(found["f0_semitones"], 12 * math.log2(hz / 440) + 48, atol=0.2)


@pytest.mark.parametrize("hz", [80, 130, 250, 400])
def test_the_pitch_of_pulses_is_neither_half_nor_double(hz):
    found = describe(steady(hz, 0.6))
    np.testing.assert_allclose(found["f0_hz"], hz, rtol=0.01)


def test_pitch_follows_a_glide_of_an_octave():
    seconds = 1.5
    times = np.arange(0, seconds, 1e-4)
    hz = 120 * 2 ** (times / seconds)
    phase = np.concatenate([[0], np.cumsum(hz[:-1]) * 1e-4])
    at = np.interp(np.arange(1, int(phase[-1])), phase, times)
    found = describe(resonate(pulses(at, np.ones(len(at)), seconds), (600, 1200), (80, 100)))
    centres = np.arange(len(found["f0_hz"])) * 0.01 + 0.024
    inside = slice(3, -3)
    expected = 120 * 2 ** (centres / seconds)
    np.testing.assert_allclose(found["f0_hz"][inside], expected[inside], rtol=0.02)


def test_noise_and_silence_have_no_pitch():
    assert (describe(noise(2.0))["f0_hz"] > 0).mean() < 0.03
    assert not describe(np.zeros(RATE, "f4"))["f0_hz"].any()


def test_a_voice_in_silence_is_voiced_where_it_is():
    wave = np.concatenate([noise(0.5, 1e-4), steady(150, 0.5), noise(0.5, 1e-4)])
    voiced = describe(wave)["f0_hz"] > 0
    centres = np.arange(len(voiced)) * 0.01 + 0.024
    assert voiced[(centres > 0.54) & (centres < 0.96)].all()
    assert not voiced[(centres < 0.46) | (centres > 1.04)].any()


def test_pitch_agrees_with_pyin():
    librosa = pytest.importorskip("librosa")
    wave = synthesize_voice("happy", speaker=2)
    ours = describe(wave)["f0_hz"]
    theirs, voiced, _ = librosa.pyin(
        np.pad(wave, (128, 1024)), fmin=62.5, fmax=750, sr=RATE, frame_length=1024,
        hop_length=160, center=False,
    )  # fmt: skip
    theirs, voiced = theirs[: len(ours)], voiced[: len(ours)]
    both = voiced & (ours > 0)
    assert both.mean() > 0.4
    assert (np.abs(ours[both] / theirs[both] - 1) > 0.2).mean() < 0.02  # gross errors


@pytest.mark.parametrize("hnr", [0, 10, 20])
def test_hnr_is_the_ratio_of_powers(hnr):
    # A tone of power 0.045 in white noise, of which counts what the pitch tracker hears: that
    # below 2.5 kHz, faded out from 1 kHz by half a cosine.
    hz = np.arange(40, 2_500)
    fade = 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - 1_000) / 1_500, 0, 1))
    share = fade.sum() / 8_000
    level = math.sqrt(0.3**2 / 2 / 10 ** (hnr / 10) / share)
    found = describe(tone(200, 3.0) + noise(3.0, level))["hnr_db"]
    assert np.median(found) == pytest.approx(hnr, abs=1.5)


# --- jitter and shimmer ------------------------------------------------------------------------


def uneven(hz, jitter, shimmer_db, seconds=3.0, seed=1):
    """Pulses, and their local jitter and shimmer (Praat's manual) from the true times, heights."""
    rng = np.random.default_rng(seed)
    at = np.arange(0.01, seconds - 0.01, 1 / hz)
    at += rng.normal(0, 1, len(at)) * jitter / hz / 1.7
    heights = 10 ** (rng.normal(0, 1, len(at)) * shimmer_db / 20)
    periods = np.diff(at)
    local = np.abs(np.diff(periods)).mean() / periods.mean()
    decibels = np.abs(20 * np.log10(heights[1:] / heights[:-1])).mean()
    return pulses(at, heights, seconds), local, decibels


@pytest.mark.parametrize("hz", [100, 200])
@pytest.mark.parametrize("jitter", [0.0, 0.005, 0.015])
def test_jitter_is_that_of_the_pulses(hz, jitter):
    wave, local, _ = uneven(hz, jitter, 0.0)
    assert describe(wave)["jitter"].mean() == pytest.approx(local, rel=0.2, abs=0.0025)


@pytest.mark.parametrize("shimmer", [0.0, 0.5, 1.5])
def test_shimmer_is_that_of_the_pulses(shimmer):
    wave, _, decibels = uneven(125, 0.0, shimmer)
    assert describe(wave)["shimmer_db"].mean() == pytest.approx(decibels, rel=0.25, abs=0.3)


# --- formants ----------------------------------------------------------------------------------

VOWELS = {  # Hz: Peterson and Barney (1952), men
    "i": (270, 2290, 3010), "a": (730, 1090, 2440), "u": (300, 870, 2240), "ae": (660, 1720, 2410),
}  # fmt: skip


@pytest.mark.parametrize("vowel", VOWELS)
@pytest.mark.parametrize("rate", RATES)
def test_formants_of_a_vowel_are_found(vowel, rate):
    truth = (*VOWELS[vowel], 3_500)
    wave = resonate(steady(110, 0.4, rate), truth, (60, 90, 120, 175), rate)
    found = describe(wave, rate)
    for n in range(3):
        middle = np.median(found[f"f{n + 1}_hz"][found["f0_hz"] > 0])
        assert middle == pytest.approx(truth[n], abs=max(60, 0.06 * truth[n]))


def test_bandwidths_grow_with_the_damping():
    narrow, wide = (
        np.median(describe(resonate(steady(100, 0.5), (700, 1_800, 2_600), (w, w, w)))["b2_hz"])
        for w in (60, 250)
    )
    assert 20 < narrow < 0.7 * wide < 350


def test_poles_are_those_of_numpy_roots():
    rng = np.random.default_rng(0)
    hz = np.sort(rng.uniform(300, 5_200, (200, 4)), axis=1)
    hz = hz[(np.diff(hz, axis=1) > 450).all(axis=1)]
    assert len(hz) > 10
    width = rng.uniform(40, 250, hz.shape)
    poles = np.exp(-np.pi * width / 11_000 + 2j * np.pi * hz / 11_000)
    taps = np.array([np.poly(np.concatenate([p, p.conj()])).real for p in poles])
    frame, found = formants._find_poles(taps[:, 1:])
    for number, row in enumerate(taps):
        roots = np.roots(row)
        roots = np.sort_complex(roots[roots.imag > 0])
        np.testing.assert_allclose(np.sort_complex(1 / found[frame == number]), roots, atol=1e-6)


def test_the_path_of_pitch_is_the_cheapest_of_all_paths():
    rng = np.random.default_rng(1)
    octaves, strengths = rng.uniform(6, 9, (7, 2)), rng.uniform(0, 1, (7, 2))
    unvoiced = rng.uniform(0.2, 0.8, 7)

    def cost(path):  # Boersma (1993), equations 26 and 27, with this file's prices
        total = 0.0
        for t, place in enumerate(path):
            total -= unvoiced[t] if place == 2 else strengths[t, place]
            before = path[t - 1] if t else place
            if 2 in (place, before):
                total += 0.14 * (place != before)
            elif t:
                total += 0.35 * abs(octaves[t, place] - octaves[t - 1, before])
        return total

    best = min(product(range(3), repeat=7), key=cost)
    assert tuple(pitch._best_path(octaves, strengths, unvoiced, 0.01)) == best


def test_running_sums_are_numpys():
    for n in (1, 15, 16, 17, 1_000):
        values = noise(1.0)[:n]
        expected = np.cumsum(np.concatenate([[0.0], values]))
        np.testing.assert_allclose(add_up(values), expected, atol=1e-12)


# --- spectrum ----------------------------------------------------------------------------------


def test_frames_are_the_same_however_many_are_measured_at_once(monkeypatch):
    wave = synthesize_voice("happy", speaker=2)
    wave += noise(len(wave) / RATE, 1e-3)
    whole = Descriptors(trim_db=None)(wave, RATE)
    monkeypatch.setattr(descriptors, "_BLOCK", 50)
    parts = Descriptors(trim_db=None)(wave, RATE)
    assert len(whole) > 100
    assert (np.abs(parts - whole) <= 2e-3 * whole.std(axis=0)).all()


def test_mel_and_mfcc_equal_librosa():
    librosa = pytest.importorskip("librosa")
    wave = noise(1.0, 0.05) + tone(700)
    found = describe(wave)
    power = librosa.feature.melspectrogram(
        y=np.pad(wave, 128), sr=RATE, n_fft=1_024, win_length=768, hop_length=160, n_mels=26,
        fmin=20.0, fmax=8_000, center=False,
    )  # fmt: skip
    mel = librosa.power_to_db(power, top_db=None)
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=21)
    n = len(found["f0_hz"])
    np.testing.assert_allclose([found[f"mel_{k:02d}_db"] for k in range(26)], mel[:, :n], atol=0.01)
    np.testing.assert_allclose([found[f"mfcc_{k:02d}"] for k in range(21)], mfcc[:, :n], atol=0.05)


def test_centroid_spread_roll_off_and_flatness_equal_librosa():
    librosa = pytest.importorskip("librosa")
    wave = noise(0.5, 0.05) + tone(700, 0.5)
    found = describe(wave)
    frames = np.lib.stride_tricks.sliding_window_view(wave, 768)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(768) / 768)
    power = np.square(np.abs(np.fft.rfft(frames * hann, 1_024))).T[1:]
    hz = np.arange(1, 513) * 15.625
    same = {"S": power, "freq": hz}
    centroid = librosa.feature.spectral_centroid(**same)[0]
    np.testing.assert_allclose(found["centroid_hz"], centroid, rtol=1e-3)
    spread = librosa.feature.spectral_bandwidth(**same, norm=True, p=2)[0]
    np.testing.assert_allclose(found["spread_hz"], spread, rtol=1e-3)
    for percent in (25, 50, 75, 90):
        roll = librosa.feature.spectral_rolloff(**same, roll_percent=percent / 100)[0]
        assert np.abs(found[f"roll_off_{percent}_hz"] - roll).max() < 4 * 15.625
    flat = librosa.feature.spectral_flatness(S=power, power=1.0)[0]
    np.testing.assert_allclose(found["flatness_db"], 10 * np.log10(flat), atol=0.01)
    share = power / power.sum(axis=0)
    entropy = -(share * np.log(share)).sum(axis=0) / np.log(512)
    np.testing.assert_allclose(found["entropy"], entropy, atol=1e-3)
    skew = (share * (hz[:, None] - centroid) ** 3).sum(axis=0) / spread**3
    np.testing.assert_allclose(found["skewness"], skew, atol=0.02)


def test_alpha_ratio_hammarberg_and_slopes_are_their_formulas():
    hz = np.arange(513) * 15.625
    level = -30 - 0.02 * hz + 10 * np.sin(hz / 200)  # dB
    level[hz <= 500] = -20 + 0.03 * hz[hz <= 500]
    power = 10 ** (level / 10)[None].astype("f4")
    found = spectral.measure_bands(power, 10 * np.log10(power), 15.625)[0]
    low = power[0, (hz >= 50) & (hz <= 1_000)].sum()
    high = power[0, (hz > 1_000) & (hz <= 5_000)].sum()
    assert found[0] == pytest.approx(10 * math.log10(high / low), abs=0.01)
    peaks = level[hz <= 2_000].max() - level[(hz > 2_000) & (hz <= 5_000)].max()
    assert found[1] == pytest.approx(peaks, abs=0.01)
    assert found[2] == pytest.approx(30.0, abs=0.05)  # dB per kHz
    middle = (hz >= 500) & (hz <= 1_500)
    line = np.polyfit(hz[middle] / 1_000, level[middle], 1)[0]
    assert found[3] == pytest.approx(line, abs=0.05)


def test_flux_is_the_distance_of_spectra_of_length_one():
    rng = np.random.default_rng(0)
    power = np.square(rng.random((3, 20))).astype("f4")
    unit = np.sqrt(power) / np.linalg.norm(np.sqrt(power), axis=1, keepdims=True)
    expected = [np.linalg.norm(b - a) for a, b in pairwise(unit)]
    np.testing.assert_allclose(spectral.measure_flux(power), expected, atol=1e-4)


def test_h1_h2_is_the_difference_of_the_first_harmonics():
    wave = tone(200, level=0.2) + tone(400, level=0.2 * 10 ** (-8 / 20))
    assert np.median(describe(wave)["h1_h2_db"]) == pytest.approx(8, abs=0.6)


def test_the_level_of_a_full_scale_sine_is_minus_3_decibels():
    np.testing.assert_allclose(describe(tone(500, level=1.0))["level_db"], -3.01, atol=0.05)


def test_twenty_decibels_more_are_four_times_as_loud_and_change_no_shape():
    wave = resonate(steady(150, 0.5), (700, 1_200), (80, 100)) * np.float32(0.1)
    wave += noise(0.5, 1e-4)
    quiet, loud = describe(wave), describe(wave * np.float32(10))
    np.testing.assert_allclose(loud["level_db"] - quiet["level_db"], 20, atol=0.01)
    np.testing.assert_allclose(loud["loudness"] / quiet["loudness"], 10**0.6, rtol=0.01)
    np.testing.assert_allclose(loud["mfcc_00"] - quiet["mfcc_00"], 20 * math.sqrt(26), rtol=0.01)
    for name in ("f0_hz", "jitter", "hnr_db", "f1_hz", "alpha_ratio_db", "centroid_hz", "mfcc_05"):
        np.testing.assert_allclose(loud[name], quiet[name], rtol=0.01, atol=0.05, err_msg=name)


def test_equal_loudness_is_hermanskys():
    # Equation 3 at 1 kHz, worked by hand: (39.5e6 + 56.8e6) * 39.5e6^2 /
    # ((39.5e6 + 6.3e6)^2 * (39.5e6 + 0.38e9)) = 0.1707.
    assert spectral.equal_loudness(np.array([1_000.0]))[0] == pytest.approx(0.1707, abs=5e-4)


def test_a_delta_is_the_slope_over_five_frames():
    found = describe(noise())
    x = found["mel_10_db"].astype(float)
    expected = (2 * (x[4:] - x[:-4]) + (x[3:-1] - x[1:-3])) / 10  # HTK Book, section 5.9
    np.testing.assert_allclose(found["delta_mel_10_db"][2:-2], expected, atol=1e-3)


def test_an_onset_is_no_jump_of_pitch():
    wave = np.concatenate([steady(150, 0.4), np.zeros(RATE // 2, "f4"), steady(150, 0.4)])
    assert np.abs(describe(wave)["delta_f0_semitones"]).max() < 0.1


# --- any recording -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["descriptors", "functionals"])
@pytest.mark.parametrize("n_samples", [0, 1, 160, 480, 767, 768, 769, 1_000])
@pytest.mark.parametrize("wave", [noise(), tone(200), np.zeros(RATE, "f4")], ids="nt0")
def test_however_short_there_is_a_row_of_numbers(name, n_samples, wave):
    for trim_db in (None, 40.0):
        extractor = create_extractor(name, trim_db=trim_db)
        rows = extractor(wave[:n_samples], RATE)
        n = 1 + max(0, n_samples - 768) // 160 if name == "descriptors" else 1
        assert rows.shape == (n, len(extractor.columns))
        assert np.isfinite(rows).all()


def test_digital_silence_has_defined_values():
    found = describe(np.zeros(RATE, "f4"))
    np.testing.assert_allclose(found["level_db"], -100, atol=1e-3)
    assert (found["entropy"] == 1).all()
    assert not found["flux"].any()
    for descriptor in DESCRIPTORS:
        if descriptor.voiced:
            assert not found[descriptor.name].any()


def test_every_sampling_rate_hears_the_same_voice():
    wave = synthesize_voice("angry", speaker=3, sample_rate=48_000)
    by_rate = {
        rate: describe(from_waveform(wave, 48_000, sample_rate=rate).waveform, rate)
        for rate in RATES
    }
    n = min(len(found["f0_hz"]) for found in by_rate.values())
    middle = by_rate[16_000]
    for name in ("f0_hz", "level_db", "centroid_hz", "mel_12_db", "hnr_db"):
        change = np.abs(by_rate[48_000][name][:n] - middle[name][:n])
        assert np.median(change) < 0.02 * np.abs(middle[name]).max(), name
    assert np.median(np.abs(by_rate[8_000]["f0_hz"][:n] - middle["f0_hz"][:n])) < 2


def test_above_f_max_nothing_counts():
    wave = (
        synthesize_voice("angry", speaker=3)
        + noise(5.0, 1e-3)[: len(synthesize_voice("angry", speaker=3))]
    )
    through = soxr.resample(soxr.resample(wave, RATE, 8_000), 8_000, RATE)[: len(wave)]

    def difference(f_max):
        extractor = Functionals(f_max=f_max)
        one, other = extractor(wave, RATE)[0], extractor(through, RATE)[0]
        names = np.array(extractor.columns)
        kept = np.char.endswith(names, "__p50") & ~np.char.startswith(names, "delta")
        return np.abs(one - other)[kept] / (np.abs(one[kept]) + 1)

    narrow, wide = difference(3_600.0), difference(8_000.0)
    assert narrow.max() < 0.02 < 0.2 < wide.max()


def test_what_is_not_loud_at_the_edges_is_cut():
    wave = np.concatenate([np.zeros(RATE, "f4"), steady(150, 0.5), np.zeros(RATE, "f4")])
    assert len(Descriptors()(wave, RATE)) == pytest.approx(50 + 20 - 4, abs=3)
    assert len(Descriptors(trim_db=None)(wave, RATE)) == 1 + (len(wave) - 768) // 160


def test_every_column_has_a_unit_and_a_source():
    assert len(set(NAMES)) == len(NAMES)
    assert all(descriptor.unit and descriptor.source for descriptor in DESCRIPTORS)
    assert Descriptors().columns == (*NAMES, *(f"delta_{name}" for name in NAMES))


@pytest.mark.parametrize("name", ["descriptors", "functionals"])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [("sample_rate", 4_000), ("f0_min", 50.0), ("f0_max", 1_100.0),
     ("trim_db", 0.0), ("trim_pad", -1.0), ("f_max", 2_000.0), ("f_max", 9_000.0),
     ("hop_dur", 0.004), ("hop_dur", 0.04)],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(name, parameter, value):
    with pytest.raises(ConfigError, match=rf": {name}: {parameter} is {value}; expect") as caught:
        create_extractor(name, **{parameter: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extractor", [Descriptors(), Functionals()])
def test_a_wrong_rate_is_refused(extractor):
    with pytest.raises(ConfigError, match="waveform at 44100 Hz; expected 16000 Hz"):
        extractor(noise(), 44_100)


# --- functionals -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def voice():
    wave = synthesize_voice("happy", speaker=2)
    frames = dict(zip(Descriptors().columns, Descriptors()(wave, RATE).T, strict=True))
    row = Functionals()(wave, RATE)
    assert row.shape == (1, len(Functionals().columns))
    assert row.dtype == np.float32
    return frames, dict(zip(Functionals().columns, row[0].tolist(), strict=True))


def test_statistics_are_numpys(voice):
    frames, row = voice
    assert len(row) == len(Functionals().columns) > 2_000  # every name once
    voiced = frames["f0_hz"] > 0
    assert 0.2 < voiced.mean() < 0.95
    for name in ("mel_07_db", "mfcc_03", "loudness", "flux"):
        x = frames[name].astype(float)
        expected = {
            "mean": x.mean(), "deviation": x.std(), "p05": np.percentile(x, 5),
            "p75": np.percentile(x, 75), "range_5_95": np.diff(np.percentile(x, [5, 95]))[0],
            "above_mean": (x > x.mean()).mean(), "rising": (np.diff(x) > 0).mean(),
            "third_1": np.array_split(x, 3)[0].mean() - x.mean(),
            "voiced_p50": np.median(x[voiced]), "unvoiced_mean": x[~voiced].mean(),
            "unvoiced_deviation": x[~voiced].std(),
        }  # fmt: skip
        for statistic, value in expected.items():
            found = row[f"{name}__{statistic}"]
            assert found == pytest.approx(value, rel=1e-3, abs=1e-3), (name, statistic)
        d = frames[f"delta_{name}"].astype(float)
        assert row[f"delta_{name}__absolute"] == pytest.approx(np.abs(d).mean(), rel=1e-3)
        assert row[f"delta_{name}__p95"] == pytest.approx(np.percentile(d, 95), abs=1e-3)


def test_what_only_a_voice_has_is_summarised_over_voiced_frames(voice):
    frames, row = voice
    voiced = frames["f0_hz"] > 0
    for name in ("f0_semitones", "f1_hz", "shimmer_db", "alpha_ratio_db"):
        x = frames[name][voiced].astype(float)
        assert row[f"{name}__voiced_mean"] == pytest.approx(x.mean(), rel=1e-3)
        assert row[f"{name}__voiced_p80"] == pytest.approx(np.percentile(x, 80), rel=1e-3)
        line = np.polyfit(np.linspace(-1, 1, len(x)), x, 1)[0]
        assert row[f"{name}__voiced_slope"] == pytest.approx(line, rel=1e-2, abs=1e-2)


def test_segments_of_speech_are_counted():
    pieces = [steady(150, 0.3), np.zeros(int(0.2 * RATE), "f4")] * 3
    row = dict(zip(Functionals().columns, Functionals()(np.concatenate(pieces), RATE)[0],
                   strict=True))  # fmt: skip
    assert row["duration_s"] == pytest.approx(1.3 + 0.1, abs=0.06)  # and 0.1 s that trimming leaves
    assert row["voiced_per_s"] * row["duration_s"] == pytest.approx(3, abs=0.01)
    assert row["voiced_mean_s"] == pytest.approx(0.3, abs=0.04)
    assert row["unvoiced_mean_s"] == pytest.approx(0.2, abs=0.04)
    assert row["loudness_peaks_per_s"] > 0


def test_a_tremor_is_in_its_band_of_modulation():
    wave = tone(500, 3.0) * (1 + 0.8 * np.sin(2 * np.pi * 4 * np.arange(3 * RATE) / RATE))
    row = dict(zip(Functionals().columns, Functionals()(wave.astype("f4"), RATE)[0], strict=True))
    bands = {hz: row[f"loudness__modulation_{hz}hz"] for hz in (1, 2, 4, 6, 8, 12, 16)}
    assert max(bands, key=lambda hz: bands[hz]) == 4


@pytest.mark.parametrize("wave", [noise(1.0), np.zeros(RATE, "f4")], ids=["noise", "silence"])
def test_a_clip_without_voice_has_zeros_where_the_voice_would_be(wave):
    extractor = Functionals()
    row = dict(zip(extractor.columns, extractor(wave, RATE)[0], strict=True))
    assert row["voiced_share"] == 0
    assert row["f0_semitones__voiced_mean"] == row["f1_hz__voiced_p50"] == 0
    assert row["voiced_longest_s"] == row["unvoiced_mean_s"] == 0


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_at_a_fixed_level_of_speech_gain_changes_the_level_alone(gain):
    extractor = Functionals(speech_db=-26.0)
    wave = 0.1 * tone(300, 1.0).astype("f4") * np.linspace(0.2, 1, RATE, dtype="f4")
    (plain,), (other,) = extractor(wave, RATE), extractor(gain * wave, RATE)
    assert extractor.columns == (*Functionals().columns, "speech_level_db")
    assert other[-1] - plain[-1] == pytest.approx(20 * np.log10(gain), abs=1e-4)
    place = extractor.columns.index("level_db__p50")
    assert other[place] == pytest.approx(plain[place], abs=1e-4)
    as_it_is = Functionals()
    moved = as_it_is(gain * wave, RATE)[0, place] - as_it_is(wave, RATE)[0, place]
    assert moved == pytest.approx(20 * np.log10(gain), abs=1e-3)


def test_pauses_do_not_count_in_the_level_of_speech():
    speech = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype("f4")  # at −3.01 dB
    padded = np.concatenate([np.zeros(RATE, "f4"), 0.01 * speech, np.zeros(2 * RATE, "f4")])
    assert functionals.measure_speech(padded, 160) == pytest.approx(-43.01, abs=0.01)
    assert functionals.measure_speech(np.zeros(RATE, "f4"), 160) == -100
    assert functionals.measure_speech(np.ones(9, "f4"), 160) == -100
    assert np.isfinite(Functionals(speech_db=-26.0)(np.zeros(RATE, "f4"), RATE)).all()


@pytest.mark.parametrize("kind", [Descriptors, Functionals])
def test_without_cycles_all_else_stays(kind):
    wave = synthesize_voice("sad", speaker=3)
    every, without = kind(), kind(cycles=False)
    left_out = [name for name in every.columns if "jitter" in name or "shimmer" in name]
    assert len(left_out) == (4 if kind is Descriptors else 56)
    assert without.columns == tuple(name for name in every.columns if name not in left_out)
    kept = [every.columns.index(name) for name in without.columns]
    assert np.array_equal(without(wave, RATE), every(wave, RATE)[:, kept])


def test_a_frame_each_20_ms_is_every_other_of_those_each_10_ms():
    wave = synthesize_voice("sad", speaker=3)
    often, seldom = Descriptors(), Descriptors(hop_dur=0.02)
    assert (often.frame_rate, seldom.frame_rate) == (100, 50)
    # Pitch is a path through frames, and flux and deltas compare neighbours: these may differ.
    alone = [n for n, name in enumerate(NAMES) if name.startswith(("level", "centroid", "mfcc"))]
    every = often(wave, RATE)[::2]
    np.testing.assert_allclose(seldom(wave, RATE)[:, alone], every[:, alone], rtol=1e-4, atol=1e-3)
    pitch = seldom(wave, RATE)[:, 0]
    both = (pitch > 0) & (every[:, 0] > 0)
    assert both.mean() > 0.9 * (every[:, 0] > 0).mean() > 0.3
    np.testing.assert_allclose(pitch[both], every[both, 0], rtol=0.02)


@pytest.mark.parametrize("hop_dur", [0.005, 0.01, 0.02, 0.03])
def test_seconds_and_times_a_second_do_not_depend_on_how_often_frames_come(hop_dur):
    seconds = np.arange(3 * RATE) / RATE
    wave = (0.3 + 0.2 * np.sin(2 * np.pi * 4 * seconds)) * tone(200, 3.0)  # four times a second
    extractor = Functionals(trim_db=None, hop_dur=hop_dur)
    row = dict(zip(extractor.columns, extractor(wave.astype("f4"), RATE)[0], strict=True))
    assert row["duration_s"] == pytest.approx(3, abs=0.06)  # but for the last window
    assert row["voiced_longest_s"] == pytest.approx(3, abs=0.06)
    assert row["loudness_peaks_per_s"] == pytest.approx(4, abs=0.4)
    assert row["loudness__peaks_per_s"] == pytest.approx(4, abs=0.4)
    bands = {hz: row[f"loudness__modulation_{hz}hz"] for hz in (1, 2, 4, 6, 8, 12, 16)}
    assert max(bands, key=bands.get) == 4


def test_correlations_are_numpys_over_voiced_frames():
    voice = synthesize_voice("happy", speaker=2)
    extractor, every = Functionals(correlations=True, speech_db=-26.0), Descriptors()
    at_level = Functionals(speech_db=-26.0)
    row, plain = extractor(voice, RATE)[0], at_level(voice, RATE)[0]
    assert extractor.columns == (*at_level.columns[:-1], *CORRELATIONS, "speech_level_db")
    assert np.array_equal(np.delete(row, slice(len(plain) - 1, -1)), plain)
    gain = 10 ** ((-26 - plain[-1]) / 20)
    frames = dict(zip(every.columns, every(voice * np.float32(gain), RATE).T, strict=True))
    voiced = frames["f0_hz"] > 0
    assert voiced.sum() > 20
    found = dict(zip(extractor.columns, row, strict=True))
    for name in ("f0_semitones__with_loudness", "mfcc_01__with_delta_mfcc_02",
                 "delta_f1_hz__with_delta_flux", "hnr_db__with_voicing",
                 "voicing__with_hnr_db"):  # fmt: skip
        first, second = name.split("__with_")
        if name not in found:  # each pair is there once
            assert f"{second}__with_{first}" in found
            continue
        share = voiced.sum() / (voiced.sum() + 6)
        expected = share * np.corrcoef(frames[first][voiced], frames[second][voiced])[0, 1]
        assert found[name] == pytest.approx(math.atanh(np.clip(expected, -0.98, 0.98)), abs=2e-3)


def test_without_three_voiced_frames_there_are_no_correlations():
    rows = np.random.default_rng(0).normal(size=(2 * len(DESCRIPTORS), 9)).astype("f4")
    rows[0] = [0, 0, 0, 120, 130, 0, 0, 0, 0]
    assert not correlate_voiced(rows).any()
    rows[0, 5] = 140
    assert correlate_voiced(rows).all()
    rows[1:] = 1  # what never changes goes with nothing
    assert not correlate_voiced(rows).any()


def test_a_level_above_full_scale_is_refused():
    with pytest.raises(ConfigError, match=r"speech_db is 3.0; expected -100 to 0"):
        Functionals(speech_db=3.0)


def test_a_frame_that_is_no_autocorrelation_has_formants_or_none_but_no_overflow():
    covariance = np.tile([1.0, -1.3, 1.1, *[0.7] * 8], (3, 1)) * np.array([[1.0], [1e-12], [0.0]])
    found, widths = formants.find_formants(covariance, 513, 15.625)
    assert np.isfinite(found).all()
    assert np.isfinite(widths).all()


def test_cycles_need_two_voiced_frames():
    f0 = np.array([0.0, 120.0, 0.0])
    jitter, shimmer = cycles.measure_cycles(noise(), RATE, f0, np.arange(3) * 0.01)
    assert not jitter.any()
    assert not shimmer.any()


def test_functionals_are_stored_a_row_a_clip(tmp_path):
    (tmp_path / "clips" / "happy").mkdir(parents=True)
    for n in range(2):
        path = tmp_path / "clips" / "happy" / f"{n}.wav"
        write_audio(path, synthesize_voice("happy", speaker=n + 1, sample_rate=8_000), 8_000)
    manifest = load_corpus("folder", tmp_path / "clips")
    extractor = create_extractor("functionals")
    assert extract_features(manifest, extractor, tmp_path / "store", workers=0).ok
    with FeatureStore(tmp_path / "store") as store:
        rows = [store.get("functionals", clip.content_key) for clip in manifest]
        assert store.record("functionals")["trim_db"] == 40.0
    assert [row.shape for row in rows] == [(1, len(extractor.columns))] * 2
    assert not np.array_equal(*rows)
