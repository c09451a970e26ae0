"""The decode gate: good recordings of any kind, and bad ones refused in one line with a code."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from making import (
    LFS_POINTER,
    NOT_AUDIO,
    RATE,
    encode,
    encode_av,
    flac,
    mp4_of_other_file,
    playlists,
    speech_like,
    tone,
    wav,
)

from affectus import media
from affectus.errors import CorpusError, LimitError, MediaError
from affectus.media import (
    AUDIO_ENDINGS,
    Limits,
    decoder_version,
    from_waveform,
    list_media,
    read_audio,
    write_audio,
)


def refusal(source, **options):
    """The error that a recording is refused with; always one line."""
    with pytest.raises(MediaError) as caught:
        read_audio(source, **({"name": "talk.wav"} | options))
    assert str(caught.value).isprintable()
    return caught.value


def codes(recording):
    return [warning.code for warning in recording.warnings]


# --- every container ---------------------------------------------------------------------------

CONTAINERS = {
    "wav": ("wav", lambda x, r: encode(x, "WAV", "PCM_16", r), 0.999),
    "wav 24 bits": ("wav", lambda x, r: encode(x, "WAV", "PCM_24", r), 0.999),
    "wav float": ("wav", lambda x, r: encode(x, "WAV", "FLOAT", r), 0.999),
    "wav extensible": ("wav", lambda x, r: encode(x, "WAVEX", "PCM_16", r), 0.999),
    "wav a-law": ("wav", lambda x, r: encode(x, "WAV", "ALAW", r), 0.99),
    "wav adpcm": ("wav", lambda x, r: encode(x, "WAV", "IMA_ADPCM", r), 0.99),
    "flac": ("flac", lambda x, r: encode(x, "FLAC", "PCM_16", r), 0.999),
    "ogg vorbis": ("ogg", lambda x, r: encode(x, "OGG", "VORBIS", r), 0.9),
    "ogg opus": ("ogg", lambda x, r: encode(x, "OGG", "OPUS", r), 0.9),
    "mp3": ("mp3", lambda x, r: encode(x, "MP3", "MPEG_LAYER_III", r), 0.9),
    "aiff": ("aiff", lambda x, r: encode(x, "AIFF", "PCM_16", r), 0.999),
    "au": ("au", lambda x, r: encode(x, "AU", "PCM_16", r), 0.999),
    "caf": ("caf", lambda x, r: encode(x, "CAF", "PCM_16", r), 0.999),
    "w64": ("w64", lambda x, r: encode(x, "W64", "PCM_16", r), 0.999),
    "rf64": ("rf64", lambda x, r: encode(x, "RF64", "PCM_16", r), 0.999),
    "mp4": ("mp4", lambda x, r: encode_av(x, "mp4", "aac", rate=r), 0.9),
    "mp4 with picture": ("mp4", lambda x, r: encode_av(x, "mp4", "aac", rate=r, picture=True), 0.9),
    "mp4 in fragments, as Safari's": (
        "mp4",
        lambda x, r: encode_av(x, "mp4", "aac", rate=r, movflags="frag_keyframe+empty_moov"),
        0.9,
    ),
    "m4a": ("mp4", lambda x, r: encode_av(x, "ipod", "aac", rate=r), 0.9),
    "m4a lossless": ("mp4", lambda x, r: encode_av(x, "ipod", "alac", rate=r), 0.999),
    "mov": ("mp4", lambda x, r: encode_av(x, "mov", "pcm_s16le", rate=r), 0.999),
    "webm": ("matroska", lambda x, r: encode_av(x, "webm", "libopus", rate=48_000), 0.9),
    "webm without length, as Chrome's": (
        "matroska",
        lambda x, r: encode_av(x, "webm", "libopus", rate=48_000, live="1"),
        0.9,
    ),
    "mkv": ("matroska", lambda x, r: encode_av(x, "matroska", "pcm_s16le", rate=r), 0.999),
    "flv": ("flv", lambda x, r: encode_av(x, "flv", "aac", rate=r), 0.9),
    "flv mp3": ("flv", lambda x, r: encode_av(x, "flv", "libmp3lame", rate=r), 0.9),
    "avi": ("avi", lambda x, r: encode_av(x, "avi", "pcm_s16le", rate=r), 0.999),
    "aac": ("aac", lambda x, r: encode_av(x, "adts", "aac", rate=r), 0.9),
    "amr": (
        "amr",
        lambda x, r: encode_av(x, "amr", "libopencore_amrnb", rate=r, bit_rate=12_200),
        0.45,  # a vocoder: it keeps the spectrum, not the phase
    ),
}
RATES = {"webm": 48_000, "webm without length, as Chrome's": 48_000, "amr": 8_000, "flv": 44_100,
         "flv mp3": 44_100}  # fmt: skip


def likeness(ours, original):
    """The largest correlation over shifts of up to 0.2 s: codecs delay, and pad the end."""
    n = 1 << (len(ours) + len(original)).bit_length()
    spectrum = np.fft.rfft(ours, n) * np.conj(np.fft.rfft(original, n))
    correlation = np.fft.irfft(spectrum, n)
    shifts = np.r_[0 : RATE // 5, -RATE // 5 : 0]
    return correlation[shifts].max() / np.linalg.norm(ours) / np.linalg.norm(original)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_gives_about_the_same_sound(kind):
    name, make, likely = CONTAINERS[kind]
    rate = RATES.get(kind, RATE)
    original = speech_like(1.5, rate)
    expected = read_audio(encode(original, "WAV", "FLOAT", rate)).waveform
    found = read_audio(make(original, rate))
    assert (found.container, found.source_rate, found.n_channels) == (name, rate, 1)
    assert found.sample_rate == RATE
    assert found.waveform.dtype == np.float32
    assert found.duration == pytest.approx(1.5, abs=0.15)
    assert likeness(found.waveform, expected) > likely
    assert codes(found) == (["W1105"] if rate < RATE else [])


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("wav", "pcm_16"), ("wav float", "float"), ("flac", "pcm_16"), ("ogg vorbis", "vorbis"),
        ("mp3", "mpeg_layer_iii"), ("m4a", "aac"), ("m4a lossless", "alac"), ("webm", "opus"),
    ],
)  # fmt: skip
def test_the_codec_of_the_file_is_told(kind, codec):
    rate = RATES.get(kind, RATE)
    assert read_audio(CONTAINERS[kind][1](speech_like(0.5, rate), rate)).codec == codec


def test_the_likeness_of_other_sound_is_small():
    assert likeness(speech_like(1.5)[::-1], speech_like(1.5)) < 0.3


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".mp4", ".raw", ".txt", ""])
@pytest.mark.parametrize("kind", ["wav", "flac", "mp4"])
def test_content_decides_and_not_the_ending(make_file, kind, ending):
    container, make, _ = CONTAINERS[kind]
    path = make_file(f"talk{ending}", make(speech_like(1.0), RATE))
    assert read_audio(path).container == container


def test_a_path_a_text_and_bytes_give_the_same(make_file):
    data = encode(speech_like(1.0), "FLAC")
    path = make_file("talk.flac", data)
    first, second, third = read_audio(path), read_audio(str(path)), read_audio(data)
    np.testing.assert_array_equal(first.waveform, second.waveform)
    np.testing.assert_array_equal(first.waveform, third.waveform)


def test_samples_are_those_that_were_written():
    # 16 bits: sample / 32768, by the WAV format.
    values = np.array([0, 1, -1, 16_384, -32_768, 32_767] * 500, "<i2")
    waveform = read_audio(wav(values.tobytes())).waveform
    np.testing.assert_array_equal(waveform, values / np.float32(32_768))


@pytest.mark.parametrize("kind", ["wav", "flac", "caf"])
def test_mono_is_the_mean_of_the_channels(kind):
    left, right = tone(pitch=300, level=0.6), tone(pitch=500, level=0.2)
    data = encode(np.stack([left, right], axis=1), kind.upper(), "PCM_24")
    found = read_audio(data)
    assert found.n_channels == 2
    np.testing.assert_allclose(found.waveform, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize(("container", "codec"), [("mov", "pcm_s16le"), ("mp4", "aac")])
@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1"])
def test_mono_is_the_mean_of_the_channels_of_a_video_too(container, codec, layout):
    # Eight channels: PyAV 18.1 crashes the process when it takes them as planes.
    n_channels = {"stereo": 2, "5.1": 6, "7.1": 8}[layout]
    levels = np.linspace(0.1, 0.8, n_channels, dtype="f4")
    waveform = tone(pitch=300, level=1.0, rate=48_000)[:, None] * levels
    found = read_audio(encode_av(waveform, container, codec, rate=48_000, layout=layout))
    assert found.n_channels == n_channels
    middle = found.waveform[4_000:12_000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(levels.mean() / np.sqrt(2), rel=0.2)
    if codec == "pcm_s16le":
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(levels.mean() / np.sqrt(2), rel=0.01)


def test_a_title_in_other_letters_does_no_harm():
    data = encode_av(speech_like(1.0), "mp4", "aac", title="cafe")
    assert data.count(b"cafe") == 1
    assert read_audio(data.replace(b"cafe", b"caf\xe9")).duration > 0.9


def test_decoders_are_named_with_their_versions():
    assert decoder_version() == (
        f"libsndfile {soundfile.__libsndfile_version__}, PyAV {version('av')}, "
        f"soxr {version('soxr')}"
    )


def test_writing_and_reading_keep_sixteen_bits(tmp_path):
    waveform = speech_like(1.0)
    for name in ("a.wav", "a.flac"):
        write_audio(tmp_path / name, waveform)
        np.testing.assert_allclose(read_audio(tmp_path / name).waveform, waveform, atol=1 / 32_768)
    write_audio(tmp_path / "b.wav", waveform, 8_000)
    assert read_audio(tmp_path / "b.wav").source_rate == 8_000


# --- resampling --------------------------------------------------------------------------------


def pitch_of(waveform, rate):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * rate / len(waveform)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("pitch", [100.0, 440.0, 3_000.0])
def test_resampling_keeps_a_tone_at_its_pitch_and_level(rate, pitch):
    found = read_audio(encode(tone(2.0, pitch, rate), "WAV", "FLOAT", rate))
    assert (found.sample_rate, found.source_rate) == (RATE, rate)
    assert found.duration == pytest.approx(2.0, abs=1e-3)
    assert pitch_of(found.waveform, RATE) == pytest.approx(pitch, abs=1.0)
    middle = found.waveform[RATE // 2 : 3 * RATE // 2]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_resampling_does_not_fold_high_tones_down():
    # 10 kHz cannot be held at 16 kHz; badly resampled, it would appear at 6 kHz.
    found = read_audio(encode(tone(1.0, 10_000.0, 48_000), "WAV", "FLOAT", 48_000))
    assert np.abs(found.waveform[1_000:-1_000]).max() < 0.5 * 10 ** (-60 / 20)


def test_the_rate_can_be_chosen_and_left_as_it_is():
    data = encode(tone(1.0, 440.0, 22_050), rate=22_050)
    assert read_audio(data, sample_rate=8_000).sample_rate == 8_000
    kept = read_audio(data, sample_rate=None)
    assert kept.sample_rate == kept.source_rate == 22_050
    assert len(kept.waveform) == 22_050


# --- stretches ---------------------------------------------------------------------------------

STRETCHES = [(0.0, 0.5), (0.25, 1.0), (0.5, None), (1.2, 99.0), (0.123, 0.789), (1.0, float("inf"))]


@pytest.mark.parametrize(("start", "end"), STRETCHES)
@pytest.mark.parametrize("kind", ["wav", "flac", "mp4", "mov", "avi"])
def test_a_stretch_is_cut_from_the_whole(kind, start, end):
    _, make, _ = CONTAINERS[kind]
    data = make(speech_like(1.5), RATE)
    whole = read_audio(data).waveform
    last = None if end in (None, float("inf")) else int(end * RATE)
    stretch = read_audio(data, start=start, end=end).waveform
    np.testing.assert_array_equal(stretch, whole[int(start * RATE) : last])


@pytest.mark.parametrize("kind", ["ogg vorbis", "ogg opus", "mp3"])
def test_a_stretch_of_lossy_sound_is_about_that_of_the_whole(kind):
    data = CONTAINERS[kind][1](speech_like(2.0), RATE)
    whole = read_audio(data).waveform
    stretch = read_audio(data, start=0.5, end=1.5).waveform
    assert len(stretch) == RATE
    assert likeness(stretch, whole[RATE // 2 : 3 * RATE // 2]) > 0.95


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "mp4", "webm"])
def test_a_stretch_beyond_the_end_is_refused(kind):
    data = CONTAINERS[kind][1](speech_like(1.5, RATES.get(kind, RATE)), RATE)
    error = refusal(data, start=7.0)
    assert error.code == "E1203"
    assert error.text.startswith("starts at 7 s but lasts 1.5")
    assert error.text.endswith(" s; expected a start before its end.")


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (-1.0, None, "from -1 s to its end"),
        (1.0, 0.5, "from 1 s to 0.5 s"),
        (1.0, 1.0, "from 1 s to 1 s"),
        (float("nan"), None, "from nan s"),
        (float("inf"), None, "from inf s"),
        (0.0, float("nan"), "from 0 s to nan s"),
    ],
)
def test_what_is_no_stretch_is_refused(start, end, found):
    error = refusal(wav(), start=start, end=end)
    assert error.code == "E1203"
    assert found in error.text
    assert error.text.endswith("expected 0 or more, and an end after the start.")


# --- limits ------------------------------------------------------------------------------------

SECOND = {"wav": wav(), "flac": encode(tone(), "FLAC"), "mp4": encode_av(tone(), "mp4", "aac")}


@pytest.mark.parametrize("kind", SECOND)
@pytest.mark.parametrize(
    ("limits", "code", "words"),
    [
        (Limits(max_seconds=0.5), "E1502", "x 1 channels; the limit is 0 s and 536,870,912 bytes. "
         "Cut it, or raise --max-seconds."),
        (Limits(max_decoded_bytes=40_000), "E1502", "the limit is 600 s and 40,000 bytes."),
        (Limits(max_bytes=1_000), "E1501", " bytes; the limit is 1,000. Cut the recording."),
        (Limits(min_seconds=3), "E1201", " s; expected at least 3 s. Give a longer recording."),
        (Limits(min_rate=22_050), "E1104", "the header says 16,000 Hz; expected 22,050 to 192,000"),
        (Limits(max_rate=8_000), "E1104", "the header says 16,000 Hz; expected 4,000 to 8,000 Hz."),
        (Limits(max_channels=0), "E1107", "1 channels; expected 1 to 0. Mix it down."),
    ],
)  # fmt: skip
def test_every_limit_holds_on_every_path(make_file, kind, limits, code, words):
    for source in (SECOND[kind], make_file("talk", SECOND[kind])):
        error = refusal(source, limits=limits)
        assert error.code == code
        assert words in error.text
        assert isinstance(error, LimitError) == (code in ("E1501", "E1502"))
        assert error.exit_code == (4 if code in ("E1501", "E1502") else 2)


@pytest.mark.parametrize("kind", SECOND)
def test_just_within_the_limits_is_fine(kind):
    size = len(SECOND[kind])
    n_frames = len(read_audio(SECOND[kind]).waveform)
    limits = Limits(
        min_seconds=n_frames / RATE, max_seconds=n_frames / RATE, max_channels=1, min_rate=RATE,
        max_rate=RATE, max_bytes=size, max_decoded_bytes=n_frames * 4,
    )  # fmt: skip
    assert len(read_audio(SECOND[kind], limits=limits).waveform) == n_frames


@pytest.mark.parametrize("kind", ["wav", "flac", "mp4", "webm"])
def test_a_short_stretch_of_a_long_recording_is_within_the_limits(kind):
    data = CONTAINERS[kind][1](tone(3.0, rate=RATES.get(kind, RATE)), RATE)
    limits = Limits(max_seconds=1.5)
    assert refusal(data, limits=limits).code == "E1502"
    assert read_audio(data, start=1.0, end=2.0, limits=limits).duration == pytest.approx(1.0)
    assert 0.9 < read_audio(data, start=2.0, limits=limits).duration < 1.2


# Source: reliability.md, D1: 9 and 99 ms are too short, 100 ms are not.
def test_a_tenth_of_a_second_is_enough_and_less_is_not():
    assert read_audio(wav(b"\1\0" * 1_600)).duration == 0.1
    for n, shown in ((1_584, "0.099"), (144, "0.009"), (1, "0.000")):
        error = refusal(wav(b"\1\0" * n))
        assert str(error) == (
            f"MediaError E1201 'talk.wav': lasts {shown} s; expected at least 0.1 s. "
            f"Give a longer recording."
        )


# --- what is no recording ----------------------------------------------------------------------


@pytest.mark.parametrize("found", NOT_AUDIO)
def test_what_is_not_audio_is_named(found):
    error = refusal(NOT_AUDIO[found])
    assert error.code == "E1002"
    assert error.text.startswith(f"not audio: {found}")
    remedy = " Unpack it." if found in ("a zip archive", "a gzip archive") else ""
    assert error.text.endswith(
        f"; expected wav, flac, ogg, mp3, m4a, mp4, webm or the like.{remedy}"
    )


def test_a_git_lfs_pointer_says_what_to_run():
    error = refusal(LFS_POINTER)
    assert error.code == "E1006"
    assert error.text == (
        "a Git LFS pointer; expected the recording that it stands for. Run: git lfs pull"
    )


@pytest.mark.parametrize("head", [b"R", b"RIFF", b"RIFF\0\0\0\0XXXX", b"\xff", b"\xff\xff\xff\xff"])
def test_a_few_bytes_are_not_audio(head):
    assert refusal(head).code == "E1002"


def test_random_bytes_are_refused():
    rng = np.random.default_rng(1)
    found = {refusal(rng.bytes(5_000)).code for _ in range(200)}
    assert found <= {"E1002", "E1402"}
    assert "E1002" in found


def test_nothing_is_named():
    assert str(refusal(b"")) == (
        "MediaError E1001 'talk.wav': the file is empty; expected sound. Copy it again."
    )


def test_what_cannot_be_opened_is_named(tmp_path, make_file):
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    for path, found in (
        (tmp_path / "gone.wav", "no such file or directory"),
        (tmp_path, "a folder"),
        (fifo, "not a regular file"),
        (make_file("a.wav") / "b.wav", "not a directory"),
        (tmp_path / ("x" * 300), "file name too long"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        error = refusal(path, name=None)
        assert str(error) == (
            f"MediaError E1000 '{path}': {found}; expected a recording. Check the path."
        )
    assert refusal("a\0b.wav", name=None).code == "E1000"


def test_an_address_is_not_fetched():
    for name in (
        "http://127.0.0.1:9/a.wav",
        "data:audio/wav;base64,UklGRg==",
        "concat:a.wav|b.wav",
    ):
        assert refusal(name, name=None).code == "E1000"


# --- WAV headers that lie ----------------------------------------------------------------------


# Source: reliability.md, part D1, with its names.
@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        pytest.param(wav(no_data=True), "E1003", "a wav header without data; expected sound.",
                     id="wav_header_no_data"),
        pytest.param(wav(b""), "E1004", "no samples; expected sound. Record it again.",
                     id="wav_zero_frames"),
        pytest.param(wav(data_length=0), "E1004", "no samples", id="wav_len_zero_with_data"),
        pytest.param(wav(rate=0), "E1104", "Expected 4,000 to 192,000 Hz.", id="wav_rate_0"),
        pytest.param(wav(rate=2**31), "E1104", "Expected 4,000 to 192,000 Hz.", id="wav_rate_2g"),
        pytest.param(wav(rate=2**32 - 1), "E1104", "Expected 4,000 to", id="wav_rate_4g"),
        pytest.param(wav(rate=1), "E1104", "the header says 1 Hz; expected 4,000 to 192,000 Hz. "
                     "Export it again.", id="wav_rate_1"),
        pytest.param(wav(rate=655_350), "E1104", "the header says 655,350 Hz; expected 4,000 to "
                     "192,000 Hz. Export it again.", id="wav_rate_655350"),
        pytest.param(wav(n_channels=0), "E1107", "Channel count is zero. Expected 1 to 8 channels.",
                     id="wav_ch_0"),
        pytest.param(wav(bytes(9 * 3_200), n_channels=9), "E1107", "9 channels; expected 1 to 8. "
                     "Mix it down.", id="wav_ch_9"),
        pytest.param(wav(bytes(255 * 3_200), n_channels=255), "E1107", "255 channels; expected 1",
                     id="wav_ch_255"),
        pytest.param(wav(bytes(1_024 * 3_200), n_channels=1_024), "E1107", "1,024 channels; "
                     "expected 1 to 8. Mix it down.", id="wav_ch_1024"),
        pytest.param(wav(n_channels=1_025), "E1107", "Expected 1 to 8 channels.", id="wav_ch_1025"),
        pytest.param(wav(n_channels=65_535), "E1107", "Expected 1 to 8 chan", id="wav_ch_65535"),
        pytest.param(wav(bits=0), "E1108", "0 bits a sample; expected 8, 16, 24 or 32. Export it "
                     "again.", id="wav_bits_0"),
        pytest.param(wav(bits=13), "E1108", "13 bits a sample; expected 8, 16", id="wav_bits_13"),
        pytest.param(wav(codec=0x9999), "E1109", "its codec cannot be read; expected PCM or the",
                     id="wav_fmt_unknown"),
        pytest.param(wav() + wav(), "E1110", "two recordings glued; expected one. Save them",
                     id="wav_two_glued"),
    ],
)  # fmt: skip
def test_a_wav_header_that_cannot_be_is_refused(make_file, data, code, words):
    # In a folder whose name must not be taken for libsndfile's reason.
    path = make_file("no data chunk/channel sample rate.wav", data)
    for error in (refusal(data), refusal(path)):
        assert error.code == code
        assert words in error.text
        assert "object at" not in error.text
        assert str(path) not in error.text


@pytest.mark.parametrize(
    ("data", "warned"),
    [
        pytest.param(wav()[:16_000], ["W1101"], id="wav_trunc_half"),
        pytest.param(wav()[:-1], ["W1101"], id="wav_trunc_mid_sample"),
        pytest.param(wav(data_length=10**9), ["W1101"], id="wav_len_too_long"),
        pytest.param(wav(data_length=10**9, riff_length=10**9 + 36), ["W1101"], id="both_too_long"),
        pytest.param(
            wav(data_length=2**32 - 1, riff_length=2**32 - 1), ["W1102"], id="wav_len_ffffffff"
        ),
        pytest.param(wav(riff_length=0), [], id="riff_length_0"),
        pytest.param(wav(riff_length=len(wav())), [], id="riff_length_8_too_long"),
        pytest.param(wav(rate=44_101), [], id="wav_rate_44101"),
        pytest.param(wav(rate=8_000), ["W1105"], id="wav_rate_8000"),
        pytest.param(wav() + b"PK\x03\x04" + bytes(500), [], id="wav_trailing_zip"),
        pytest.param(wav(after=b"_PMX\4\0\0\0<x/>"), [], id="wav_trailing_xmp"),
        pytest.param(wav(before=b"LIST\4\0\0\0INFO" * 50), [], id="chunks_before"),
        pytest.param(b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + wav(), [], id="wav_id3_prefix"),
        pytest.param(wav(bytes([128, 200] * 8_000), bits=8), ["W1305"], id="wav_8_bits"),
    ],
)
def test_an_odd_wav_is_read_with_what_is_to_be_said_of_it(data, warned):
    found = read_audio(data)
    assert codes(found) == warned
    assert found.duration > 0.35


def test_a_truncated_recording_says_how_much_is_there():
    found = read_audio(wav()[:16_044])
    assert found.warnings[0].text == (
        "cut off: 16,044 of 32,044 bytes; the answer is for what is there"
    )
    assert found.duration == 0.5


@pytest.mark.parametrize(
    "kind", ["aiff", "au", "w64", "rf64", "wav adpcm", "wav extensible", "mp3"]
)
def test_other_truncated_recordings_are_noticed_too(kind):
    data = CONTAINERS[kind][1](speech_like(1.5), RATE)
    assert codes(read_audio(data)) == []
    assert codes(read_audio(data[: len(data) // 2])) == ["W1101"]


@pytest.mark.parametrize("kind", ["webm", "flv mp3"])
def test_sound_that_ends_before_its_container_says_is_noticed(kind):
    data = CONTAINERS[kind][1](speech_like(1.5, RATES.get(kind, RATE)), RATES.get(kind, RATE))
    assert codes(read_audio(data)) == []
    assert codes(read_audio(data[: len(data) // 2])) == ["W1101"]


@pytest.mark.parametrize(
    ("name", "container", "warned"),
    [
        ("talk.wav", "WAV", []),
        ("talk.WAV", "WAV", []),
        ("talk.flac", "WAV", ["W1401"]),
        ("talk.wav", "FLAC", ["W1401"]),
        ("talk", "FLAC", []),
        ("talk.final", "FLAC", []),
        ("talk.oga", "OGG", []),
    ],
)
def test_a_name_that_ends_in_another_container_is_told(name, container, warned):
    found = read_audio(encode(tone(), container), name=name)
    assert codes(found) == warned
    if warned:
        assert found.warnings[0].text.endswith(
            f"the content is {container.lower()}: the content was read"
        )


def test_an_mp3_without_a_length_in_its_header_is_not_called_cut_off():
    data = encode(speech_like(3.0), "MP3")
    size = data.index(data[:2], 4)  # the first frame is LAME's, with the number of frames
    assert b"Xing" in data[:size] or b"Info" in data[:size]
    assert codes(read_audio(data[size:])) == []


def test_a_wav_of_a_million_chunks_is_refused_at_once():
    before = time.monotonic()
    assert refusal(wav(before=b"LIST\4\0\0\0INFO" * 1_000_000)).code == "E1112"
    assert time.monotonic() - before < 1.0


# --- samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({800: np.nan}, "1 of 16,000 samples are not finite, the first at 0.050 s; expected numb"),
        ({800: np.inf}, "1 of 16,000 samples are not finite, the first at 0.050 s"),
        ({800: -np.inf, 900: np.nan}, "2 of 16,000 samples are not finite, the first at 0.050 s"),
        (
            dict.fromkeys(range(16_000), np.nan),
            "16,000 of 16,000 samples are not finite, the first",
        ),
    ],
)
def test_what_is_not_finite_is_refused(values, found):
    waveform = tone()
    waveform[list(values)] = list(values.values())
    error = refusal(encode(waveform, "WAV", "FLOAT"))
    assert error.code == "E1301"
    assert error.text.startswith(found)
    assert error.text.endswith("expected numbers. Export it again.")


@pytest.mark.parametrize("pair", [(np.inf, -np.inf), (3e38, 3e38), (np.nan, 0.0)])
def test_what_is_not_finite_in_one_channel_is_refused_without_a_warning_of_numpy(pair):
    stereo = np.stack([tone(), tone()], axis=1)
    stereo[800] = pair
    assert refusal(encode(stereo, "WAV", "FLOAT")).code == "E1301"


def test_doubles_beyond_float32_are_refused():
    assert refusal(encode(tone().astype("f8") * 1e300, "WAV", "DOUBLE")).code == "E1301"


def test_absurd_amplitudes_are_refused():
    error = refusal(encode(tone() * np.float32(2e30), "WAV", "FLOAT"))
    assert str(error) == (
        "MediaError E1302 'talk.wav': amplitude 1e+30; expected about 1. Export it again, scaled."
    )


@pytest.mark.parametrize(
    ("waveform", "warned", "words"),
    [
        (np.zeros(RATE, "f4"), ["W1304"], "silence: nothing louder than -70 dB"),
        (tone(level=10 ** (-90 / 20)), ["W1304"], "silence"),
        (np.full(RATE, 1e-40, "f4"), ["W1304"], "silence"),  # denormal
        (np.full(RATE, 0.9, "f4"), ["W1304", "W1305"], "not centred: its mean is 0.90; expected 0"),
        (tone(level=0.3) - np.float32(0.4), ["W1305"], "not centred: its mean is -0.40"),
        (tone(level=10 ** (-60 / 20)), [], ""),
        (tone(level=0.9), [], ""),
        (tone(level=4.0), ["W1303", "W1306"], "beyond full scale: amplitude 4.00"),
        (np.clip(tone(level=1.4), -1, 1), ["W1306"], "clipped: 5"),  # 2 arccos(1/1.4) / pi
    ],
)
def test_silence_clipping_and_excess_are_said(waveform, warned, words):
    found = read_audio(encode(waveform, "WAV", "FLOAT"))
    assert codes(found) == warned
    assert words in " ".join(warning.text for warning in found.warnings)


def test_a_narrow_band_says_what_is_missing():
    (warning,) = read_audio(wav(rate=8_000)).warnings
    assert warning == ("W1105", "recorded at 8,000 Hz: sound above 4,000 Hz is missing")


# --- bombs and forgeries -----------------------------------------------------------------------

# What a process costs that imports nothing of ours but the gate. The peak is the kernel's figure
# for this process image: getrusage would also count the parent's, from before the exec.
MEASURE = """
import json, sys, time
from affectus import errors, media
before = time.monotonic()
try:
    media.read_audio(sys.argv[1])
    said = "read"
