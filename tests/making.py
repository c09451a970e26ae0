"""Recordings for tests, good and bad, made on the spot: nothing is stored, nothing fetched."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile

RATE = 16_000


def tone(seconds=1.0, pitch=440.0, rate=RATE, level=0.5):
    """A sine [T] float32."""
    return (level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(
        "f4"
    )


def speech_like(seconds=2.0, rate=RATE):
    """Syllables of a voice whose pitch rises [T] float32: no two moments are alike."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (100 * time + 40 * time**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 16))
    return (0.2 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype("f4")


def encode(waveform, container="WAV", subtype=None, rate=RATE):
    """The bytes of a file that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format=container, subtype=subtype)
    return file.getvalue()


def wav(
    samples=None,
    *,
    rate=RATE,
    n_channels=1,
    bits=16,
    codec=1,
    data_length=None,
    riff_length=None,
    before=b"",
    after=b"",
    no_data=False,
):
    """A RIFF WAVE of 1 s whose header says what it is told to; `samples` are raw bytes."""
    if samples is None:
        samples = (tone() * 32767).astype("<i2").tobytes()
    byte_rate, align = rate * n_channels * bits // 8, n_channels * bits // 8
    fields = (codec, n_channels, rate, byte_rate & 0xFFFFFFFF, align & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *fields) + before
    if not no_data:
        length = len(samples) if data_length is None else data_length
        body += b"data" + struct.pack("<I", length) + samples
    body += after
    return b"RIFF" + struct.pack("<I", len(body) if riff_length is None else riff_length) + body


# --- FFmpeg ------------------------------------------------------------------------------------


def encode_av(
    waveform,
    container,
    codec,
    *,
    rate=RATE,
    layout="mono",
    bit_rate=None,
    picture=False,
    title="",
    **options,
):
    """The bytes of a file that FFmpeg writes from [T] or [T, C]; None leaves the sound out."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as media:
        if title:
            media.metadata["title"] = title
        streams = []
        if picture:
            video = media.add_stream("libvpx" if container == "webm" else "mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            streams.append((video, [av.VideoFrame(64, 64, "yuv420p") for _ in range(10)]))
        if waveform is not None:
            sound = media.add_stream(codec, rate=rate, layout=layout)
            if bit_rate:
                sound.bit_rate = bit_rate
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform).reshape(1, -1), format="flt", layout=layout
            )
            frame.sample_rate = rate
            size = sound.codec_context.frame_size or None
            fit = av.AudioResampler(sound.format, layout, sound.rate, frame_size=size)
            streams.append((sound, fit.resample(frame) + fit.resample(None)))
        for stream, frames in streams:
            for frame in [*frames, None]:
                media.mux(stream.encode(frame))
    return file.getvalue()


def edit_boxes(data, path, change):
    """An mp4's bytes with `change` applied to the content of the box at a path of names."""
    out, at = b"", 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        name, content = data[at + 4 : at + 8], data[at + 8 : at + size]
        if name == path[0]:
            content = change(content) if len(path) == 1 else edit_boxes(content, path[1:], change)
        out += struct.pack(">I", len(content) + 8) + name + content
        at += size
    return out


def mp4_of_other_file(waveform, target):
    """A mov whose sound, says its `dref` box, lies in another file (an alias of QuickTime)."""
    path = bytes(target)
    folder, name = target.parent.name.encode(), target.name.encode()
    alias = bytearray(150)
    alias[10 : 10 + 28] = (bytes([4]) + b"disk").ljust(28, b"\0")  # volume
    alias[50 : 50 + 64] = (bytes([len(name)]) + name).ljust(64, b"\0")
    alias[130:134] = struct.pack(">hh", -1, -1)  # levels from this file to that: not known
    for kind, text in ((2, path), (0, folder)):  # absolute path, folder
        alias += struct.pack(">HH", kind, len(text)) + text + b"\0" * (len(text) % 2)
    alias += b"\xff\xff\0\0"
    entry = struct.pack(">I", len(alias) + 12) + b"alis" + bytes(4) + bytes(alias)
    data = encode_av(waveform, "mov", "pcm_s16le")
    where = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    return edit_boxes(data, where, lambda _: struct.pack(">II", 0, 1) + entry)


# --- FLAC, by hand -----------------------------------------------------------------------------


def _crc_table(polynomial, bits):
    top = 1 << (bits - 1)
    table = []
    for byte in range(256):
        crc = byte << (bits - 8)
        for _ in range(8):
            crc = (crc << 1) ^ polynomial if crc & top else crc << 1
        table.append(crc & ((1 << bits) - 1))
    return table


_CRC8, _CRC16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


