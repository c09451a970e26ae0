"""From a container's bytes to pictures, one at a time, on the clock that its sound is on.

    with open_video("clip.mp4", rate=15) as video:
        for frame in video:
            frame.time, frame.luma

Times come from the packets, never from a frame rate in a header: CREMA-D's FLV files claim 29.97
frames a second and hold a picture each 33 or 34 ms. Zero is where the container says that it
begins, for sound and picture alike. However long the film, two pictures are held.
"""

from __future__ import annotations

import io
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from affectus.errors import ConfigError, LimitError, MediaError
from affectus.media.containers import open_source, recognise
from affectus.media.decoding import explain, find_pictures, refuse_open
from affectus.media.frames import TOLERANCE, Frame, fit_picture, on_grid
from affectus.media.recording import Limits, MediaWarning

FRAME_RATE = 15.0  # Hz; what face extractors look at unless told otherwise
MAX_OFFSET = 0.2  # s by which sound and picture may begin or end apart without a word

_MISSING = 0.05  # share of the announced pictures that may be missing without a warning


class Shown(NamedTuple):
    """A stretch of a file's clock, seconds."""

    start: float
    end: float


class Video:
    """An open film; iterate over it once. What is counted and warned of is complete at its end.

    `width` and `height` are of its pictures as they are stored, `n_frames` how many were decoded,
    `picture` and `sound` the stretches of the file's clock that each stream fills (None: no such
    stream, or nothing read of it yet).
    """

    def __init__(
        self, media: Any, container: str, name: str, rate: float | None, limits: Limits
    ) -> None:
        self._media, self._rate, self._limits = media, rate, limits
        self.name, self.container = name, container
        self._stream = stream = _find_stream(media, name)
        context = stream.codec_context
        self.codec: str = context.name
        self.width, self.height = context.width, context.height
        _check_size(self.width, self.height, name, limits)
        # A packet may claim to be larger than the header says; and one thread, as everywhere.
        context.options = {"max_pixels": str(limits.max_pixels)}
        context.thread_count = 1
        self._zero = (media.start_time or 0) * 1e-6
        self.n_frames = 0
        self.n_damaged = 0
        self.picture: Shown | None = None
        self.sound: Shown | None = None
        self.warnings: list[MediaWarning] = []

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames at the rate that was asked for, or each as it is."""
        shown = self._decode()
        yield from on_grid(shown, self._rate) if self._rate else (frame for frame, _ in shown)
        self.warnings += self._look_back()

    def _decode(self) -> Iterator[tuple[Frame, float]]:
        """Yield every picture, in order of time, and for how long it is shown."""
        import av

        stream, last, interval = self._stream, -math.inf, 1.0 / (self._rate or FRAME_RATE)
        try:
            for packet in self._media.demux():
                if packet.stream.type == "audio":
                    self._hear(packet)
                if packet.stream is not stream:
                    continue
                try:
                    pictures = packet.decode()
                except av.error.InvalidDataError:
                    self.n_damaged += 1
                    continue
                for picture in pictures:
                    time = self._time(picture)
                    if time <= last + TOLERANCE:  # never back: two of one time are one
                        self.n_damaged += 1
                        continue
                    interval = self._duration(picture) or (
                        time - last if last > -math.inf else interval
                    )
                    last = time
                    self._count(time, interval)
                    turns = round(picture.rotation / 90)
                    yield Frame(time, fit_picture(picture), turns=turns), interval
        except (av.FFmpegError, PermissionError, ValueError, IndexError) as error:
            text = f"{explain(error)}; expected readable {self.container}. Copy the file again."
            raise MediaError("E1402", self.name, text) from None
        if self.picture is None:
            code, found = ("E1402", "none can be decoded") if self.n_damaged else ("E1004", "none")
            text = f"pictures: {found}; expected some. Record it again."
            raise MediaError(code, self.name, text)

    def _time(self, picture: Any) -> float:
        if picture.pts is None:  # raw streams: counted, at the rate that is guessed
            rate = self._stream.guessed_rate or FRAME_RATE
            return self.n_frames / float(rate)
        return float(picture.pts * picture.time_base) - self._zero

    @staticmethod
    def _duration(picture: Any) -> float:
        return float(picture.duration * picture.time_base) if picture.duration else 0.0

    def _count(self, time: float, interval: float) -> None:
        self.n_frames += 1
        start = time if self.picture is None else self.picture.start
        self.picture = Shown(start, time + interval)
        lasts = time - start
        limits = self._limits
        if lasts > limits.max_seconds or time > 2 * limits.max_seconds:
            raise LimitError(
                "E1502",
                self.name,
                f"pictures up to {time:,.0f} s; the limit is {limits.max_seconds:,.0f} s. Cut it, "
                f"or raise --max-seconds.",
            )
        if self.n_frames > limits.max_frame_rate * (lasts + 1):
            raise LimitError(
                "E1502",
                self.name,
                f"{self.n_frames:,} pictures in {lasts:.3f} s; the limit is "
                f"{limits.max_frame_rate:g} a second. Export it at 30.",
            )

    def _hear(self, packet: Any) -> None:
        first = self._media.streams.audio[0]
        if packet.pts is None or packet.is_discard or packet.stream is not first:
            return
        start = float(packet.pts * packet.time_base) - self._zero
        end = start + float((packet.duration or 0) * packet.time_base)
        known = self.sound or Shown(start, end)
        self.sound = Shown(min(known.start, start), max(known.end, end))

    def _look_back(self) -> Iterator[MediaWarning]:
        """Say what was wrong with the film that has been read to its end."""
        assert self.picture is not None
        if self.n_damaged:
            text = f"{self.n_damaged:,} pictures are damaged or out of order and were passed over"
            yield MediaWarning("W1402", text)
        announced = self._stream.frames
        ends = max(self.picture.end, self.sound.end if self.sound else 0.0)
        claimed = (self._media.duration or 0) * 1e-6
        if self.n_frames + self.n_damaged < min(announced - 1, announced * (1 - _MISSING)):
            text = f"cut off: {self.n_frames:,} of {announced:,} pictures; the answer is for those"
            yield MediaWarning("W1101", text)
        elif not announced and ends < claimed - max(MAX_OFFSET, _MISSING * claimed):
            text = f"cut off: {ends:.2f} of {claimed:.2f} s; the answer is for those"
            yield MediaWarning("W1101", text)
        if (warning := compare_streams(self.sound, self.picture)) is not None:
            yield warning


def compare_streams(sound: Shown | None, picture: Shown | None) -> MediaWarning | None:
    """Return a warning if sound and picture begin or end more than 0.2 s apart."""
    if sound is None or picture is None:
        return None
    begin, end = picture.start - sound.start, picture.end - sound.end
    if max(abs(begin), abs(end)) <= MAX_OFFSET:
        return None
    return MediaWarning(
        "W1701",
        f"sound {sound.start:.2f} to {sound.end:.2f} s, picture {picture.start:.2f} to "
        f"{picture.end:.2f} s: more than {MAX_OFFSET:g} s apart",
    )


@contextmanager
def open_video(
    source: Path | str | bytes,
    *,
    name: str | None = None,
    rate: float | None = FRAME_RATE,
    limits: Limits = Limits(),
) -> Generator[Video]:
    """Open a film, or the bytes of one, to be iterated over at `rate` pictures a second.

    The pictures are those at 0, 1 / rate, … seconds of the file's clock, whatever the film's own
    rate, constant or not. With `rate` None each is given as it is.

    Raises MediaError, here or while iterating: E1602 where there is no picture, E1502 (LimitError)
    for one too large, too many or too long, E1402 where they cannot be read.
    """
    import av

    if rate is not None and not 0.1 <= rate <= 240:
        raise ConfigError(f"rate is {rate:g} pictures a second; expected 0.1 to 240. Change it.")
    shown = name if name is not None else "bytes" if isinstance(source, bytes) else str(source)
    with open_source(source, shown, limits) as file:
        container, demuxer = recognise(file.read(64), shown)
        file.seek(0, io.SEEK_SET)
        if not demuxer or container in ("aac", "amr"):
            raise _no_picture(shown, container)
        try:
            media = av.open(
                file,
                mode="r",
                format=demuxer,
                options={"max_pixels": str(limits.max_pixels)},  # also of those it looks at first
                io_open=refuse_open,
                metadata_errors="replace",
            )
        except (av.FFmpegError, PermissionError, ValueError) as error:
            text = f"{explain(error)}; expected readable {container}. Copy the file again."
            raise MediaError("E1402", shown, text) from None
        with media:
            yield Video(media, container, shown, rate, limits)


def _find_stream(media: Any, name: str) -> Any:
    stream = find_pictures(media)
    if stream is None:
        raise _no_picture(name, "sound alone")
    if stream.codec_context is None:
        text = "its pictures' codec cannot be read; expected H.264 or the like."
        raise MediaError("E1109", name, text)
    return stream


def _no_picture(name: str, found: str) -> MediaError:
    text = f"no video stream ({found}); expected pictures. Ask for the voice only, or give a film."
    return MediaError("E1602", name, text)


def _check_size(width: int, height: int, name: str, limits: Limits) -> None:
    if not 0 < width * height <= limits.max_pixels:
        # FFmpeg, told the limit, gives no size where it is passed.
        found = f"of {width:,} x {height:,} pixels" if width * height else "of too many pixels"
        text = f"pictures {found}; the limit is {limits.max_pixels:,}. Export it smaller."
        raise LimitError("E1502", name, text)