except errors.MediaError as error:
    said = str(error)
seconds = time.monotonic() - before
status = open("/proc/self/status").read().split()
peak = int(status[status.index("VmHWM:") + 1]) * 1024
print(json.dumps([said, seconds, peak, "torch" in sys.modules or "av" in sys.modules]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("rate", [48_000, 192_000])
def test_a_bomb_is_refused_before_it_is_decoded(make_file, rate):
    # 30 min of 8 channels of silence at 48 kHz: 2.8 GB; libsndfile took 5.3 GB and 13 s
    # (reliability.md, finding 4). At a forged 192 kHz it claims 450 s: bytes count, not seconds.
    path = make_file("bomb.flac", flac(21_094, rate=rate))
    assert path.stat().st_size < 800_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], check=True, capture_output=True, text=True
    )
    said, seconds, peak, heavy = json.loads(done.stdout)
    assert said == (
        f"MediaError E1502 '{path}': decodes to {1_800 * 48_000 / rate:,.0f} s x 8 channels; the "
        f"limit is 600 s and 536,870,912 bytes. Cut it, or raise --max-seconds."
    )
    assert seconds <= 0.5
    assert peak <= 150 * 10**6
    assert not heavy
    assert done.stderr == ""


def test_a_forged_rate_does_not_shorten_a_bomb():
    assert refusal(flac(50, rate=655_350)).code == "E1104"


