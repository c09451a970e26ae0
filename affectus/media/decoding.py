"""From a container's bytes to samples: libsndfile or FFmpeg, under limits, a block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import soundfile

from affectus.errors import LimitError, MediaError
from affectus.media.containers import check_riff
from affectus.media.quiet import hushed
from affectus.media.recording import Limits, MediaWarning, Waveform

_BLOCK = 1 << 18  # samples over all channels decoded at a time
_MISSING = 0.02  # share of the announced samples that may be missing without a warning


@dataclass
class Decoding:
    """A recording that is being decoded: `blocks` are its waveform [t], mono, one after another.

    `rate` is in Hz. `begins` is when the first sample is heard, in seconds of the clock that the
    file's pictures are on, and `has_pictures` whether there are any (the cover of an album is
    none). `warnings` are all there only once the last block is out; errors may come with any block.
    """

    rate: int
    n_channels: int
    container: str
    codec: str
    blocks: Iterator[Waveform]
    warnings: list[MediaWarning] = field(default_factory=list)
    begins: float = 0.0
    has_pictures: bool = False


def check_header(rate: int, n_channels: int, frames: int | None, name: str, limits: Limits) -> None:
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
        check_length(frames, rate, n_channels, name, limits)


def check_length(frames: int, rate: int, n_channels: int, name: str, limits: Limits) -> None:
    """Refuse what is longer, or larger once decoded, than allowed; ask again while decoding."""
    if frames > limits.max_seconds * rate or frames * n_channels * 4 > limits.max_decoded_bytes:
        raise LimitError(
            "E1502",
            name,
            f"decodes to {frames / rate:,.0f} s x {n_channels} channels; the limit is "
            f"{limits.max_seconds:,.0f} s and {limits.max_decoded_bytes:,} bytes. "
            f"Cut it, or raise --max-seconds.",
        )


def _mix(
    blocks: Iterator[Waveform], rate: int, n_channels: int, name: str, limits: Limits
) -> Iterator[Waveform]:
    """Average channels block by block, [T, C] to [T], under the limits."""
    n_frames = 0
    for block in blocks:
        n_frames += len(block)
        check_length(n_frames, rate, n_channels, name, limits)
        yield mix_down(block)


def mix_down(block: Waveform) -> Waveform:
    """Return the mean [T] of the channels [T, C]."""
    if block.shape[1] == 1:
        return block[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        mean: Waveform = block.mean(axis=1, dtype=np.float32)
    return mean


def decode_soundfile(
    file: BinaryIO,
    container: str,
    name: str,
    limits: Limits,
    start: float,
    end: float | None,
) -> Decoding:
    """Begin to decode what libsndfile reads."""
    if container == "wav":
        check_riff(file, name)
    try:
        with hushed():
            sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise _refusal(_reason(error), container, name) from None
    rate, n_channels, known = sound.samplerate, sound.channels, sound.frames
    if known > 1 << 40:  # a FLAC that does not say; libsndfile loses the end of it
        sound.close()
        file.seek(0)
        return decode_av(file, container, container, name, limits, start, end)
    first, last = _to_samples(start, end, rate)
    wanted = (known if last is None else min(known, last)) - first
    check_header(rate, n_channels, wanted, name, limits)
    if first and first >= known:
        raise _beyond(start, known / rate, name)
    warnings: list[MediaWarning] = []
    pieces = _mix(
        _read_sound(sound, first, wanted, container, name, warnings),
        rate, n_channels, name, limits,
    )  # fmt: skip
    return Decoding(rate, n_channels, container, sound.subtype.lower(), pieces, warnings)


def _read_sound(
    sound: Any, first: int, wanted: int, container: str, name: str, warnings: list[MediaWarning]
) -> Iterator[Waveform]:
    """Yield [T, C] from `first` on, and tell what is missing at the end."""
    n_frames = 0
    with sound:
        try:
            if first:
                with hushed():
                    sound.seek(first)
            for block in _sound_blocks(sound, wanted):
                n_frames += len(block)
                yield block
        except soundfile.LibsndfileError as error:
            text = f"{_reason(error)} Expected readable {container}."
            raise MediaError("E1402", name, text) from None
        rate = sound.samplerate
    if n_frames < wanted:
        text = f"decodes to {n_frames / rate:.2f} of {wanted / rate:.2f} s"
        if container == "flac":
            raise MediaError("E1402", name, f"{text}; expected all of it. Copy the file again.")
        if n_frames < wanted * (1 - _MISSING):
            warnings.append(MediaWarning("W1101", f"cut off: {text}; the answer is for those"))


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
        with hushed():
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
    if "No 'RIFF'" in text:  # a first one was there: recognise saw it
        return MediaError("E1110", name, "two recordings glued; expected one. Save them apart.")
    return MediaError("E1402", name, f"{text} Expected readable {container}.")


def _beyond(start: float, seconds: float, name: str) -> MediaError:
    return MediaError(
        "E1203",
        name,
        f"starts at {start:g} s but lasts {seconds:.2f} s; expected a start before its end.",
    )


def refuse_open(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
    """Refuse what a recording asks FFmpeg to open besides itself."""
    raise PermissionError(f"a recording may not open '{url}'")


def explain(error: Exception) -> str:
    """Return what is wrong with a recording, in FFmpeg's words where it has any."""
    if isinstance(error, IndexError):  # of PyAV 18.1, which knows the streams of the beginning
        return "a stream of it begins late"
    return str(getattr(error, "strerror", None) or error)


