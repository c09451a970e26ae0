"""Is there speech in it? Silero's network where it is installed, otherwise a gate over levels.

The gate tells speech from silence and from steady sound (hum, hiss, a tone); music it cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.onnx_session import open_session

Waveform = NDArray[np.float32]
Detector = Callable[[Waveform], bool]
SpeechDetection = Literal["auto", "silero", "energy", "off"]

SILERO_RATE = 16_000
_SILERO_FILE = "data/silero_vad_16k_sequence.onnx"

_STEP, _CONTEXT = 512, 64  # samples at 16 kHz: a frame of Silero's, and what it sees before it
# Frames of silence that are kept before the first sound: half a second. With one, the network meets
# a voice cold, and of 200 RAVDESS, 75 nEMO and 6 CREMA-D clips it missed seven rather than three.
_BEFORE = 16
_SPEECH = 0.5  # probability
_ENOUGH = 0.25  # seconds of speech; less is a click or a cough
_SHARE = 1 / 3  # of what is shorter than that

_SILENT_DB = -60.0  # level of a frame, dB of full scale
_DYNAMIC_DB = 6.0  # between quiet and loud frames; steady noise has 2, speech 15 and more
_FRAME = 0.032  # seconds


def find_detector(choice: SpeechDetection, sample_rate: int) -> Detector:
    """Return a function that says whether a waveform [T] at `sample_rate` Hz holds speech.

    "auto" is Silero's where it is installed and the rate is 16 kHz. Raises ConfigError if "silero"
    cannot be had.
    """
    if choice == "off":
        return lambda waveform: True
    if choice in ("auto", "silero"):
        path = _find_silero()
        if path is not None and sample_rate == SILERO_RATE:
            return SileroDetector(path)
        if choice == "silero":
            found = "not installed" if path is None else f"the model hears {sample_rate:,} Hz"
            raise ConfigError(
                f"speech detection 'silero': {found}; expected the extra 'vad' and "
                f"{SILERO_RATE:,} Hz. Install it: pip install 'affectus[vad]'"
            )
    elif choice != "energy":
        raise ConfigError(
            f"speech detection '{choice}' is not known; expected auto, silero, energy or off."
        )
    return EnergyDetector(sample_rate)


def _find_silero() -> Path | None:
    """Return the file of Silero's network; the package itself would load torch."""
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], _SILERO_FILE)
    return path if path.is_file() else None


class SileroDetector:
    """Silero's voice activity network over 16 kHz; it stops as soon as it has heard enough.

    **Source:** Silero VAD 6 (MIT), its network for whole sequences: frames of 512 samples, each
    with the 64 before it, and the state of a recurrent layer.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_session(path, threads=1)

    def __call__(self, waveform: Waveform) -> bool:
        """Return whether a quarter of a second of it, or a third of less, is speech."""
        frames = self._frames(waveform)
        needed = min(_ENOUGH * SILERO_RATE / _STEP, _SHARE * len(frames))
        state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
        n_speech = 0
        first = 0
        while first < len(frames):
            # No more at a time than could be enough: each takes 60 µs, wherever it is asked.
            block = frames[first : first + math.ceil(needed - n_speech)]
            first += len(block)
            found, hidden, cell = self._session.run(
                ["speech_probs", "hn", "cn"], {"input": block, **state}
            )
            state = {"h": hidden, "c": cell}
            n_speech += int(np.count_nonzero(found > _SPEECH))
            if n_speech >= needed:
                return True
        return False

    def _frames(self, waveform: Waveform) -> Waveform:
        """Return [N, 64 + 512], from half a second before the first frame that is not silent."""
        n_frames = -(-len(waveform) // _STEP)
        padded = np.zeros(_CONTEXT + n_frames * _STEP, np.float32)
        padded[_CONTEXT : _CONTEXT + len(waveform)] = waveform
        frames = np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + _STEP)[::_STEP]
        loud = np.abs(padded[_CONTEXT:]).reshape(-1, _STEP).max(axis=1)
        first = int(np.argmax(loud > 0.02 * loud.max(initial=0.0)))
        return frames[max(0, first - _BEFORE) :]


class EnergyDetector:
    """A gate over the levels of frames of 32 ms."""

    def __init__(self, sample_rate: int) -> None:
        self._size = round(_FRAME * sample_rate)

    def __call__(self, waveform: Waveform) -> bool:
        """Return whether it is loud enough, and its level moves as that of speech does."""
        n_frames = max(1, len(waveform) // self._size)
        frames = waveform[: n_frames * self._size].reshape(n_frames, -1)
        power = np.einsum("ts,ts->t", frames, frames, dtype=np.float64) / frames.shape[1]
        levels = np.sort(10 * np.log10(power + 1e-8))
        last = n_frames - 1
        quiet, loud = np.interp((0.05 * last, 0.95 * last), np.arange(n_frames), levels)
        return bool(loud > _SILENT_DB and loud - quiet > _DYNAMIC_DB)