def test_a_flac_that_announces_years_is_refused():
    error = refusal(flac(3, claimed=2**36 - 1))
    assert error.code == "E1502"
    assert error.exit_code == 4


def test_a_flac_that_does_not_say_how_long_it_is_is_read_to_its_end():
    found = read_audio(flac(30, n_channels=2, value=8_192, claimed=0), sample_rate=None)
    np.testing.assert_array_equal(found.waveform, np.full(30 * 4_096, 0.25, "f4"))


def test_a_flac_that_does_not_say_how_long_it_is_keeps_the_limits():
    limits = Limits(max_seconds=1.0)
    assert refusal(flac(30, claimed=0), limits=limits).code == "E1502"


def test_a_flac_made_by_hand_is_what_libsndfile_reads():
    # That the bomb is a bomb, and no mere damaged file.
    found = read_audio(flac(12, n_channels=8, value=-16_384), sample_rate=None)
    assert found.n_channels == 8
    np.testing.assert_array_equal(found.waveform, np.full(12 * 4_096, -0.5, "f4"))


@pytest.mark.parametrize("kind", ["ogg opus", "ogg vorbis", "mp3", "webm", "amr"])
def test_long_compressed_silence_is_refused(kind):
    rate = RATES.get(kind, RATE)
    data = CONTAINERS[kind][1](np.zeros(20 * rate, "f4"), rate)
    error = refusal(data, limits=Limits(max_seconds=10))
    assert error.code == "E1502"
    assert "the limit is 10 s" in error.text


