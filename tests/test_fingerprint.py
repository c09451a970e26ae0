"""Fingerprints: copies of a recording are found, other takes of its sentence are not."""

import struct

import numpy as np
import pytest
import soxr

from affectus import fingerprint as fingerprint_module
from affectus.errors import StoreError
from affectus.fingerprint import find_near_identical, fingerprint
from affectus.media import read_audio
from affectus.synthesis import synthesize_voice
from tests.making import RATE, encode, encode_av, tone

EMOTIONS = ("neutral", "happy", "angry", "sad")


@pytest.fixture(scope="module")
def voices():
    """Takes of two speakers, two sentences, four emotions, twice each: 32 waveforms by name."""
    return {
        f"{speaker} {sentence} {emotion} {repetition}": synthesize_voice(
            emotion, speaker=speaker, sentence=sentence, repetition=repetition
        )
        for speaker in (1, 2)
        for sentence in (0, 1)
        for emotion in EMOTIONS
        for repetition in (1, 2)
    }


@pytest.fixture(scope="module")
def taken(voices):
    return {name: fingerprint(wave, RATE) for name, wave in voices.items()}


def through(container, subtype, rate=RATE):
    def change(wave):
        data = encode(soxr.resample(wave, RATE, rate), container, subtype, rate)
        return read_audio(data).waveform

    return change


def coded(codec, container, bits):
    """Through FFmpeg's encoder, at so many bits a second."""
    return lambda wave: read_audio(encode_av(wave, container, codec, bit_rate=bits)).waveform


def noisy(wave, decibels=20.0):
    """White noise so many dB below the mean power of the clip."""
    noise = np.random.default_rng(len(wave)).standard_normal(len(wave), np.float32)
    return wave + noise * np.float32(np.sqrt(np.mean(wave**2) / 10 ** (decibels / 10)))


def back_and_forth(rate):
    return lambda wave: soxr.resample(soxr.resample(wave, RATE, rate), rate, RATE)


