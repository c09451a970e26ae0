"""The microphones of this machine."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError

_BLOCK_SECONDS = 0.1
_MAX_WAITING = 100  # blocks; beyond it the machine cannot keep up
_LOST_SECONDS = 5.0  # without a block: the microphone was pulled out


@dataclass(frozen=True)
class Device:
    """A microphone: its number, name, channels and own rate in Hz; `usual` if the system's own."""

    number: int
    name: str
    channels: int
    sample_rate: int
    usual: bool


def list_devices() -> list[Device]:
    """Return the microphones there are. Raises ConfigError if PortAudio is missing."""
    sounddevice = load_sounddevice()
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


class Microphone:
    """An open microphone: use it as a context, and `take` its blocks of a tenth of a second.

    Raises ConfigError if it cannot be opened.
    """

    def __init__(self, device: Device) -> None:
        sounddevice = load_sounddevice()
        self._name = device.name
        self._blocks: queue.Queue[NDArray[np.float32]] = queue.Queue(_MAX_WAITING)
        self._late = False
        try:
            self._stream = sounddevice.InputStream(
                samplerate=device.sample_rate, device=device.number, channels=1, dtype="float32",
                blocksize=round(_BLOCK_SECONDS * device.sample_rate), callback=self._put,
            )  # fmt: skip
        except sounddevice.PortAudioError as error:
            raise ConfigError(
                f"listen: {device.name} cannot be opened: {error}; expected a microphone that is "
                f"free. Close what else uses it, or choose another: --list-devices"
            ) from None

    def __enter__(self) -> Microphone:
        """Begin to hear."""
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the microphone back."""
        self._stream.__exit__(*error)

    def take(self) -> NDArray[np.float32]:
        """Wait for the next block [t]. Raises ConfigError if none comes, or too many have."""
        try:
            block = self._blocks.get(timeout=_LOST_SECONDS)
        except queue.Empty:
            raise ConfigError(
                f"listen: {self._name} gave nothing for {_LOST_SECONDS:g} s; expected sound. "
                f"Plug it in again."
            ) from None
        if self._late:
            raise ConfigError(
                "listen: this machine cannot keep up; expected answers as fast as sound. "
                "Set a longer --hop."
            )
        return block

    def _put(self, samples: NDArray[np.float32], n_samples: int, time: Any, status: Any) -> None:
        try:
            self._blocks.put_nowait(samples[:, 0].copy())  # the array is PortAudio's
        except queue.Full:
            self._late = True


def load_sounddevice() -> ModuleType:
    """Return the library; raises ConfigError if PortAudio is missing."""
    try:
        import sounddevice
    except OSError:
        raise ConfigError(
            "listen: the library PortAudio is missing; expected it beside sounddevice. Install it: "
            "apt install libportaudio2"
        ) from None
    module: ModuleType = sounddevice
    return module
