"""Recordings that somebody will send: damaged, lying, enormous, or no recordings at all.

Each is made on the spot by a function of no arguments that returns a file's bytes; `CASES` has them
by name. What is expected of each
stands in bad_recordings.toml. Names are those of the literature on such files where it has one.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import av
import numpy as np
from making import (
    LFS_POINTER,
    NOT_AUDIO,
    RATE,
    edit_boxes,
    encode,
    encode_av,
    flac,
    mp4_of_other_file,
    playlists,
    speech_like,
    tone,
    wav,
)


def _changed(data, *changes):
    """`data` with bytes put at places: (offset, bytes)."""
    data = bytearray(data)
    for at, new in changes:
        data[at : at + len(new)] = new
    return bytes(data)


def _with(values, waveform=None):
    """A float WAV of a tone with samples replaced: {index: value}."""
    waveform = tone() if waveform is None else waveform
    waveform[list(values)] = list(values.values())
    return encode(waveform, "WAV", "FLOAT")


def _float(waveform):
    return encode(np.asarray(waveform, "f4"), "WAV", "FLOAT")


def _noise(seconds=1.0, level=0.3, seed=0):
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype("f4")


def _archive(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return file.getvalue()


def _tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("../../x")
        archive.addfile(member, io.BytesIO())
    return file.getvalue()


def _frames(n, size=(64, 64), rate=10, container="mp4", codec="mpeg4", sound=True, **options):
    """A film of `n` grey frames, with a second of tone or without."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as media:
        video = media.add_stream(codec, rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        streams = [(video, [av.VideoFrame(*size, "yuv420p") for _ in range(n)])]
        if sound:
            voice = media.add_stream("aac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(tone()[None], format="flt", layout="mono")
            frame.sample_rate = RATE
            fit = av.AudioResampler(voice.format, "mono", RATE, frame_size=1024)
            streams.append((voice, fit.resample(frame) + fit.resample(None)))
        for stream, frames in streams:
            for frame in [*frames, None]:
                media.mux(stream.encode(frame))
    return file.getvalue()


def _ogg_links(n):
    """`n` recordings in one Ogg, one after another (RFC 3533: a chained stream)."""
    link = encode(tone(0.2), "OGG", "VORBIS")
    return link * n


def _unknown_form(data):
    """A RIFF's bytes with a form that nobody knows."""
    return _changed(data, (8, b"WAVX"))


def _half(data):
    return data[: len(data) // 2]


def _flip(data, share=0.6):
    at = int(len(data) * share)
    return _changed(data, (at, bytes([data[at] ^ 0x10])))


def _syncsafe(size):
    """A size in four bytes of seven bits (ID3v2.4, section 6.2)."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


_WAVE = speech_like(1.5)

CASES = {
    # --- nothing, or next to nothing
    "empty": lambda: b"",
    "one_byte": lambda: b"R",
    "riff_only": lambda: b"RIFF",
    "riff_of_another_form": lambda: _unknown_form(wav()),
    "zeros": lambda: bytes(1_000),
    "ff_bytes": lambda: b"\xff" * 1_000,
    "random_bytes": lambda: np.random.default_rng(7).bytes(5_000),
    # --- WAV: the header lies
    "wav_header_no_data": lambda: wav(no_data=True),
    "wav_zero_frames": lambda: wav(b""),
    "wav_one_sample": lambda: wav(b"\1\0"),
    "wav_9ms": lambda: wav(b"\1\0" * 144),
    "wav_99ms": lambda: wav(b"\1\0" * 1_584),
    "wav_100ms": lambda: wav((tone(0.1) * 32_767).astype("<i2").tobytes()),
    "wav_trunc_half": lambda: wav()[:16_044],
    "wav_trunc_mid_sample": lambda: wav()[:-1],
    "wav_trunc_header": lambda: wav()[:30],
    "wav_len_ffffffff": lambda: wav(data_length=2**32 - 1, riff_length=2**32 - 1),
    "wav_len_zero_with_data": lambda: wav(data_length=0),
    "wav_len_too_long": lambda: wav(data_length=10**9),
    "wav_len_odd": lambda: wav(data_length=31_999),
    "wav_riff_len_0": lambda: wav(riff_length=0),
    "wav_rate_0": lambda: wav(rate=0),
    "wav_rate_1": lambda: wav(rate=1),
    "wav_rate_3999": lambda: wav(rate=3_999),
    "wav_rate_8000": lambda: wav(rate=8_000),
    "wav_rate_44101": lambda: wav(rate=44_101),
    "wav_rate_655350": lambda: wav(rate=655_350),
    "wav_rate_2g": lambda: wav(rate=2**31),
    "wav_rate_4g": lambda: wav(rate=2**32 - 1),
    "wav_96k24": lambda: encode(tone(rate=96_000), "WAV", "PCM_24", 96_000),
    "wav_192k32f": lambda: encode(tone(rate=192_000), "WAV", "FLOAT", 192_000),
    "wav_ch_0": lambda: wav(n_channels=0),
    "wav_ch_2": lambda: encode(np.stack([tone()] * 2, 1)),
    "wav_ch_8": lambda: encode(np.stack([tone()] * 8, 1)),
    "wav_ch_9": lambda: wav(bytes(9 * 3_200), n_channels=9),
    "wav_ch_255": lambda: wav(bytes(255 * 3_200), n_channels=255),
    "wav_ch_1024": lambda: wav(bytes(1_024 * 3_200), n_channels=1_024),
    "wav_ch_1025": lambda: wav(n_channels=1_025),
    "wav_ch_65535": lambda: wav(n_channels=65_535),
    "wav_bits_0": lambda: wav(bits=0),
    "wav_bits_13": lambda: wav(bits=13),
    "wav_bits_8": lambda: wav(bytes([128, 200] * 8_000), bits=8),
    "wav_fmt_unknown": lambda: wav(codec=0x9999),
    "wav_fmt_short": lambda: _changed(wav(), (16, struct.pack("<I", 4))),
    "wav_two_glued": lambda: wav() + wav(),
    "wav_trailing_zip": lambda: wav() + _archive({"a.txt": b"x"}),
    "wav_trailing_xmp": lambda: wav(after=b"_PMX\4\0\0\0<x/>"),
    "wav_id3_prefix": lambda: b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + wav(),
    "wav_chunk_bomb": lambda: wav(before=b"LIST\4\0\0\0INFO" * 1_000_000),
    "wav_big_endian": lambda: _changed(wav(), (0, b"RIFX")),
    "wav_aiff": lambda: encode(tone(), "AIFF"),
    "wav_au": lambda: encode(tone(), "AU"),
    "wav_caf": lambda: encode(tone(), "CAF"),
    "wav_w64": lambda: encode(tone(), "W64"),
    "wav_rf64": lambda: encode(tone(), "RF64"),
    "wav_alaw": lambda: encode(tone(), "WAV", "ALAW"),
    "wav_ima_adpcm": lambda: encode(tone(), "WAV", "IMA_ADPCM"),
    "aiff_trunc": lambda: encode(tone(), "AIFF")[:8_000],
    "aiff_offset_lies": lambda: _changed(encode(tone(), "AIFF"), (38, b"\xff")),
    # --- samples
    "nan_all": lambda: _float(np.full(RATE, np.nan)),
    "nan_one": lambda: _with({800: np.nan}),
    "inf_pair": lambda: _with({800: np.inf, 801: -np.inf}),
    "float_1e30": lambda: _float(tone() * np.float32(1e30)),
    "float_over_1": lambda: _float(tone(level=4.0)),
    "double_1e300": lambda: encode(tone().astype("f8") * 1e300, "WAV", "DOUBLE"),
    "denormal": lambda: _float(np.full(RATE, 1e-40)),
    "all_zero": lambda: _float(np.zeros(RATE)),
    "noise_90db": lambda: _float(_noise(level=10 ** (-95 / 20))),
    "dc_full": lambda: _float(np.full(RATE, 0.9)),
    "dc_offset": lambda: _float(tone(level=0.3) + 0.4),
    "clipped_50pct": lambda: _float(np.clip(tone(level=1.4), -1, 1)),
    "square": lambda: _float(np.sign(tone(pitch=100.3)) * 0.999),
    "very_quiet": lambda: _float(tone(level=10 ** (-60 / 20))),
    "one_click": lambda: _with({8_000: 1.0}, np.zeros(RATE, "f4")),
    "pure_tone": lambda: _float(tone()),
    "white_noise": lambda: _float(_noise()),
    # --- compressed, cut, flipped
    "flac_named_wav": lambda: encode(_WAVE, "FLAC"),
    "mp3_named_wav": lambda: encode(_WAVE, "MP3"),
    "flac_trunc": lambda: _half(encode(_WAVE, "FLAC")),
    "flac_bitrot": lambda: _flip(encode(_WAVE, "FLAC")),
    "flac_head_only": lambda: encode(_WAVE, "FLAC")[:42],
    "flac_ends_early": lambda: flac(20, rate=RATE, claimed=40 * 4_096),
    "flac_streaminfo_total_0": lambda: flac(30, n_channels=2, value=8_192, claimed=0),
    "flac_streaminfo_2_36": lambda: flac(3, claimed=2**36 - 1),
    "flac_bomb_8ch_30min": lambda: flac(21_094),
    "flac_bomb_192k": lambda: flac(21_094, rate=192_000),
    "flac_bomb_forged_rate": lambda: flac(21_094, rate=655_350),
    "flac_bomb_unsaid": lambda: flac(21_094, claimed=0),
    "mp3_trunc": lambda: _half(encode(_WAVE, "MP3")),
    "mp3_head_only": lambda: encode(_WAVE, "MP3")[:300],
    "mp3_id3_1MB": lambda: b"ID3\3\0\0" + _syncsafe(2**20) + bytes(2**20) + encode(_WAVE, "MP3"),
    "mp3_id3_lies": lambda: b"ID3\3\0\0" + _syncsafe(2**27) + encode(_WAVE, "MP3"),
    "opus_trunc": lambda: _half(encode(_WAVE, "OGG", "OPUS")),
    "vorbis_trunc": lambda: _half(encode(_WAVE, "OGG", "VORBIS")),
    "opus_bomb_11min": lambda: encode(np.zeros(660 * RATE, "f4"), "OGG", "OPUS"),
    "ogg_chained_2": lambda: _ogg_links(2),
    "ogg_chained_1000": lambda: _ogg_links(1_000),
    "ogg_bitrot": lambda: _flip(encode(_WAVE, "OGG", "VORBIS")),
    "webm_no_duration": lambda: encode_av(_WAVE, "webm", "libopus", rate=48_000, live="1"),
    "webm_trunc": lambda: _half(encode_av(_WAVE, "webm", "libopus", rate=48_000)),
    "webm_codec_unknown": lambda: encode_av(_WAVE, "webm", "libopus", rate=48_000).replace(
        b"A_OPUS", b"A_ZZZZ"
    ),
    "mp4_frag": lambda: encode_av(_WAVE, "mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "mp4_trunc_moov": lambda: _half(encode_av(_WAVE, "mp4", "aac")),
    "mp4_no_tracks": lambda: edit_boxes(encode_av(_WAVE, "mp4", "aac"), [b"moov"], lambda c: b""),
    "mp4_mdat_empty": lambda: edit_boxes(
        encode_av(_WAVE, "mp4", "aac"), [b"mdat"], lambda c: bytes(len(c))
    ),
    "m4a": lambda: encode_av(_WAVE, "ipod", "aac"),
    "m4a_alac": lambda: encode_av(_WAVE, "ipod", "alac"),
    "aac_adts": lambda: encode_av(_WAVE, "adts", "aac"),
    "aac_trunc": lambda: _half(encode_av(_WAVE, "adts", "aac")),
    "amr_nb": lambda: encode_av(
        _WAVE[::2], "amr", "libopencore_amrnb", rate=8_000, bit_rate=12_200
    ),
    "mov_pcm": lambda: encode_av(_WAVE, "mov", "pcm_s16le"),
    "avi_pcm": lambda: encode_av(_WAVE, "avi", "pcm_s16le"),
    "mkv_pcm": lambda: encode_av(_WAVE, "matroska", "pcm_s16le"),
    "flv_mp3": lambda: encode_av(speech_like(1.5, 44_100), "flv", "libmp3lame", rate=44_100),
    "flv_signature_only": lambda: b"FLV\1" + bytes(200),
    "mkv_signature_only": lambda: b"\x1a\x45\xdf\xa3" + bytes(200),
    "mp4_signature_only": lambda: b"\0\0\0\x10ftypisom" + bytes(200),
    "ogg_signature_only": lambda: b"OggS" + bytes(200),
    "flac_signature_only": lambda: b"fLaC" + bytes(200),
    "amr_signature_only": lambda: b"#!AMR\n",
    # --- films
    "video_no_audio_mp4": lambda: encode_av(None, "mp4", "", picture=True),
    "video_no_audio_webm": lambda: encode_av(None, "webm", "", picture=True),
    "video_one_frame": lambda: _frames(1),
    "video_1e6_fps": lambda: _frames(20, rate=10_000),
    "video_large_frame": lambda: _frames(1, size=(4_096, 4_096)),
    "video_picture_is_broken": lambda: _changed(_frames(10), (3_000, b"\xff" * 200)),
    # --- not recordings
    **{f"is_{name.replace(' ', '_')}": (lambda d=data: d) for name, data in NOT_AUDIO.items()},
    "is_git_lfs_pointer": lambda: LFS_POINTER,
    "is_json": lambda: json.dumps({"audio": "x" * 1_000}).encode(),
    "is_csv": lambda: b"file,emotion\na.wav,sad\n",
    "is_gzip_bomb": lambda: gzip.compress(bytes(50_000_000)),
    "is_zip_slip": lambda: _archive({"../../x.wav": wav()}),
    "is_zip_bomb": lambda: _archive({"x.wav": bytes(50_000_000)}),
    "is_tar_slip": _tar,
    "is_pickle": lambda: b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93.",
    "is_shell_script": lambda: b"#!/bin/sh\ntouch /tmp/x\n",
    "is_svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "is_midi": lambda: b"MThd\0\0\0\6\0\1\0\1\0\x60" + bytes(100),
    "is_webp": lambda: b"RIFF\x24\0\0\0WEBPVP8 " + bytes(100),
    "is_sqlite": lambda: b"SQLite format 3\0" + bytes(100),
    # --- what sends a decoder elsewhere
    **{f"opens_other_{name}": (lambda d=data: d) for name, data in playlists("/dev/null").items()},
    "opens_other_dref": lambda: mp4_of_other_file(speech_like(0.5), Path("/dev/null")),
    "opens_http": lambda: b"#EXTM3U\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "flv_then_transport_stream": lambda: b"FLV\1" + encode_av(_WAVE, "mpegts", "aac"),
    "transport_stream": lambda: encode_av(_WAVE, "mpegts", "aac"),
}
