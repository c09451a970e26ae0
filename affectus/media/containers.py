"""Which container a file is, and whether it is as long as its own header says."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

from affectus.errors import LimitError, MediaError
from affectus.media.recording import Limits, MediaWarning

_UNKNOWN = 0xFFFFFF00  # sizes from here on: a streaming writer left all bits set
_MAX_CHUNKS = 1_000

# What a name may end in, by container; a name that ends otherwise says nothing.
_ENDINGS = {
    "wav": (".wav",), "rf64": (".wav", ".rf64"), "w64": (".w64",), "flac": (".flac",),
    "ogg": (".ogg", ".oga", ".opus"), "mp3": (".mp3",), "aiff": (".aiff", ".aif", ".aifc"),
    "au": (".au",), "caf": (".caf",), "mp4": (".mp4", ".m4a", ".mov", ".3gp", ".m4v"),
    "mov": (".mov", ".mp4", ".m4a"), "matroska": (".mkv", ".webm", ".mka"), "flv": (".flv",),
    "avi": (".avi",), "amr": (".amr",), "aac": (".aac",),
}  # fmt: skip

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


def recognise(head: bytes, name: str) -> tuple[str, str]:
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
    if head.startswith(b"version https://git-lfs"):
        text = "a Git LFS pointer; expected the recording that it stands for. Run: git lfs pull"
        raise MediaError("E1006", name, text)
    found = next((what for magic, what in _NOT_AUDIO if head.startswith(magic)), "")
    if not found:
        found = "a text" if head.isascii() and b"\0" not in head else "an unknown format"
    raise MediaError(
        "E1002",
        name,
        f"not audio: {found}; expected wav, flac, ogg, mp3, m4a, mp4, webm or the like."
        f"{' Unpack it.' if found.endswith(' archive') else ''}",
    )


def compare_ending(name: str, container: str) -> list[MediaWarning]:
    """Warn where a name ends in what another container is called."""
    ending = Path(name).suffix.lower()
    of_others = {known for endings in _ENDINGS.values() for known in endings}
    if ending not in of_others or ending in _ENDINGS[container]:
        return []
    text = f"the name ends in {ending}, the content is {container}: the content was read"
    return [MediaWarning("W1401", text)]


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


def open_source(source: Path | str | bytes, name: str, limits: Limits) -> BinaryIO:
    """Return a file, or the bytes of one, to read from; refuse what is no file or too large."""
    if isinstance(source, bytes):
        _check_size(len(source), name, limits)
        return _Source(io.BytesIO(source))
    path = Path(source)
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise MediaError("E1000", name, f"{kind}; expected a recording. Check the path.")
        file = _Source(io.FileIO(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MediaError(
            "E1000", name, f"{reason}; expected a recording. Check the path."
        ) from None
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


def find_truncation(file: BinaryIO, head: bytes, size: int, container: str) -> list[MediaWarning]:
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
    if claimed >= _UNKNOWN and container in ("wav", "aiff", "au"):  # sizes of 32 bits
        return [MediaWarning("W1102", "its header does not say how long it is: read to its end")]
    if size < claimed:
        text = f"cut off: {size:,} of {claimed:,} bytes; the answer is for what is there"
        return [MediaWarning("W1101", text)]
    return []


class _TooManyChunksError(Exception):
    """A RIFF has more chunks than any program writes."""


def check_riff(file: BinaryIO, name: str) -> None:
    """Refuse a RIFF of a thousand chunks before its sound, which would take minutes to walk, and
    PCM of a width that libsndfile takes for another (13 bits for 16).
    """
    order = "<" if file.read(4) == b"RIFF" else ">"
    try:
        _find_chunk(file, b"data", order)
        chunk = _find_chunk(file, b"fmt ", order)
    except _TooManyChunksError:
        raise MediaError(
            "E1112",
            name,
            f"more than {_MAX_CHUNKS:,} chunks before its sound; expected a few. Export it again.",
        ) from None
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
    raise _TooManyChunksError