# Source: reliability.md, part D3: flac_trunc, flac_bitrot, opus_trunc, vid_trunc_moov.
@pytest.mark.parametrize("kind", ["flac", "ogg opus", "mp4", "m4a", "caf", "amr"])
def test_a_truncated_stream_is_refused(kind):
    data = CONTAINERS[kind][1](speech_like(1.5), RATES.get(kind, RATE))
    error = refusal(data[: len(data) // 2])
    assert error.code == "E1402"
    assert "xpected " in error.text


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_flac_with_a_flipped_bit_is_refused(share):
    data = bytearray(encode(speech_like(1.5), "FLAC"))
    data[int(len(data) * share)] ^= 0x10
    assert refusal(bytes(data)).code == "E1402"


def test_a_flac_that_ends_early_but_in_order_is_refused():
    error = refusal(flac(20, rate=RATE, claimed=40 * 4_096))
    assert error.code == "E1402"
    assert error.text == "It ends before it says it does. Expected readable flac."


def test_a_flac_that_loses_samples_without_an_error_is_refused(monkeypatch):
    monkeypatch.setattr(
        media.decoding, "_sound_blocks", lambda sound, wanted: iter([np.zeros((4_000, 1))])
    )
    error = refusal(encode(tone(), "FLAC"))
    assert (error.code, error.text) == (
        "E1402", "decodes to 0.25 of 1.00 s; expected all of it. Copy the file again."
    )  # fmt: skip


def test_a_video_without_sound_is_refused():
    for container in ("mp4", "webm"):
        error = refusal(encode_av(None, container, "", picture=True))
        assert str(error) == (
            "MediaError E1601 'talk.wav': no audio stream; expected sound. Record it again."
        )


def test_a_codec_that_nobody_knows_is_refused():
    data = encode_av(speech_like(1.0), "webm", "libopus", rate=48_000)
    assert data.count(b"A_OPUS") == 1
    error = refusal(data.replace(b"A_OPUS", b"A_ZZZZ"))
    assert str(error) == (
        "MediaError E1109 'talk.wav': its codec cannot be read; expected AAC, Opus or the like."
    )


def test_a_damaged_recording_prints_nothing_of_its_own(capfd):
    # An AIFF that sends the reader to before its start: soundfile would print a traceback.
    data = bytearray(encode(tone(0.2), "AIFF"))
    for at in (38, 39, 40, 41):
        damaged = data.copy()
        damaged[at] = 0xFF
        refusal(bytes(damaged))
    assert capfd.readouterr() == ("", "")


# --- other files are never opened --------------------------------------------------------------

# Reads every file of a folder, from disk and from memory, and says what Python opened meanwhile.
READ_ALL = """
import json, sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import av
from affectus import errors, media
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    for source in (path, path.read_bytes()):
        try:
            media.read_audio(source)
            found[path.name] = "read"
        except errors.MediaError as error:
            found[path.name] = error.code
# The same files without the gate: some of them do open the other.
for name, options in json.loads(sys.argv[2]).items():
    with av.open(str(Path(sys.argv[1], name)), options=options) as media:
        assert media.streams.audio
print(json.dumps([found, opened]))
"""


def test_a_playlist_opens_no_other_file(make_file, tmp_path):
    canary = make_file("secret/canary.wav", wav())
    control = make_file("secret/control.wav", wav())
    folder = tmp_path / "uploads"
    expected = {}
    for name, data in playlists(canary).items():
        for ending in (".wav", ".mp4", ".m3u8"):
            make_file(f"uploads/{name}{ending}", data)
            expected[name + ending] = "E1002"
    make_file("uploads/dref.mp4", mp4_of_other_file(speech_like(0.5), canary))
    expected["dref.mp4"] = "E1004"  # a film whose sound, it says, is the other file
    for n, magic in enumerate((b"\0\0\0\x10ftypisom", b"\x1aE\xdf\xa3", b"FLV\1", b"OggS", b"ID3")):
        make_file(f"uploads/magic{n}", magic + b"\n" + playlists(canary)["hls"])
        expected[f"magic{n}"] = "E1402"

    make_file("uploads2/control.mp4", mp4_of_other_file(speech_like(0.5), control))
    free = {"../uploads2/control.mp4": {"enable_drefs": "1", "use_absolute_path": "1"}}
    command = [sys.executable, "-c", READ_ALL, str(folder), json.dumps(free)]
    strace, log = shutil.which("strace"), tmp_path / "strace.log"
    if strace:
        command = [strace, "-f", "-e", "trace=open,openat,openat2", "-o", str(log), *command]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found, opened = json.loads(done.stdout)
    assert found == expected
    assert str(folder / "hls.wav") in opened
    assert canary.name not in " ".join(opened)
    if strace:  # FFmpeg's own opens, which Python does not see
        calls = log.read_text()
        assert f'"{folder}/hls.wav"' in calls
        assert control.name in calls, "the watch is blind: FFmpeg left to itself opens this one"
        assert canary.name not in calls


def test_the_first_bytes_bind_the_demuxer():
    # FFmpeg left to itself finds the transport stream behind, and might as well a playlist.
    stream = b"FLV\1" + encode_av(speech_like(1.0), "mpegts", "aac")
    with av.open(io.BytesIO(stream)) as free:
        assert free.format.name == "mpegts"
    assert refusal(stream).code == "E1402"


@pytest.mark.parametrize("kind", playlists("/x"))
def test_a_playlist_is_called_what_it_is(kind):
    found = {"hls": "a playlist", "ffconcat": "a playlist", "mpd": "a text in HTML or XML"}
    text = refusal(playlists("/etc/passwd")[kind]).text
    assert text.startswith(f"not audio: {found.get(kind, '')}")
    assert "passwd" not in text


# --- hostile names -----------------------------------------------------------------------------

NAMES = [
    "-i", "-version", "pipe:0", "|sh", "$(id)", "`id`", "%s%n", "concat:a|b", "file:secret",
    "a;b&c", "..wav", " ", "'", '"', "żółć 感情 😀.wav", "e\u0301.wav", "x" * 251 + ".wav",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a_name_is_only_a_name(make_file, monkeypatch, name):
    monkeypatch.chdir(make_file(name, wav()).parent)
    assert read_audio(name).duration == 1.0
    make_file(name, b"text")
    assert str(refusal(name, name=None)).startswith(
        f"MediaError E1002 '{name}': not audio: a text;"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nMediaError E1000 'b': fine", r"a\nMediaError E1000 'b': fine"),
        ("\x1b[2J\x1b[31m.wav", r"\x1b[2J\x1b[31m.wav"),
        ("cod\u202evaw.exe", r"cod\u202evaw.exe"),
        ("żółć\r.wav", r"żółć\r.wav"),
        ("caf\udce9.wav", r"caf\udce9.wav"),
    ],
)
def test_a_name_cannot_forge_a_line(make_file, name, shown):
    path = make_file(name, b"text")
    assert str(refusal(path, name=None)) == (
        f"MediaError E1002 '{path.parent}/{shown}': not audio: a text; expected wav, flac, ogg, "
        f"mp3, m4a, mp4, webm or the like."
    )
    assert str(refusal(b"", name=name)).startswith(f"MediaError E1001 '{shown}': the file is empty")
    path.write_bytes(wav())
    assert read_audio(path).duration == 1.0


# --- arrays and folders ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["mono", "stereo"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_array_is_treated_as_its_file_would_be(shape, dtype):
    waveform = tone(1.0, rate=44_100)
    if shape == "stereo":
        waveform = np.stack([waveform, speech_like(1.0, 44_100)], axis=1)
    from_file = read_audio(encode(waveform, "WAV", "FLOAT", 44_100))
    found = from_waveform(waveform.astype(dtype), 44_100)
    np.testing.assert_allclose(found.waveform, from_file.waveform, atol=1e-6)
    assert found.waveform.dtype == np.float32
    assert (found.sample_rate, found.source_rate) == (RATE, 44_100)
    assert (found.n_channels, found.container) == (from_file.n_channels, "array")


@pytest.mark.parametrize(
    ("waveform", "rate", "code", "words"),
    [
        (np.zeros(0, "f4"), RATE, "E1004", "no samples; expected sound."),
        (tone(0.05), RATE, "E1201", "lasts 0.050 s; expected at least 0.1 s."),
        (tone(), 1, "E1104", "the header says 1 Hz; expected 4,000 to 192,000 Hz."),
        (np.zeros((RATE, 9), "f4"), RATE, "E1107", "9 channels; expected 1 to 8. Mix it down."),
        (
            np.zeros((1, 2, 3), "f4"),
            RATE,
            "E1107",
            "an array float32 of shape (1, 2, 3); expected f",
        ),
        (
            np.zeros(RATE, "i2"),
            RATE,
            "E1107",
            "an array int16 of shape (16000,); expected floats [T",
        ),
        (np.full(RATE, np.nan), RATE, "E1301", "16,000 of 16,000 samples are not finite"),
        (np.full(RATE, 1e300), RATE, "E1301", "16,000 of 16,000 samples are not finite"),
        (np.full((RATE, 2), 3e38, "f4"), RATE, "E1301", "16,000 of 16,000 samples are not finite"),
        (tone() * np.float32(1e6), RATE, "E1302", "amplitude 5e+05; expected about 1."),
        (
            np.broadcast_to(np.float32(0), 601 * RATE),
            RATE,
            "E1502",
            "decodes to 601 s x 1 channels",
        ),
    ],
)
def test_an_array_is_checked_as_its_file_would_be(waveform, rate, code, words):
    with pytest.raises(MediaError) as caught:
        from_waveform(waveform, rate, name="microphone")
    assert str(caught.value).startswith(f"MediaError {code} 'microphone': {words}")


def test_media_are_listed_the_outer_ones_first(make_file, tmp_path):
    for name in ("b/z.wav", "a/deep/x.MP3", "c.flac", "a/y.mp4", "notes.txt", ".hidden.wav"):
        make_file(name)
    found = [path.relative_to(tmp_path).as_posix() for path in list_media(tmp_path)]
    assert found == ["c.flac", "a/y.mp4", "b/z.wav", "a/deep/x.MP3"]


def test_a_folder_that_is_none_is_named(make_file, tmp_path):
    for path, found, remedy in (
        (tmp_path / "gone", "no such folder", "Check the path."),
        (make_file("a.wav"), "a file", "Give the folder; unpack an archive."),
    ):
        with pytest.raises(CorpusError) as caught:
            list_media(path)
        assert str(caught.value) == (
            f"CorpusError: {path}: {found}; expected a folder of recordings. {remedy}"
        )


def test_endings_are_written_as_paths_have_them():
    assert all(ending == Path("x" + ending).suffix.lower() for ending in AUDIO_ENDINGS)


def test_every_code_that_is_raised_stands_in_the_table():
    source = "".join(p.read_text("utf-8") for p in Path(media.__file__).parent.glob("*.py"))
    table = set(re.findall(r"[EW]1\d{3}", media.__doc__))
    used = set(re.findall(r'"([EW]1\d{3})"', source))
    assert used
    assert used <= table


# --- whatever bytes ----------------------------------------------------------------------------

GOOD = [
    encode(np.stack([speech_like(0.3)] * 2, axis=1), container, subtype)
    for container, subtype in [
        ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ]
]  # fmt: skip
OF_FFMPEG = [
    encode_av(speech_like(0.3), container, codec, rate=rate)
    for container, codec, rate in [
        ("mp4", "aac", RATE), ("webm", "libopus", 48_000), ("flv", "libmp3lame", 44_100),
        ("avi", "pcm_s16le", RATE), ("adts", "aac", RATE),
    ]
]  # fmt: skip


@st.composite
def damaged(draw, seeds):
    """A recording with some bytes changed, doubled or missing, more often near its start."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, min(len(data) - 1, draw(st.sampled_from([60, 400, 10**6])))))
        how = draw(st.integers(0, 3))
        if how == 0:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]))
        elif how == 2:
            data[at:at] = data[: draw(st.integers(1, 99))]
        else:
            data[at] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def check(data):
    try:
        found = read_audio(data)
    except MediaError as error:
        assert str(error).isprintable()
        return
    assert found.waveform.dtype == np.float32
    assert found.waveform.ndim == 1
    assert np.isfinite(found.waveform).all()
    assert np.abs(found.waveform).max() <= 1.2e4  # 1e4, and what resampling adds
    assert 0.099 < found.duration <= 600.1
    assert 1 <= found.n_channels <= 8
    assert 4_000 <= found.source_rate <= 192_000


@settings(max_examples=150)
@given(damaged(GOOD))
def test_whatever_bytes_of_libsndfile_give_finite_sound_or_a_media_error(data):
    check(data)


@settings(max_examples=100)
@given(damaged(OF_FFMPEG))
def test_whatever_bytes_of_ffmpeg_give_finite_sound_or_a_media_error(data):
    check(data)


def test_limits_are_in_order():
    limits = Limits()
    ordered = [limits.min_seconds, limits.max_seconds], [limits.min_rate, limits.max_rate]
    assert all(low < high for pair in ordered for low, high in pairwise(pair))