def flac(n_blocks, *, rate=48_000, n_channels=8, value=0, claimed=None):
    """A FLAC of `n_blocks` blocks of 4,096 constant samples: about 32 bytes for 128 KiB decoded.

    `claimed` is the number of samples that the header announces; 0 means unknown.
    Source of the format: RFC 9639.
    """
    total = n_blocks * 4_096 if claimed is None else claimed
    about = (rate << 44) | (n_channels - 1) << 41 | 15 << 36 | total
    info = struct.pack(">HH", 4_096, 4_096) + bytes(6) + about.to_bytes(8, "big") + bytes(16)
    subframes = (b"\0" + struct.pack(">h", value)) * n_channels
    pieces = [b"fLaC\x80\0\0\x22", info]
    for number in range(n_blocks):
        header = (
            b"\xff\xf8\xc0"
            + bytes([(n_channels - 1) << 4 | 8])
            + chr(number).encode("utf-8", "surrogatepass")
        )
        crc = 0
        for byte in header:
            crc = _CRC8[crc ^ byte]
        frame = header + bytes([crc]) + subframes
        crc = 0
        for byte in frame:
            crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
        pieces.append(frame + struct.pack(">H", crc))
    return b"".join(pieces)


# --- what is no recording ----------------------------------------------------------------------

# Source: the pointer's form in git-lfs's docs/spec.md.
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"

NOT_AUDIO = {
    "a text": b"Dear diary, today I was happy.\n",
    "a text in HTML or XML": b"<!doctype html><title>404</title>",
    "a text in UTF-16": "Dear diary".encode("utf-16"),
    "a PNG image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40),
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(40),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(40),
    "a zip archive": b"PK\x03\x04\x14\0" + bytes(40),
    "a gzip archive": b"\x1f\x8b\x08\0" + bytes(40),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(40),
    "an unknown format": bytes(range(128, 200)),
}


def playlists(target):
    """Texts that tell FFmpeg to open another file: {name: bytes}."""
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{target}\n#EXT-X-ENDLIST\n"
    mpd = f"<?xml version='1.0'?><MPD><Period><BaseURL>file://{target}</BaseURL></Period></MPD>"
    sdp = (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na={target}\n"
    )
    return {
        "hls": hls.encode(),
        "hls_bom": b"\xef\xbb\xbf" + hls.encode(),
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "concat": f"file '{target}'\n".encode(),
        "sdp": sdp.encode(),
        "mpd": mpd.encode(),
        "url": f"file://{target}".encode(),
    }


# --- films --------------------------------------------------------------------------------------


def counting(n_frames, width=64, height=48):
    """Pictures [H, W, 3] of one shade each, 4 apart: which of 55 it is can be read off."""
    return [np.full((height, width, 3), 20 + 4 * (n % 55), np.uint8) for n in range(n_frames)]


def film(
    pictures,
    container="mp4",
    codec="mpeg4",
    *,
    rate=30,
    times=None,
    form="yuv420p",
    sound=None,
    late=0.0,
    **options,
):
    """The bytes of a film of pictures [H, W, 3] RGB.

    `times` in ms are when each is shown, at `rate` a second by default; `sound` [T] is at RATE and
    begins `late` seconds after the clock.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as media:
        picture = media.add_stream(codec, rate=rate)
        picture.height, picture.width = pictures[0].shape[:2]
        picture.pix_fmt = form
        if codec == "mpeg4":  # nothing is to be lost of a shade
            picture.codec_context.qmax = 2
        if times is not None:
            picture.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for place, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=form)
            frame.pts = place if times is None else times[place]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        if sound is not None:
            track = media.add_stream("libmp3lame" if container == "avi" else "aac", rate=RATE)
            track.layout = "mono"
            heard = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout="mono")
            heard.sample_rate = RATE
            size = track.codec_context.frame_size
            fit = av.AudioResampler(track.format, "mono", track.rate, frame_size=size or 1024)
            at = round(late * RATE)
            for piece in [*fit.resample(heard), *fit.resample(None)]:
                piece.pts, piece.time_base = at, Fraction(1, RATE)
                at += piece.samples
                packets += track.encode(piece)
            packets += track.encode(None)
        for packet in packets:
            media.mux(packet)
    return file.getvalue()


def turned(data, degrees):
    """An mp4 whose header says that it is to be shown turned clockwise by quarter turns.

    Source: ISO/IEC 14496-12, 8.3.2, the matrix of `tkhd`: (p, q) is shown at (ap + cq, bp + dq).
    """
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    return edit_boxes(data, [b"moov", b"trak", b"tkhd"], lambda c: c[:40] + matrix + c[76:])


def index_first(data):
    """An mp4 with its index before its pictures, as it is made for the web."""
    boxes, at = {}, 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        boxes[data[at + 4 : at + 8]] = (at, data[at : at + size])
        at += size
    (start, index), (_, pictures) = boxes[b"moov"], boxes[b"mdat"]
    place = boxes[b"mdat"][0]

    def shift(content):  # of chunks, by the index that now stands before them
        places = struct.unpack(f">{(len(content) - 8) // 4}I", content[8:])
        return content[:8] + struct.pack(f">{len(places)}I", *(p + len(index) for p in places))

    where = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco"]
    assert start > place
    return data[:place] + edit_boxes(index, where, shift) + pictures
