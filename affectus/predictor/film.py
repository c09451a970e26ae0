"""A film, answered by what is heard and what is seen in it, both on its own clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import MediaError
from affectus.media import Decoding, Video, open_audio, open_video
from affectus.predictor.answers import Modality, Prediction
from affectus.predictor.ear import Ear
from affectus.predictor.eye import Eye
from affectus.predictor.sound import Source, name_source, open_sound, take_in
from affectus.predictor.speech import Detector
from affectus.predictor.stream import AnyNetwork, Settings, Stream

# What says that a stream is not there; with any other code the recording is refused.
_NO_SOUND = {"E1601": "no sound in it", "E1004": "no sound in it", "E1201": "too little sound"}
_NO_PICTURES = {"E1602": "no pictures in it", "E1004": "no pictures in it"}


def tell_only(streams: tuple[Modality, ...], only: Modality) -> dict[Modality, str]:
    """Say why the others of a model's streams are not used where one alone is asked for."""
    return {stream: f"the {only} only was asked for" for stream in streams if stream != only}


def predict_film(
    network: AnyNetwork,
    detector: Detector,
    source: Source,
    settings: Settings,
    wanted: tuple[Modality, ...],
    name: str | None,
) -> Prediction:
    """Return the answer for a film, or for a recording that turns out to be none.

    `wanted` are the streams to be used if they are there. Sound and pictures are decoded side by
    side, so that neither is held for longer than a window.

    Raises MediaError if the recording cannot be used, or has none of those streams.
    """
    without = dict(settings.without)
    if len(wanted) == 1:
        without.update(tell_only(network.streams, wanted[0]))
    if isinstance(source, tuple):
        without.setdefault("face", "no pictures in it")
        found = replace(settings, without=without)
        return _predict_array(network, detector, source, found, wanted)
    shown = name_source(source, name)
    while True:
        try:
            found = replace(settings, without=without)
            return _watch(network, detector, source, found, wanted, shown)
        except _MissingError as missing:
            without[missing.stream] = missing.text
            wanted = tuple(stream for stream in wanted if stream != missing.stream)
            if not wanted:
                raise missing.error from None


class _MissingError(Exception):
    """A stream that was wanted is not there."""

    def __init__(self, stream: Modality, text: str, error: MediaError) -> None:
        super().__init__(text)
        self.stream, self.text, self.error = stream, text, error


def _watch(
    network: AnyNetwork,
    detector: Detector,
    source: Path | str | bytes,
    settings: Settings,
    wanted: tuple[Modality, ...],
    name: str,
) -> Prediction:
    """Return the answer by the streams that are wanted, or raise _MissingError."""
    rate, limits = network.extractor.sample_rate, settings.limits
    with ExitStack() as stack:
        decoding = video = ear = eye = None
        if "voice" in wanted:
            with _expecting("voice", _NO_SOUND):
                decoding = stack.enter_context(open_audio(source, name=name, limits=limits))
        if "face" in wanted:
            eyes = network.eyes
            with _expecting("face", _NO_PICTURES):
                video = stack.enter_context(
                    open_video(source, name=name, rate=eyes[0].rate, limits=limits)
                )
            eye = Eye(eyes, rate)
        if decoding is not None:
            begins = decoding.begins if video is not None else 0.0
            ear = Ear(detector, decoding.rate, rate, name, limits, begins)
        stream = Stream(network, settings, name, ear=ear, eye=eye)
        _run(stream, ear, decoding, eye, video)
        return stream.finish()


def _run(
    stream: Stream, ear: Ear | None, decoding: Decoding | None, eye: Eye | None, video: Video | None
) -> None:
    """Give a stream all of a film, always of what is behind: sound or picture."""
    blocks: Iterator[Any] = iter(decoding.blocks if decoding else ())
    frames: Iterator[Any] = iter(video or ())
    while (ear and not ear.ended) or (eye and not eye.ended):
        behind = eye is None or eye.ended or (ear is not None and ear.reached <= eye.reached)
        if ear is not None and decoding is not None and not ear.ended and behind:
            if (block := next(blocks, None)) is not None:
                stream.take(block)
                continue
            with _expecting("voice", _NO_SOUND):
                ear.end(decoding.warnings)
        elif eye is not None and video is not None:
            with _expecting("face", _NO_PICTURES):
                frame = next(frames, None)
            if frame is not None:
                stream.see(frame)
                continue
            if video.n_frames < 2:
                text = "1 picture; expected a film of two at least. Give the voice alone."
                raise _MissingError(
                    "face", "one picture alone", MediaError("E1201", video.name, text)
                )
            eye.end(video.warnings)


@contextmanager
def _expecting(stream: Modality, codes: Mapping[str, str]) -> Iterator[None]:
    """Turn an error whose code says that a stream is not there into _MissingError."""
    try:
        yield
    except MediaError as error:
        if error.code not in codes:
            raise
        raise _MissingError(stream, codes[error.code], error) from None


def _predict_array(
    network: AnyNetwork,
    detector: Detector,
    source: tuple[NDArray[np.float32], int],
    settings: Settings,
    wanted: tuple[Modality, ...],
) -> Prediction:
    if "voice" not in wanted:
        text = "no video stream (an array of sound); expected pictures. Give a film."
        raise MediaError("E1602", "array", text)
    with open_sound(source, "array", settings.limits) as sound:
        return take_in(network, detector, sound, settings, "array").finish()
