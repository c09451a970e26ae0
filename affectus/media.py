"""The decode gate: any recording to a mono waveform. The only file that imports a decoder.

Content decides, not the ending. The first bytes name the container; libsndfile reads the ones it
knows (wav, flac, ogg, mp3, aiff, au, caf, w64) and FFmpeg, by PyAV, the others (mp4, m4a, webm,
mkv, flv, avi, amr, aac), told which demuxer to use and forbidden to open anything else, so that a
playlist named `.wav` is not followed. Every path checks the same limits *before* it allocates:
seconds, channels, sample rate, bytes in, bytes out. What comes back is finite.

Codes are stable. `E` refuses, `W` warns:

    E1000 no such file        E1107 channels             E1301 not finite
    E1001 empty               E1108 bits a sample        E1302 amplitude
    E1002 not audio           E1109 codec                E1402 decode error
    E1003 no data             E1110 two recordings       E1501 file too large
    E1004 no samples          E1201 too short            E1502 decodes to too much
    E1101 truncated           E1203 not such a stretch   E1601 no audio stream
    E1104 sample rate

    W1101 truncated           W1303 beyond full scale    W1306 clipped
    W1105 narrow band         W1304 silence

It does not detect speech, and it does not keep more than one channel.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.errors import CorpusError, LimitError, MediaError

Waveform = NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz; what every voice extractor takes unless told otherwise

AUDIO_ENDINGS = frozenset({
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64", ".rf64", ".m4a", ".aac", ".amr", ".mp4", ".mov", ".mkv", ".webm", ".flv", ".avi",
    ".3gp",
})  # fmt: skip

_BLOCK = 1 << 18  # samples over all channels decoded at a time
_SILENCE = 10 ** (-70 / 20)  # peak amplitude below which a recording counts as silent
_MAX_AMPLITUDE = 1e4
_FULL_SCALE = 0.999
_UNKNOWN = 0xFFFFFF00  # sizes from here on: a streaming writer left all bits set
_MAX_CHUNKS = 1_000
_MISSING = 0.02  # share of the announced samples that may be missing without a warning


@dataclass(frozen=True)
class Limits:
    """What a recording may be. Seconds, Hz, bytes."""

    min_seconds: float = 0.1
    max_seconds: float = 600.0
    max_channels: int = 8
    min_rate: int = 4_000
    max_rate: int = 192_000
    max_bytes: int = 512 * 2**20
    max_decoded_bytes: int = 512 * 2**20


class MediaWarning(NamedTuple):
    """Something about a recording that its answer should be read with."""

    code: str
    text: str


@dataclass(frozen=True)
class Recording:
    """A decoded recording: `waveform` [T] float32, mono, at `sample_rate` Hz, about −1 to 1.

    `source_rate` (Hz), `n_channels` and `container` describe the file it came from.
    """

    waveform: Waveform
    sample_rate: int
    source_rate: int
    n_channels: int
    container: str
    warnings: tuple[MediaWarning, ...] = ()

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate


@cache
def decoder_version() -> str:
    """Name the decoders and the resampler with their versions, for the features' provenance."""
    libsndfile = soundfile.__libsndfile_version__
    return f"libsndfile {libsndfile}, PyAV {version('av')}, soxr {version('soxr')}"


def read_audio(
    source: Path | str | bytes,
    *,
    name: str | None = None,
    sample_rate: int | None = SAMPLE_RATE,
    start: float = 0.0,
    end: float | None = None,
    limits: Limits = Limits(),
) -> Recording:
    """Decode a file, or the bytes of one, to a mono waveform at `sample_rate` Hz.

    Channels are averaged. `sample_rate` None keeps the source's. `start` and `end` (seconds) cut
    a stretch, which alone must keep the limits. `name` is what errors call the recording; the path
    by default. Resampling is soxr's HQ setting on every path.

    Raises MediaError, and its child LimitError, with the codes above.
    """
    shown = name if name is not None else "bytes" if isinstance(source, bytes) else str(source)
    if not (0 <= start < math.inf and (end is None or start < end)):
        raise MediaError(
            "E1203",
            shown,
            f"a stretch from {start:g} s to {'its end' if end is None else f'{end:g} s'}; "
            f"expected 0 or more, and an end after the start.",
        )
    with _open(source, shown, limits) as file:
        head = file.read(64)
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        container, decoder = _recognise(head, shown)
        decode = _decode_soundfile if decoder == "" else _decode_av
        stream = decode(file, decoder, container, shown, limits, start, end)
        waveform, source_rate, n_channels, warnings = stream
        if not warnings:
            warnings = _truncation(file, head, size, container)
    found = Recording(waveform, source_rate, source_rate, n_channels, container, tuple(warnings))
    return _finish(found, sample_rate, shown, limits)


