"""The camera of this machine: its pictures at an even rate, on the clock of who listens."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectus.errors import ConfigError
from affectus.media import Frame, on_grid, take_picture

_MAX_WAITING = 100  # pictures; beyond it the machine cannot keep up
_POLL_SECONDS = 0.1
_LOST_SECONDS = 5.0  # without a picture: the camera was pulled out
_USUAL_RATE = 30.0  # pictures a second, of a camera that does not say


class Camera:
    """An open camera, by its number, or a film's file in its place: use it as a context.

    A thread of its own takes the pictures; `take` gives those that have come. A camera's times are
    seconds since it began, a film's are its own; `ended` says that a film is over.

    Raises ConfigError if it cannot be opened.
    """

    def __init__(self, device: int | Path, rate: float) -> None:
        self._is_camera, self._rate = isinstance(device, int), rate
        self._name = f"camera {device}" if isinstance(device, int) else str(device)
        self._capture = _open(device, self._name)
        self._waiting: queue.Queue[Frame | None] = queue.Queue(_MAX_WAITING)
        self._stop = threading.Event()
        self._late = self.ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Camera:
        """Begin to take pictures."""
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the camera back."""
        self._stop.set()
        self._thread.join()
        self._capture.release()

    @property
    def name(self) -> str:
        """What to call it."""
        return self._name

    def take(self, until: float | None = None) -> list[Frame]:
        """Return the pictures that wait; without `until` one, waited for.

        Of a film, whose times do not pass by themselves, those up to `until` seconds.

        Raises ConfigError if the camera gives none any more, or more than can be looked at.
        """
        frames: list[Frame] = []
        while not self.ended:
            if self._late:
                raise ConfigError(
                    "listen: this machine cannot keep up; expected answers as fast as pictures. "
                    "Set a longer --hop."
                )
            behind = not frames or frames[-1].time < (until or 0.0)
            wait = behind and (until is None or not self._is_camera)
            try:
                frame = self._waiting.get(wait, _LOST_SECONDS)
            except queue.Empty:
                if wait:
                    raise self._lost(f"for {_LOST_SECONDS:g} s") from None
                break
            if frame is None:
                self.ended = True
                break
            frames.append(frame)
            if until is None or (not self._is_camera and frame.time >= until):
                break
        if self.ended and not frames and self._is_camera:
            raise self._lost("any more")
        return frames

    def _lost(self, how_long: str) -> ConfigError:
        return ConfigError(
            f"listen: {self._name} gave nothing {how_long}; expected pictures. Plug it in again."
        )

    def _run(self) -> None:
        for frame in on_grid(self._read(), self._rate):
            self._put(frame)
        self._put(None)

    def _put(self, frame: Frame | None) -> None:
        while not self._stop.is_set():
            try:
                self._waiting.put(frame, timeout=_POLL_SECONDS)
            except queue.Full:
                self._late = self._is_camera
            else:
                return

    def _read(self) -> Iterator[tuple[Frame, float]]:
        """Yield each picture, and for how long it is shown."""
        import cv2

        duration = 1 / (self._capture.get(cv2.CAP_PROP_FPS) or _USUAL_RATE)
        while not self._stop.is_set():
            there, image = self._capture.read()
            if not there:
                return
            if self._is_camera:
                seconds = time.monotonic() - self._began
            else:
                seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield take_picture(image, seconds), duration


def _open(device: int | Path, name: str) -> Any:
    try:
        import cv2
    except ImportError:
        raise ConfigError(
            "listen: OpenCV is missing; expected it for a camera. Install it: "
            "pip install 'affectus[face]'"
        ) from None
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(device if isinstance(device, int) else str(device))
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise ConfigError(
            f"listen: {name} cannot be opened; expected a camera that is free. Plug one in, allow "
            f"it, or choose another: --camera-number 1"
        )
    return capture