COPIES = {
    "48 kHz and back": back_and_forth(48_000),
    "22.05 kHz and back": back_and_forth(22_050),
    "8 kHz and back": back_and_forth(8_000),
    "mp3": coded("libmp3lame", "mp3", 64_000),
    "opus": coded("libopus", "ogg", 16_000),
    "aac in mp4": coded("aac", "mp4", 48_000),
    "vorbis": through("OGG", "VORBIS"),
    "24 bits": through("WAV", "PCM_24"),
    "16 bits": through("WAV", "PCM_16"),
    "telephone": through("WAV", "ULAW", 8_000),
    "louder": lambda wave: wave * np.float32(4),
    "softer": lambda wave: wave * np.float32(0.1),
    "other polarity": lambda wave: -wave,
    "50 ms later": lambda wave: np.pad(wave, (800, 0)),
    "37 samples later": lambda wave: np.pad(wave, (37, 0)),
    "long silence around": lambda wave: np.pad(wave, (3 * RATE, RATE)),
    "cut at both ends": lambda wave: wave[RATE // 10 : -RATE // 10],
    "offset": lambda wave: wave + np.float32(0.1),
    "noise": noisy,
    "all at once": lambda wave: through("OGG", "VORBIS")(
        0.5 * noisy(back_and_forth(8_000)(wave))[RATE // 20 :]
    ),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_and_nothing_else(voices, taken, change):
    originals = list(voices)[::5]
    copies = {f"copy of {name}": fingerprint(COPIES[change](voices[name]), RATE)
              for name in originals}  # fmt: skip
    found = find_near_identical({**taken, **copies})
    assert {pair[:2] for pair in found} == {(name, f"copy of {name}") for name in originals}


def test_other_takes_of_a_sentence_by_its_speaker_are_not_copies(taken):
    assert find_near_identical(taken) == []
    assert all(similarity < 0.5 for _, _, similarity in find_near_identical(taken, 0.0))


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_the_sample_rate_does_not_matter(voices, taken, rate):
    name = "1 0 neutral 1"
    other = fingerprint(soxr.resample(voices[name], RATE, rate), rate)
    ((one, two, similarity),) = find_near_identical({**taken, "other rate": other})
    assert (one, two) == (name, "other rate")
    assert similarity > 0.8


def test_the_same_sound_has_the_same_bytes_at_any_level(voices, taken):
    for name, wave in voices.items():
        assert fingerprint(wave, RATE) == taken[name]
        assert fingerprint(wave / 4, RATE) == taken[name]  # a power of two rounds nothing
        assert fingerprint(wave.astype(np.float64), RATE) == taken[name]


def test_a_fingerprint_is_small_however_long_the_clip(voices):
    long = np.concatenate([*voices.values()])
    assert len(long) > 50 * RATE
    assert 1_000 < len(fingerprint(long, RATE)) <= 1_005
    assert all(len(fingerprint(wave, RATE)) < 700 for wave in voices.values())


def test_a_long_recording_is_found_by_its_middle(voices, taken):
    long = np.concatenate(list(voices.values())[:6])
    prints = {"long": fingerprint(long, RATE), "copy": fingerprint(noisy(long), RATE)}
    assert [pair[:2] for pair in find_near_identical({**taken, **prints})] == [("copy", "long")]


NOTHING = {
    "no samples": np.zeros(0, "f4"),
    "one sample": np.ones(1, "f4"),
    "digital silence": np.zeros(RATE, "f4"),
    "a constant": np.full(RATE, 0.3, "f4"),
    "dither": np.random.default_rng(0).integers(-1, 2, RATE).astype("f4") / 32_768,
    "0.1 s of a tone": tone(0.1),
}


@pytest.mark.parametrize("what", NOTHING)
def test_silence_and_very_short_clips_have_no_fingerprint(what):
    assert fingerprint(NOTHING[what], RATE) == b""


def test_what_has_no_fingerprint_is_like_nothing(taken):
    assert find_near_identical({"one": b"", "other": b"", **taken}) == []
    assert find_near_identical({}) == []
    assert find_near_identical({"alone": next(iter(taken.values()))}) == []


def test_quiet_rooms_are_not_copies_of_one_another():
    # Noise is each time another; mains hum is the same in all rooms, and repeats itself.
    time = np.arange(3 * RATE) / RATE
    prints = {}
    for number in range(8):
        rng = np.random.default_rng(number)
        noise = 1e-3 * rng.standard_normal(len(time))
        hum = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) / k for k in range(1, 13))
        prints[f"noise {number}"] = fingerprint(noise.astype("f4"), RATE)
        prints[f"hum {number}"] = fingerprint((1e-2 * hum + 0.1 * noise).astype("f4"), RATE)
        prints[f"tone {number}"] = fingerprint(np.roll(tone(3.0), number), RATE)
    assert all(prints.values())
    assert find_near_identical(prints) == []


def test_identical_clips_have_a_similarity_of_one_and_come_first(voices, taken):
    name = "2 1 angry 2"
    found = find_near_identical(
        {**taken, "noisy": fingerprint(noisy(voices[name]), RATE), "same": taken[name]}
    )
    assert found[0] == (name, "same", pytest.approx(1, abs=1e-5))
    assert [pair[:2] for pair in found[1:]] == [(name, "noisy"), ("noisy", "same")]
    assert 1 > found[1][2] == pytest.approx(found[2][2])


def write_out(trits, first):
    """A fingerprint of these values -1, 0, 1, the first at this place beside the middle."""
    packed = (trits + 1).reshape(-1, 5) @ [1, 3, 9, 27, 81]
    return bytes([1]) + struct.pack("<Hh", 500, first) + bytes(packed.tolist())


@pytest.mark.parametrize("shift", [0, 60, -60])
def test_similarity_is_the_cosine_of_two_sketches(shift):
    # Of 2,000 values up or down the copy has three quarters: the cosine is sqrt(3/4).
    trits = np.random.default_rng(0).choice([-1, 1], 2_000)
    copy = np.where(np.arange(2_000) % 4 < 3, trits, 0)
    prints = {"one": write_out(trits, -1_000), "two": write_out(-copy, -1_000 + shift)}
    assert find_near_identical(prints) == [("one", "two", pytest.approx(np.sqrt(3 / 4), abs=1e-4))]


def test_the_order_and_the_size_of_blocks_do_not_matter(voices, taken, monkeypatch):
    prints = {
        **taken,
        **{f"copy of {n}": fingerprint(noisy(w), RATE) for n, w in list(voices.items())[::3]},
    }
    expected = find_near_identical(prints, 0.2)
    assert len(expected) > len(prints) / 5
    monkeypatch.setattr(fingerprint_module, "_ROWS", 3)
    monkeypatch.setattr(fingerprint_module, "_COLUMNS", 5)
    monkeypatch.setattr(fingerprint_module, "_PAIRS", 2)
    found = find_near_identical(dict(reversed(prints.items())), 0.2)
    assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
    assert [pair[2] for pair in found] == pytest.approx([pair[2] for pair in expected], abs=1e-5)


def test_a_fingerprint_of_another_form_is_refused(taken):
    with pytest.raises(StoreError) as caught:
        find_near_identical({"new": b"\x07abcdef", **taken})
    assert str(caught.value) == (
        "StoreError: fingerprint of 'new': form 7; expected 1. Extract it again."
    )


# --- many, and again ---


def pairs_of(found):
    return {pair[:2] for pair in found}


def test_what_is_known_is_compared_with_what_is_new_alone(taken):
    copies = {f"copy of {name}": item for name, item in list(taken.items())[:6]}
    everything = {**taken, **copies}
    whole = pairs_of(find_near_identical(everything))
    assert len(whole) >= 6
    for known in (set(taken), set(copies), set(list(everything)[::2]), set(everything)):
        before = pairs_of(find_near_identical({name: everything[name] for name in known}))
        new = pairs_of(find_near_identical(everything, known=known))
        assert before | new == whole
        assert not before & new


def test_many_are_compared_along_few_directions_with_the_same_result(voices, taken, monkeypatch):
    noise = {f"noisy {name}": fingerprint(noisy(wave), RATE) for name, wave in voices.items()}
    expected = find_near_identical({**taken, **noise})
    assert len(expected) >= len(taken)
    monkeypatch.setattr(fingerprint_module, "_SAMPLE", 8)
    for n_axes in (2, 5, 100):
        monkeypatch.setattr(fingerprint_module, "_AXES", n_axes)
        assert find_near_identical({**taken, **noise}) == expected


def test_a_shortened_product_is_never_below_the_whole_one():
    # The inequality of Cauchy and Schwarz, for what the directions leave out.
    rng = np.random.default_rng(0)
    outlines = rng.normal(size=(60, 64, 15)).astype("f4")
    outlines[30:] = 0.8 * outlines[:30] + 0.2 * outlines[30:]  # some that are alike
    outlines /= np.sqrt(np.square(outlines).sum(axis=(1, 2), keepdims=True))
    axes = np.linalg.qr(rng.normal(size=(960, 40)))[0].astype("f4")
    short = fingerprint_module._shorten(outlines, axes)
    assert short.shape == (60, 41)
    whole = outlines.reshape(60, -1)
    assert (short @ short.T - whole @ whole.T).min() > -1e-5
