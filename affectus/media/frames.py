"""Pictures of a film or a camera: one at a time, upright, and on a steady clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

TOLERANCE = 1e-6  # s; times in milliseconds, as FLV and Matroska have them, are not exact

_MAX_SHOWN = 1920 * 1080  # pixels; a larger picture is made smaller
# Formats whose first plane is the luma, a byte a pixel; 'yuvj' and grey ones fill 0 to 255.
_LUMA_FIRST = frozenset({
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv411p", "nv12", "gray",
})  # fmt: skip


class Frame:
    """A picture, upright, that is to be seen at `time` seconds on its file's clock.

    `shown` is when it was first shown: of a film with fewer pictures than are asked for, one is
    given several times.
    """

    __slots__ = ("_image", "_turns", "shown", "time")

    def __init__(self, time: float, image: Any, shown: float | None = None, turns: int = 0) -> None:
        """Take a picture of PyAV's, or one in memory: [H, W, 3] RGB or [H, W] grey, uint8.

        `turns` are quarter turns counter-clockwise that bring it upright.
        """
        self.time = time
        self.shown = time if shown is None else shown
        self._image = image
        self._turns = turns

    @property
    def luma(self) -> Image:
        """The brightness [H, W] uint8; black and white are those of `luma_range`."""
        image = self._image
        if not isinstance(image, np.ndarray):
            if image.format.name in _LUMA_FIRST:
                plane = image.planes[0]
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                image = rows[: image.height, : image.width]
            else:
                image = image.to_ndarray(format="gray")
        elif image.ndim == 3:  # ITU-R BT.601, section 2.5.1
            image = (image @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)
        return self._upright(image)

    @property
    def luma_range(self) -> tuple[int, int]:
        """What black and white are in `luma`: (16, 235) in most films (ITU-R BT.601)."""
        if isinstance(self._image, np.ndarray):
            return 0, 255
        name = self._image.format.name
        full = name not in _LUMA_FIRST or name == "gray" or "j" in name
        return (0, 255) if full or self._image.color_range == 2 else (16, 235)

    @property
    def colour(self) -> Image:
        """The picture [H, W, 3] uint8, RGB."""
        image = self._image
        if not isinstance(image, np.ndarray):
            image = image.to_ndarray(format="rgb24")
        elif image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        return self._upright(image)

    def at(self, time: float) -> Frame:
        """Return the same picture for another time."""
        return Frame(time, self._image, self.shown, self._turns)

    def _upright(self, image: Image) -> Image:
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image


def fit_picture(picture: Any) -> Any:
    """Return a picture of at most 1920 x 1080 pixels, or as many in another shape."""
    share = _MAX_SHOWN / (picture.width * picture.height)
    if share >= 1:
        return picture
    width, height = (max(2, int(n * math.sqrt(share)) // 2 * 2)
                     for n in (picture.width, picture.height))  # fmt: skip
    return picture.reformat(width=width, height=height)


def on_grid(shown: Iterator[tuple[Frame, float]], rate: float) -> Iterator[Frame]:
    """Yield what is to be seen at 0, 1 / rate, 2 / rate, … seconds, from pictures of any times.

    That is the picture nearest in time, or where none is within half a step, the one still shown.
    `shown` are pictures and for how long each is shown, in order.
    """
    half, place, before = 0.5 / rate, 0, None
    until = -math.inf
    for frame, duration in shown:
        if before is None:
            place = max(0, math.ceil((frame.time - half) * rate - TOLERANCE))
        while place / rate < frame.time - TOLERANCE:
            ahead = frame.time - place / rate
            if before is None or ahead <= min(half, place / rate - before.time):
                yield frame.at(place / rate)
            else:
                yield before.at(place / rate)
            place += 1
        before, until = frame, frame.time + duration
    while before is not None and place / rate < max(until, before.time + TOLERANCE) - TOLERANCE:
        yield before.at(place / rate)
        place += 1


def take_picture(image: Image, time: float) -> Frame:
    """Return a camera's picture [H, W, 3] BGR uint8, as OpenCV has them, as a film's frame."""
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
    return Frame(time, fit_picture(picture).reformat(format="yuv420p"))


def cut_frames(frames: Iterable[Frame], start: float, end: float | None) -> Iterator[Frame]:
    """Yield the frames of a stretch, in seconds; those before and behind it are decoded, too.

    Behind it so that it is known whether the film is whole.
    """
    for frame in frames:
        if frame.time >= start and (end is None or frame.time < end):
            yield frame


def encode_png(image: Image) -> bytes:
    """Return a picture [H, W] grey or [H, W, 3] RGB as a PNG file."""
    import av

    form = "gray" if image.ndim == 2 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=form)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, form
    encoder.time_base = Fraction(1, 1)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
