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
    E1006 Git LFS pointer     E1203 not such a stretch   E1601 no audio stream
    E1101 truncated           E1112 too many chunks
    E1104 sample rate

    W1101 truncated           W1303 beyond full scale    W1306 clipped
    W1102 length not said     W1304 silence              W1401 ending of another
    W1105 narrow band         W1305 not centred

It does not detect speech, and it does not keep more than one channel.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from affectus.errors import CorpusError, MediaError
from affectus.media.containers import compare_ending, find_truncation, open_source, recognise
from affectus.media.decoding import check_header, decode_av, decode_soundfile
from affectus.media.recording import SAMPLE_RATE, Limits, MediaWarning, Recording, Waveform

__all__ = [
    "AUDIO_ENDINGS",
    "SAMPLE_RATE",
    "Limits",
    "MediaWarning",
    "Recording",
    "Waveform",
    "decoder_version",
    "from_waveform",
    "list_media",
    "read_audio",
    "write_audio",
]

AUDIO_ENDINGS = frozenset({
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf",
    ".w64", ".rf64", ".m4a", ".aac", ".amr", ".mp4", ".mov", ".mkv", ".webm", ".flv", ".avi",
    ".3gp",
})  # fmt: skip

_SILENCE = 10 ** (-70 / 20)  # peak amplitude below which a recording counts as silent
_MAX_AMPLITUDE = 1e4
_OFF_CENTRE = 0.05  # of full scale: a fault of the sound card, and a thump at each cut
_FULL_SCALE = 0.999


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
    with open_source(source, shown, limits) as file:
        head = file.read(64)
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        container, demuxer = recognise(head, shown)
        if demuxer:
            stream = decode_av(file, demuxer, container, shown, limits, start, end)
        else:
            stream = decode_soundfile(file, container, shown, limits, start, end)
        waveform, source_rate, n_channels, codec, warnings = stream
        if not warnings:
            warnings = find_truncation(file, head, size, container)
        if not head.startswith(b"ID3"):  # which stands before sound of any kind
            warnings += compare_ending(shown, container)
    found = Recording(
        waveform, source_rate, source_rate, n_channels, container, codec, tuple(warnings)
    )
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
    check_header(source_rate, n_channels, len(waveform), name, limits)
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


def _inspect(waveform: Waveform, rate: int, name: str) -> list[MediaWarning]:
    """Refuse what is not finite or absurdly large; warn of silence, clipping, narrow band."""
    peak = float(max(waveform.max(), -waveform.min()))  # both are NaN if one sample is
    if not np.isfinite(peak):
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
    if waveform.max() - waveform.min() < 2 * _SILENCE:  # a constant is no sound
        warnings.append(MediaWarning("W1304", "silence: nothing louder than -70 dB"))
    elif peak > 1.0:
        warnings.append(MediaWarning("W1303", f"beyond full scale: amplitude {peak:.2f}"))
    offset = float(waveform.mean(dtype=np.float64))
    if abs(offset) > _OFF_CENTRE:
        text = f"not centred: its mean is {offset:.2f}; expected 0"
        warnings.append(MediaWarning("W1305", text))
    if peak >= _FULL_SCALE:
        share = float(np.mean(np.abs(waveform) >= min(_FULL_SCALE, peak)))
        if share > 0.01:
            warnings.append(MediaWarning("W1306", f"clipped: {share:.0%} of samples at full scale"))
    return warnings