def from_waveform(
    waveform: NDArray[np.generic],
    source_rate: int,
    *,
    name: str = "array",
    sample_rate: int | None = SAMPLE_RATE,
    limits: Limits = Limits(),
) -> Recording:
    """Take a waveform [T] or [T, C], −1 to 1, from memory through the same checks as a file.

    Raises MediaError as `read_audio` does, E1107 for an array of another shape.
    """
    if waveform.ndim not in (1, 2) or not np.issubdtype(waveform.dtype, np.floating):
        raise MediaError(
            "E1107",
            name,
            f"an array {waveform.dtype} of shape {waveform.shape}; expected floats [T] or [T, C].",
        )
    n_channels = 1 if waveform.ndim == 1 else waveform.shape[1]
    _check_header(source_rate, n_channels, len(waveform), name, limits)
    with np.errstate(over="ignore", invalid="ignore"):  # _inspect refuses what is not finite
        mono = (waveform if waveform.ndim == 1 else waveform.mean(axis=1)).astype(np.float32)
    found = Recording(mono, source_rate, source_rate, n_channels, "array")
    return _finish(found, sample_rate, name, limits)


def _finish(found: Recording, sample_rate: int | None, name: str, limits: Limits) -> Recording:
    """Check what was decoded, then resample it; the same on every way in."""
    if len(found.waveform) == 0:
        raise MediaError("E1004", name, "no samples; expected sound. Record it again.")
    if found.duration < limits.min_seconds:
        raise MediaError(
            "E1201",
            name,
            f"lasts {found.duration:.3f} s; expected at least {limits.min_seconds:g} s. "
            f"Give a longer recording.",
        )
    warnings = (*found.warnings, *_inspect(found.waveform, found.source_rate, name))
    waveform, rate = found.waveform, found.source_rate
    if sample_rate is not None and sample_rate != rate:
        waveform = soxr.resample(waveform, rate, sample_rate, quality="HQ")
        rate = sample_rate
    return replace(found, waveform=waveform, sample_rate=rate, warnings=warnings)


def list_media(folder: Path) -> list[Path]:
    """Return the audio and video files below a folder: the outer ones first, then by name."""
    folder = folder.absolute()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise CorpusError(f"{folder}: {found}; expected a folder of recordings. Check the path.")
    files = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_ENDINGS and not path.name.startswith(".")
    )
    return sorted(files, key=lambda path: (len(path.parts), path.parts))