def decode_av(
    file: BinaryIO,
    demuxer: str,
    container: str,
    name: str,
    limits: Limits,
    start: float,
    end: float | None,
) -> Decoding:
    """Begin to decode by that demuxer of FFmpeg's."""
    warnings: list[MediaWarning] = []
    found = _read_av(file, demuxer, container, name, limits, start, end, warnings)
    rate, n_channels, codec, begins, has_pictures = next(found)
    return Decoding(rate, n_channels, container, codec, found, warnings, begins, has_pictures)


def find_pictures(media: Any) -> Any:
    """Return the first stream of pictures in an open container that is no album's cover, or None.

    Zero of both streams' clock is where the container says that it begins.
    """
    import av

    cover = av.stream.Disposition.attached_pic
    return next((s for s in media.streams.video if not s.disposition & cover), None)


def _read_av(
    file: BinaryIO,
    demuxer: str,
    container: str,
    name: str,
    limits: Limits,
    start: float,
    end: float | None,
    warnings: list[MediaWarning],
) -> Iterator[Any]:
    """Yield (rate in Hz, channels, codec, begins, has_pictures), then blocks [t].

    At the end, tell what is cut off.
    """
    import av  # 0.15 s: only where libsndfile does not do

    n_frames = 0
    try:
        with av.open(
            file, mode="r", format=demuxer, io_open=refuse_open, metadata_errors="replace"
        ) as media:
            if not media.streams.audio:
                raise MediaError("E1601", name, "no audio stream; expected sound. Record it again.")
            stream = media.streams.audio[0]
            if stream.codec_context is None:
                raise MediaError(
                    "E1109", name, "its codec cannot be read; expected AAC, Opus or the like."
                )
            rate, n_channels, codec = stream.rate, stream.channels, stream.codec_context.name
            check_header(rate, n_channels, None, name, limits)
            begins = 0.0
            if stream.start_time is not None and stream.time_base is not None:
                begins = (
                    float(stream.start_time * stream.time_base) - (media.start_time or 0) * 1e-6
                )
            yield rate, n_channels, codec, begins, find_pictures(media) is not None
            resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=rate)
            first, last = _to_samples(start, end, rate)
            blocks = _cut(_av_blocks(media.decode(stream), resampler, n_channels), first, last)
            for block in _mix(blocks, rate, n_channels, name, limits):
                n_frames += len(block)
                yield block
            seconds = (media.duration or 0) / av.time_base
            # Beside a picture the sound may end earlier; of others the length is a guess.
            told = container in ("matroska", "flv") and not media.streams.video
    except (av.FFmpegError, PermissionError, ValueError, IndexError) as error:
        reason = explain(error)
        raise MediaError("E1402", name, f"{reason}; expected readable {container}.") from None
    if first and n_frames == 0:
        raise _beyond(start, seconds, name)
    if told and end is None and n_frames / rate < (seconds - start) * (1 - _MISSING):
        text = f"cut off: decodes to {n_frames / rate:.2f} of {seconds - start:.2f} s"
        warnings.append(MediaWarning("W1101", f"{text}; the answer is for those"))


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
