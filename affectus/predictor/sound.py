"""A sound that is there already, a file or an array, taken in by a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectus.media import Decoding, Limits, open_audio, take_samples
from affectus.predictor.ear import Ear
from affectus.predictor.speech import Detector
from affectus.predictor.stream import AnyNetwork, Settings, Stream

Source = Path | str | bytes | tuple[NDArray[np.float32], int]


def name_source(source: Source, name: str | None = None) -> str:
    """Return what errors and answers call a recording; `name` is that of bytes, or of a file."""
    if isinstance(source, tuple):
        return "array"
    return name or ("bytes" if isinstance(source, bytes) else str(source))


@contextmanager
def open_sound(source: Source, name: str, limits: Limits) -> Iterator[Decoding]:
    """Begin to decode a recording, or take an array as one."""
    if isinstance(source, tuple):
        samples, rate = source
        mono = take_samples(samples, rate, limits=limits)
        yield Decoding(rate, 1, "array", "", iter([mono]))
    else:
        with open_audio(source, name=name, limits=limits) as decoding:
            yield decoding


def take_in(
    network: AnyNetwork, detector: Detector, sound: Decoding, settings: Settings, name: str
) -> Stream:
    """Return a stream that was fed all of a sound, and is still to be closed."""
    ear = Ear(detector, sound.rate, network.extractor.sample_rate, name, settings.limits)
    stream = Stream(network, settings, name, ear=ear)
    for block in sound.blocks:
        stream.take(block)
    return stream