def write_audio(path: Path | str, waveform: Waveform, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a waveform [T], −1 to 1, as 16-bit sound; the ending names the format (wav, flac)."""
    soundfile.write(str(path), waveform, sample_rate, subtype="PCM_16")


# --- what is it? -------------------------------------------------------------------------------

# container: (what stands at which offset, FFmpeg's demuxer; '' for libsndfile)
_MAGIC: tuple[tuple[str, int, bytes, str], ...] = (
    ("flac", 0, b"fLaC", ""),
    ("ogg", 0, b"OggS", ""),
    ("au", 0, b".snd", ""),
    ("caf", 0, b"caff", ""),
    ("w64", 0, b"riff\x2e\x91\xcf\x11", ""),
    ("rf64", 0, b"RF64", ""),
    ("mp4", 4, b"ftyp", "mov"),
    ("mov", 4, b"moov", "mov"),
    ("mov", 4, b"mdat", "mov"),
    ("mov", 4, b"wide", "mov"),
    ("matroska", 0, b"\x1a\x45\xdf\xa3", "matroska"),
    ("flv", 0, b"FLV\x01", "flv"),
    ("amr", 0, b"#!AMR", "amr"),
    ("mp3", 0, b"ID3", ""),
)
_NOT_AUDIO: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer; run: git lfs pull"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "a text in HTML or XML"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
)


def _recognise(head: bytes, name: str) -> tuple[str, str]:
    """Return (container, FFmpeg demuxer or '') from the first bytes."""
    if not head:
        raise MediaError("E1001", name, "the file is empty; expected sound. Copy it again.")
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return "wav", ""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi", "avi"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff", ""
    for container, offset, magic, demuxer in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return container, demuxer
    if len(head) > 2 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:  # ADTS (ISO/IEC 13818-7): sync of 12 bits, layer 0
            return "aac", "aac"
        # MPEG audio (ISO/IEC 11172-3): sync of 11 bits, version not 1, layer II or III, a bitrate
        # and a rate that exist.
        version_bits, layer, bitrate = head[1] & 0x18, head[1] & 0x06, head[2] & 0xF0
        if head[1] >= 0xE0 and version_bits != 0x08 and layer in (2, 4) and bitrate != 0xF0:
            return "mp3", ""
    found = next((what for magic, what in _NOT_AUDIO if head.startswith(magic)), "")
    if not found:
        found = "a text" if head.isascii() and b"\0" not in head else "an unknown format"
    raise MediaError(
        "E1002",
        name,
        f"not audio: {found}; expected wav, flac, ogg, mp3, m4a, mp4, webm or the like.",
    )


class _Source(io.BufferedReader):
    """What decoders read from.

    It has no name, since soundfile takes one that ends in '.raw' for sound without a header. A
    damaged file may send libsndfile to before its start: it stays where it is, which libsndfile
    notices, where an exception would only be printed.
    """

    name = ""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


def _open(source: Path | str | bytes, name: str, limits: Limits) -> BinaryIO:
    if isinstance(source, bytes):
        _check_size(len(source), name, limits)
        return _Source(io.BytesIO(source))
    path = Path(source)
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise MediaError("E1000", name, f"{kind}; expected a recording.")
        file = _Source(io.FileIO(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MediaError("E1000", name, f"{reason}; expected a recording.") from None
    except ValueError as error:  # a NUL in the name
        raise MediaError("E1000", name, f"{error}; expected a file name.") from None
    try:
        _check_size(path.stat().st_size, name, limits)
    except LimitError:
        file.close()
        raise
    return file


def _check_size(size: int, name: str, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise LimitError(
            "E1501",
            name,
            f"{size:,} bytes; the limit is {limits.max_bytes:,}. Cut the recording.",
        )


def _truncation(file: BinaryIO, head: bytes, size: int, container: str) -> list[MediaWarning]:
    """Compare a header's claim with the file's size: libsndfile hides the difference."""
    claimed = 0
    if container == "wav":
        order = "<" if head[:4] == b"RIFF" else ">"
        # Not the whole's claim where the sound's is there: many a writer gets the former wrong.
        riff = (8, struct.unpack(order + "I", head[4:8])[0])
        claimed = sum(_find_chunk(file, b"data", order) or riff)
    elif container == "aiff":
        claimed = struct.unpack(">I", head[4:8])[0] + 8
    elif container == "au":
        claimed = sum(struct.unpack(">II", head[4:12]))
    elif container == "w64":
        claimed = struct.unpack("<Q", head[16:24])[0]
    elif container == "rf64" and head[12:16] == b"ds64":
        claimed = struct.unpack("<Q", head[20:28])[0] + 8
    if size < claimed < _UNKNOWN:
        text = f"cut off: {size:,} of {claimed:,} bytes; the answer is for what is there"
        return [MediaWarning("W1101", text)]
    return []


def _check_bits(file: BinaryIO, name: str) -> None:
    """Refuse PCM of a width that libsndfile takes for another (13 bits for 16)."""
    order = "<" if file.read(4) == b"RIFF" else ">"
    chunk = _find_chunk(file, b"fmt ", order)
    if chunk is not None:
        file.seek(chunk[0])
        content = file.read(16)
        if len(content) == 16:
            codec, bits = struct.unpack(order + "H12xH", content)
            if codec == 1 and bits not in (8, 16, 24, 32):
                raise MediaError(
                    "E1108",
                    name,
                    f"{bits} bits a sample; expected 8, 16, 24 or 32. Export it again.",
                )
    file.seek(0)


def _find_chunk(file: BinaryIO, wanted: bytes, order: str) -> tuple[int, int] | None:
    """Return where a RIFF chunk's content starts and how long it says it is, in bytes."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return None
        name, length = struct.unpack(order + "4sI", header)
        if name == wanted:
            return at + 8, length
        at += 8 + length + length % 2
    return None


# --- decoding ----------------------------------------------------------------------------------


def _check_header(
    rate: int, n_channels: int, frames: int | None, name: str, limits: Limits
) -> None:
    """Refuse by the header's own words, before anything is decoded."""
    if not limits.min_rate <= rate <= limits.max_rate:
        raise MediaError(
            "E1104",
            name,
            f"the header says {rate:,} Hz; expected {limits.min_rate:,} to "
            f"{limits.max_rate:,} Hz. Export it again.",
        )
    if not 1 <= n_channels <= limits.max_channels:
        raise MediaError(
            "E1107",
            name,
            f"{n_channels:,} channels; expected 1 to {limits.max_channels}. Mix it down.",
        )
    if frames is not None:
        _check_length(frames, rate, n_channels, name, limits)


def _check_length(frames: int, rate: int, n_channels: int, name: str, limits: Limits) -> None:
    """Refuse what is longer, or larger once decoded, than allowed; ask again while decoding."""
    if frames > limits.max_seconds * rate or frames * n_channels * 4 > limits.max_decoded_bytes:
        raise LimitError(
            "E1502",
            name,
            f"decodes to {frames / rate:,.0f} s x {n_channels} channels; the limit is "
            f"{limits.max_seconds:,.0f} s and {limits.max_decoded_bytes:,} bytes. "
            f"Cut it, or raise --max-seconds.",
        )


def _collect(
    blocks: Iterator[Waveform],
    rate: int,
    n_channels: int,
    name: str,
    limits: Limits,
) -> Waveform:
    """Average channels block by block ([T, C] each) under the limits; return [T]."""
    pieces: list[Waveform] = []
    n_frames = 0
    for block in blocks:
        n_frames += len(block)
        _check_length(n_frames, rate, n_channels, name, limits)
        with np.errstate(over="ignore", invalid="ignore"):  # _inspect refuses what is not finite
            pieces.append(block[:, 0] if n_channels == 1 else block.mean(axis=1, dtype=np.float32))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _decode_soundfile(
    file: BinaryIO,
    decoder: str,
    container: str,
    name: str,
    limits: Limits,
    start: float,
    end: float | None,
) -> tuple[Waveform, int, int, list[MediaWarning]]:
    if container == "wav":
        _check_bits(file, name)
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise _refusal(_reason(error), container, name) from None
    with sound:
        rate, n_channels, known = sound.samplerate, sound.channels, sound.frames
        if known > 1 << 40:  # a FLAC that does not say; libsndfile loses the end of it
            file.seek(0)
            return _decode_av(file, container, container, name, limits, start, end)
        first, last = _to_samples(start, end, rate)
        wanted = (known if last is None else min(known, last)) - first
        _check_header(rate, n_channels, wanted, name, limits)
        if first and first >= known:
            raise _beyond(start, known / rate, name)
        try:
            if first:
                sound.seek(first)
            waveform = _collect(_sound_blocks(sound, wanted), rate, n_channels, name, limits)
        except soundfile.LibsndfileError as error:
            text = f"{_reason(error)} Expected readable {container}."
            raise MediaError("E1402", name, text) from None
    warnings = []
    if len(waveform) < wanted:
        text = f"decodes to {len(waveform) / rate:.2f} of {wanted / rate:.2f} s"
        if container == "flac":
            raise MediaError("E1402", name, f"{text}; expected all of it. Copy the file again.")
        if len(waveform) < wanted * (1 - _MISSING):
            warnings.append(MediaWarning("W1101", f"cut off: {text}; the answer is for those"))
    return waveform, rate, n_channels, warnings


def _to_samples(start: float, end: float | None, rate: int) -> tuple[int, int | None]:
    """Return the first sample of a stretch and the one after its last."""
    return int(start * rate), None if end is None or end == math.inf else int(end * rate)


def _sound_blocks(sound: Any, wanted: int) -> Iterator[Waveform]:
    """Yield blocks [T, C] of `wanted` frames, or of as many as there are."""
    block = max(1, _BLOCK // sound.channels)
    # The same numbers as libsndfile's own conversion, in a quarter of its time.
    whole = sound.subtype == "PCM_16"
    while wanted > 0:
        size = min(block, wanted)
        piece = sound.read(size, dtype="int16" if whole else "float32", always_2d=True)
        if len(piece) == 0:
            return
        wanted -= len(piece)
        yield piece * np.float32(1 / 32_768) if whole else piece


def _reason(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's sentence, or ours where it would puzzle."""
    text: str = error.error_string.strip()
    if "psf_fseek" in text:
        return "It ends before it says it does."
    if "regular file" in text:  # said of bytes, too
        return "No sound is found in it."
    return text


def _refusal(text: str, container: str, name: str) -> MediaError:
    """Turn libsndfile's reason for not opening a recognised container into ours."""
    if "'data' chunk" in text or "no sound data" in text:
        return MediaError("E1003", name, f"a {container} header without data; expected sound.")
    if "hannel" in text:
        return MediaError("E1107", name, f"{text} Expected 1 to 8 channels.")
    if "SF_INFO" in text or "sample rate" in text:
        return MediaError("E1104", name, f"{text} Expected 4,000 to 192,000 Hz.")
    compressed = container in ("flac", "ogg", "mp3")  # there it is said of what is damaged
    if ("unimplemented" in text and not compressed) or "Malformed 'fmt ' chunk" in text:
        return MediaError("E1109", name, "its codec cannot be read; expected PCM or the like.")
    if "No 'RIFF'" in text:  # a first one was there: _recognise saw it
        return MediaError("E1110", name, "two recordings glued; expected one. Save them apart.")
    return MediaError("E1402", name, f"{text} Expected readable {container}.")


def _beyond(start: float, seconds: float, name: str) -> MediaError:
    return MediaError(
        "E1203",
        name,
        f"starts at {start:g} s but lasts {seconds:.2f} s; expected a start before its end.",
    )


def _refuse_open(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
    raise PermissionError(f"a recording may not open '{url}'")


def _decode_av(
    file: BinaryIO,
    decoder: str,
    container: str,
    name: str,
    limits: Limits,
    start: float,
    end: float | None,
) -> tuple[Waveform, int, int, list[MediaWarning]]:
    import av  # 0.15 s: only where libsndfile does not do

    try:
        with av.open(
            file, mode="r", format=decoder, io_open=_refuse_open, metadata_errors="replace"
        ) as media:
            if not media.streams.audio:
                raise MediaError("E1601", name, "no audio stream; expected sound. Record it again.")
            stream = media.streams.audio[0]
            if stream.codec_context is None:
                raise MediaError(
                    "E1109", name, "its codec cannot be read; expected AAC, Opus or the like."
                )
            rate, n_channels = stream.rate, stream.channels
            _check_header(rate, n_channels, None, name, limits)
            resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=rate)
            first, last = _to_samples(start, end, rate)
            blocks = _cut(_av_blocks(media.decode(stream), resampler, n_channels), first, last)
            waveform = _collect(blocks, rate, n_channels, name, limits)
            seconds = (media.duration or 0) / av.time_base
    except (av.FFmpegError, PermissionError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError("E1402", name, f"{reason}; expected readable {container}.") from None
    if first and len(waveform) == 0:
        raise _beyond(start, seconds, name)
    return waveform, rate, n_channels, []


def _cut(blocks: Iterator[Waveform], first: int, last: int | None) -> Iterator[Waveform]:
    """Yield what lies from `first` to before `last`; ask for nothing behind it."""
    at = 0
    for block in blocks:
        yield block[max(0, first - at) : None if last is None else last - at]
        at += len(block)
        if last is not None and at >= last:
            return


def _av_blocks(frames: Iterator[Any], resampler: Any, n_channels: int) -> Iterator[Waveform]:
    """Yield decoded frames as [T, C] float32; the last call drains the converter.

    Channels must come interleaved: of eight in planes PyAV 18.1 reads a ninth, and crashes.
    """
    for frame in chain(frames, [None]):
        for piece in resampler.resample(frame):
            yield piece.to_ndarray().reshape(-1, n_channels)


# --- what came out -----------------------------------------------------------------------------


def _inspect(waveform: Waveform, rate: int, name: str) -> list[MediaWarning]:
    """Refuse what is not finite or absurdly large; warn of silence, clipping, narrow band."""
    peak = float(max(waveform.max(), -waveform.min()))
    if not np.isfinite(peak) or not np.isfinite(waveform).all():
        bad = np.flatnonzero(~np.isfinite(waveform))
        raise MediaError(
            "E1301",
            name,
            f"{len(bad):,} of {len(waveform):,} samples are not finite, the first at "
            f"{bad[0] / rate:.3f} s; expected numbers. Export it again.",
        )
    if peak > _MAX_AMPLITUDE:
        raise MediaError(
            "E1302", name, f"amplitude {peak:.3g}; expected about 1. Export it again, scaled."
        )
    warnings = []
    if rate < SAMPLE_RATE:
        text = f"recorded at {rate:,} Hz: sound above {rate // 2:,} Hz is missing"
        warnings.append(MediaWarning("W1105", text))
    if peak < _SILENCE:
        warnings.append(MediaWarning("W1304", "silence: nothing louder than -70 dB"))
    elif peak > 1.0:
        warnings.append(MediaWarning("W1303", f"beyond full scale: amplitude {peak:.2f}"))
    if peak >= _FULL_SCALE:
        share = float(np.mean(np.abs(waveform) >= min(_FULL_SCALE, peak)))
        if share > 0.01:
            warnings.append(MediaWarning("W1306", f"clipped: {share:.0%} of samples at full scale"))
    return warnings
