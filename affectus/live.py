"""The microphone of this machine, answered while it is heard.

`listen` opens it and yields, several times a second, how loud it is, what was answered and, when
it is over, the answer for all of it: what `Predictor.predict` says of the same samples. Nothing is
kept. It needs the extra `live` (sounddevice, and the library PortAudio).
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.predictor import Prediction, Predictor, Segment

_BLOCK_SECONDS = 0.1
_MAX_WAITING = 100  # blocks; beyond it the machine cannot keep up
_SILENCE = -60.0  # dB, the lowest level that is told
_LONGEST_SECONDS = 3_600.0
_LOST_SECONDS = 5.0  # without a block: the microphone was pulled out


@dataclass(frozen=True)
class Device:
    """A microphone: its number, name, channels and own rate in Hz; `usual` if the system's own."""

    number: int
    name: str
    channels: int
    sample_rate: int
    usual: bool


@dataclass(frozen=True)
class Heard:
    """What was heard of a block: `seconds` so far, its peak in dB, windows that are now complete.

    `prediction` is None until the last, which is of everything.
    """

    seconds: float
    level: float
    segments: list[Segment]
    prediction: Prediction | None = None


def list_devices() -> list[Device]:
    """Return the microphones there are. Raises ConfigError if PortAudio is missing."""
    sounddevice = _load()
    usual = int(sounddevice.default.device[0])
    return [
        Device(
            number,
            str(facts["name"]),
            int(facts["max_input_channels"]),
            round(facts["default_samplerate"]),
            number == usual,
        )
        for number, facts in enumerate(sounddevice.query_devices())
        if facts["max_input_channels"] > 0
    ]


def find_device(wanted: str | None) -> Device:
    """Return the microphone of that number, or whose name holds that text; the usual by default.

    Raises ConfigError if there is none, or several.
    """
    devices = list_devices()
    if not devices:
        raise ConfigError("listen: no microphone; expected one. Plug one in, or allow it.")
    if wanted is None:
        return next((device for device in devices if device.usual), devices[0])
    found = [device for device in devices if str(device.number) == wanted]
    found = found or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(found) != 1:
        known = "; ".join(f"{device.number} {device.name}" for device in devices)
        raise ConfigError(f"listen: {len(found)} microphones '{wanted}'; expected one of: {known}.")
    return found[0]


def listen(
    predictor: Predictor,
    device: Device,
    *,
    seconds: float = _LONGEST_SECONDS,
    window: float = 3.0,
    hop: float = 1.0,
    labels: str | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Heard]:
    """Yield what is heard, for so many seconds or until `stop` is set.

    Raises ConfigError if the microphone cannot be opened or is lost, MediaError if in the end it
    was too little.
    """
    sounddevice = _load()
    stream = predictor.stream(device.sample_rate, window=window, hop=hop, labels=labels)
    blocks: queue.Queue[NDArray[np.float32]] = queue.Queue(_MAX_WAITING)
    late = False

    def take(samples: NDArray[np.float32], n_samples: int, time: Any, status: Any) -> None:
        nonlocal late
        try:
            blocks.put_nowait(samples[:, 0].copy())  # the array is PortAudio's
        except queue.Full:
            late = True

    try:
        microphone = sounddevice.InputStream(
            samplerate=device.sample_rate, device=device.number, channels=1, dtype="float32",
            blocksize=round(_BLOCK_SECONDS * device.sample_rate), callback=take,
        )  # fmt: skip
    except sounddevice.PortAudioError as error:
        raise ConfigError(
            f"listen: {device.name} cannot be opened: {error}; expected a microphone that is free. "
            f"Close what else uses it, or choose another: --list-devices"
        ) from None
    with microphone:
        while stream.seconds < seconds and not (stop is not None and stop.is_set()):
            try:
                block = blocks.get(timeout=_LOST_SECONDS)
            except queue.Empty:
                raise ConfigError(
                    f"listen: {device.name} gave nothing for {_LOST_SECONDS:g} s; expected sound. "
                    f"Plug it in again."
                ) from None
            if late:
                raise ConfigError(
                    "listen: this machine cannot keep up; expected answers as fast as sound. "
                    "Set a longer --hop."
                )
            found = stream.feed(block)
            yield Heard(stream.seconds, _level(block), found)
    yield Heard(stream.seconds, _SILENCE, [], stream.finish())


def _level(block: NDArray[np.float32]) -> float:
    peak = float(np.abs(block).max(initial=0.0))
    return max(_SILENCE, 20 * math.log10(peak)) if peak > 0 else _SILENCE


def _load() -> ModuleType:
    try:
        import sounddevice
    except OSError:
        raise ConfigError(
            "listen: the library PortAudio is missing; expected it beside sounddevice. Install it: "
            "apt install libportaudio2"
        ) from None
    module: ModuleType = sounddevice
    return module
