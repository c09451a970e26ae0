"""The decode gate: a recording to a mono waveform, a film to pictures. Only here are decoders.

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
    E1006 Git LFS pointer     E1203 not such a stretch   E1601 no audio stream
    E1101 truncated           E1112 too many chunks      E1602 no video stream
    E1104 sample rate

    W1101 truncated           W1303 beyond full scale    W1401 ending of another
    W1102 length not said     W1304 silence              W1402 damaged pictures
    W1105 narrow band         W1305 not centred          W1701 sound and picture apart
                              W1306 clipped

The predictor adds W1106 narrow band by its sound, W1202 short, W1307 no speech and W1308 very
quiet, and of films W1704 one stream alone; face features E1606 no face, W1702 hardly a face and
W1703 several. The gate does not detect speech, and it does not keep more than one channel.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.errors import CorpusError, MediaError
from affectus.media.containers import compare_ending, find_truncation, open_source, recognise
from affectus.media.decoding import (
    Decoding,
    check_header,
    decode_av,
    decode_soundfile,
)
from affectus.media.frames import Frame, Image, cut_frames, encode_png, on_grid, take_picture
from affectus.media.intake import Inspector, Intake
from affectus.media.recording import SAMPLE_RATE, Limits, MediaWarning, Recording, Waveform
from affectus.media.video import FRAME_RATE, Shown, Video, compare_streams, open_video
from affectus.media.writing import write_audio, write_video

__all__ = [
    "AUDIO_ENDINGS",
    "FRAME_RATE",
    "SAMPLE_RATE",
    "Decoding",
    "Frame",
    "Image",
    "Intake",
    "Limits",
    "MediaWarning",
    "Recording",
    "Shown",
    "Video",
    "Waveform",
    "compare_streams",
    "cut_frames",
    "decoder_version",
    "encode_png",
    "from_waveform",
    "list_media",
    "load_decoders",
    "on_grid",
    "open_audio",
    "open_video",
    "read_audio",
    "take_picture",
    "take_samples",
    "write_audio",
    "write_video",
]

AUDIO_ENDINGS = frozenset({
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64", ".rf64", ".m4a", ".aac", ".amr", ".mp4", ".mov", ".mkv", ".webm", ".flv", ".avi",
    ".3gp",
})  # fmt: skip

_NOTHING = np.zeros(0, np.float32)


@cache
def decoder_version() -> str:
    """Name the decoders and the resampler with their versions, for the features' provenance."""
    libsndfile = soundfile.__libsndfile_version__
    return f"libsndfile {libsndfile}, PyAV {version('av')}, soxr {version('soxr')}"


def load_decoders() -> None:
    """Load what is loaded only when the first recording needs it, as a server does at its start."""
    import av  # noqa: F401


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
    with open_source(source, shown, limits) as file:
        decoding = _begin(file, shown, limits, start, end)
        pieces = list(decoding.blocks)
    found = Recording(
        pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, _NOTHING]),
        decoding.rate,
        decoding.rate,
        decoding.n_channels,
        decoding.container,
        decoding.codec,
        tuple(decoding.warnings),
    )
    return _finish(found, sample_rate, shown, limits)


@contextmanager
def open_audio(
    source: Path | str | bytes, *, name: str | None = None, limits: Limits = Limits()
) -> Iterator[Decoding]:
    """Decode a file, or the bytes of one, block by block, however long it is.

    Gives the waveform at the source's own rate, unchecked: pass its blocks through an `Intake`.
    Raises MediaError as `read_audio` does, also while blocks are taken.
    """
    shown = name if name is not None else "bytes" if isinstance(source, bytes) else str(source)
    with open_source(source, shown, limits) as file:
        yield _begin(file, shown, limits, 0.0, None)


def _begin(file: BinaryIO, name: str, limits: Limits, start: float, end: float | None) -> Decoding:
    """Recognise a recording and begin to decode it."""
    head = file.read(64)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    container, demuxer = recognise(head, name)
    if demuxer:
        decoding = decode_av(file, demuxer, container, name, limits, start, end)
    else:
        decoding = decode_soundfile(file, container, name, limits, start, end)

    def read(blocks: Iterator[Waveform]) -> Iterator[Waveform]:
        yield from blocks
        if not decoding.warnings:
            decoding.warnings.extend(find_truncation(file, head, size, container))
        if not head.startswith(b"ID3"):  # which stands before sound of any kind
            decoding.warnings.extend(compare_ending(name, container))

    decoding.blocks = read(decoding.blocks)
    return decoding


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
    mono = take_samples(waveform, source_rate, name=name, limits=limits)
    n_channels = 1 if waveform.ndim == 1 else waveform.shape[1]
    found = Recording(mono, source_rate, source_rate, n_channels, "array")
    return _finish(found, sample_rate, name, limits)


def take_samples(
    waveform: NDArray[np.generic],
    source_rate: int,
    *,
    name: str = "array",
    limits: Limits = Limits(),
) -> Waveform:
    """Return samples [T] or [T, C], floats of −1 to 1, as a mono waveform [T], not yet looked at.

    Raises MediaError E1107 for another shape, and for a rate or length beyond the limits.
    """
    if waveform.ndim not in (1, 2) or not np.issubdtype(waveform.dtype, np.floating):
        raise MediaError(
            "E1107",
            name,
            f"an array {waveform.dtype} of shape {waveform.shape}; expected floats [T] or [T, C].",
        )
    n_channels = 1 if waveform.ndim == 1 else waveform.shape[1]
    check_header(source_rate, n_channels, len(waveform), name, limits)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        mono: Waveform = (waveform if waveform.ndim == 1 else waveform.mean(axis=1)).astype(
            np.float32, copy=False
        )
    return mono


def _finish(found: Recording, sample_rate: int | None, name: str, limits: Limits) -> Recording:
    """Check what was decoded, then resample it; the same on every way in."""
    inspector = Inspector(found.source_rate, name)
    inspector.look(found.waveform)
    warnings = (*found.warnings, *inspector.check(limits))
    waveform, rate = found.waveform, found.source_rate
    if sample_rate is not None and sample_rate != rate:
        waveform = soxr.resample(waveform, rate, sample_rate, quality="HQ")
        rate = sample_rate
    return replace(found, waveform=waveform, sample_rate=rate, warnings=warnings)


def list_media(folder: Path) -> list[Path]:
    """Return the audio and video files below a folder: the outer ones first, then by name."""
    if not folder.is_dir():
        there = folder.exists()
        found = "a file" if there else "no such folder"
        remedy = "Give the folder; unpack an archive." if there else "Check the path."
        raise CorpusError(f"{folder}: {found}; expected a folder of recordings. {remedy}")
    folder = folder.absolute()
    files = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_ENDINGS and not path.name.startswith(".")
    )
    return sorted(files, key=lambda path: (len(path.parts), path.parts))
