"""The microphone and the camera of this machine, answered while they are heard and seen.

`listen` opens them and yields, several times a second, how loud it is, what was answered and, when
it is over, the answer for all of it: what `Predictor.predict` says of the same samples. Nothing is
kept. It needs the extra `live` (sounddevice, and the library PortAudio), and `face` for a camera.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.live.camera import Camera
from affectus.live.microphone import Device, Microphone, find_device, list_devices
from affectus.predictor import Modality, Prediction, Predictor, Segment

__all__ = ["Device", "Heard", "find_device", "list_devices", "listen"]

_SILENCE = -60.0  # dB, the lowest level that is told
_LONGEST_SECONDS = 3_600.0
_RATE = 16_000  # Hz, of a stream without sound


@dataclass(frozen=True)
class Heard:
    """What was heard of a block: `seconds` so far, its peak in dB, windows that are now complete.

    `prediction` is None until the last, which is of everything.
    """

    seconds: float
    level: float
    segments: list[Segment]
    prediction: Prediction | None = None


def listen(
    predictor: Predictor,
    device: Device | None,
    *,
    camera: int | Path | None = None,
    seconds: float = _LONGEST_SECONDS,
    window: float = 3.0,
    hop: float = 1.0,
    labels: str | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Heard]:
    """Yield what is heard and seen, for so many seconds or until `stop` is set.

    `camera` is a camera's number, or a film's file in its place; without it nothing is looked at,
    and without `device` nothing is heard. Both are on one clock, from the moment they are opened.

    Raises ConfigError if one cannot be opened or is lost, or the model does not take what it is
    given, MediaError if in the end it was too little.
    """
    if camera is not None and "face" not in predictor.streams:
        raise ConfigError(
            f"listen: a camera, but model '{predictor.facts.name}' looks at no face; expected one "
            f"that does. Give another: --model FOLDER"
        )
    rate = device.sample_rate if device else _RATE
    only: Modality | None = "voice" if camera is None else None if device else "face"
    stream = predictor.stream(rate, window=window, hop=hop, labels=labels, only=only)
    with ExitStack() as opened:
        eye = ear = None
        if camera is not None:
            eye = opened.enter_context(Camera(camera, predictor.face_rate))
        if device is not None:
            ear = opened.enter_context(Microphone(device))
        while stream.seconds < seconds and not (stop is not None and stop.is_set()):
            if ear is not None:
                block = ear.take()
                found, level = stream.feed(block), _level(block)
            else:
                found, level = [], _SILENCE
            if eye is not None:
                for frame in eye.take(stream.seconds if ear is not None else None):
                    found += stream.see(frame)
                if ear is None and eye.ended:
                    break
            yield Heard(stream.seconds, level, found)
    yield Heard(stream.seconds, _SILENCE, [], stream.finish())


def _level(block: NDArray[np.float32]) -> float:
    peak = float(np.abs(block).max(initial=0.0))
    return max(_SILENCE, 20 * math.log10(peak)) if peak > 0 else _SILENCE
