"""The predictor: a recording in, an emotion out. onnxruntime and numpy; never torch.

It takes the model's own extractor, as recorded in the folder, so what it hears is what was trained
on. It knows nothing of manifests, stores or training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from affectus.errors import ConfigError, MediaError, ModelError
from affectus.features import restore_extractor
from affectus.media import Limits, Recording, from_waveform, read_audio
from affectus.model_folder import read_model

_SILENCE = "W1304"


class Segment(msgspec.Struct, frozen=True):
    """A stretch of a recording, `start` to `end` in seconds, and its scores by label."""

    start: float
    end: float
    emotion: str | None
    scores: dict[str, float]


class Prediction(msgspec.Struct, frozen=True):
    """The answer for one recording.

    `emotion` is None where the model abstains: there is nothing to hear. `scores` sum to 1, or are
    empty then. `used` names the modalities heard, `warnings` what the answer should be read with.
    """

    file: str
    emotion: str | None
    scores: dict[str, float]
    segments: list[Segment]
    used: list[str]
    warnings: list[str]
    model: str


class Predictor:
    """A loaded model. `labels` are in the order of its scores; `facts` is its model.json.

    `threads` is how many processors one answer may use. Raises ModelError if the folder is
    incomplete or any file in it has changed.
    """

    def __init__(self, folder: Path | str, *, threads: int = 1) -> None:
        self.facts, network = read_model(folder)
        self.labels = self.facts.labels
        try:
            self.extractor = restore_extractor(self.facts.extractor)
        except ConfigError as error:
            raise ModelError(f"{folder}/model.json: {error.message}") from None
        except TypeError as error:  # a parameter of another type
            raise ModelError(f"{folder}/model.json: {error}; export it again.") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            network, options, providers=["CPUExecutionProvider"]
        )

    def predict(
        self,
        source: Path | str | bytes | tuple[NDArray[np.float32], int],
        *,
        window: float | None = None,
        hop: float | None = None,
        limits: Limits = Limits(),
    ) -> Prediction:
        """Return the emotion of a file, its bytes, or a (waveform [T], sample rate) pair.

        `window` seconds cuts the recording into stretches, a new one every `hop` seconds (the
        window's length by default); the scores of the whole are then their mean.

        Raises MediaError if the recording cannot be used.
        """
        if window is not None and not 0.1 <= window <= limits.max_seconds:
            raise ConfigError(f"window is {window:g} s; expected 0.1 to {limits.max_seconds:g} s.")
        if hop is not None and (window is None or not 0.01 <= hop <= window):
            raise ConfigError(f"hop is {hop:g} s; expected 0.01 s to the window's length.")
        name, recording = self._record(source, limits)
        if any(warning.code == _SILENCE for warning in recording.warnings):
            return self._prediction(name, recording, [])
        stretches = list(_cut(recording, window, hop))
        scores = [self._scores(recording.waveform[a:b]) for a, b in stretches]
        rate = recording.sample_rate
        segments = [
            Segment(round(a / rate, 3), round(b / rate, 3), self._best(row), self._named(row))
            for (a, b), row in zip(stretches, scores, strict=True)
        ]
        return self._prediction(name, recording, segments, np.mean(scores, axis=0))

    def predict_many(
        self, files: Iterable[Path | str], *, window: float | None = None, hop: float | None = None
    ) -> Iterator[Prediction | MediaError]:
        """Yield a prediction, or the error that stands in its place, for each file in turn."""
        for file in files:
            try:
                yield self.predict(file, window=window, hop=hop)
            except MediaError as error:
                yield error

    def _record(
        self, source: Path | str | bytes | tuple[NDArray[np.float32], int], limits: Limits
    ) -> tuple[str, Recording]:
        rate = self.extractor.sample_rate
        if isinstance(source, tuple):
            return "array", from_waveform(*source, sample_rate=rate, limits=limits)
        name = "bytes" if isinstance(source, bytes) else str(source)
        return name, read_audio(source, name=name, sample_rate=rate, limits=limits)

    def _scores(self, waveform: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores [K] of a waveform: softmax of the logits over the temperature."""
        frames = self.extractor(waveform, self.extractor.sample_rate)
        inputs = {"voice": frames[None], "voice_lengths": np.array([len(frames)])}
        logits = self._session.run(["logits"], inputs)[0][0].astype(np.float64)
        powers = np.exp((logits - logits.max()) / self.facts.temperature)
        scores: NDArray[np.float64] = powers / powers.sum()
        return scores

    def _prediction(
        self,
        name: str,
        recording: Recording,
        segments: list[Segment],
        scores: NDArray[np.float64] | None = None,
    ) -> Prediction:
        return Prediction(
            file=name,
            emotion=None if scores is None else self._best(scores),
            scores={} if scores is None else self._named(scores),
            segments=segments,
            used=["voice"],
            warnings=[f"{code} {text}" for code, text in recording.warnings],
            model=self.facts.name,
        )

    def _best(self, scores: NDArray[np.float64]) -> str:
        return self.labels[int(scores.argmax())]

    def _named(self, scores: NDArray[np.float64]) -> dict[str, float]:
        return {
            label: round(float(score), 6) for label, score in zip(self.labels, scores, strict=True)
        }


def _cut(
    recording: Recording, window: float | None, hop: float | None
) -> Iterator[tuple[int, int]]:
    """Yield the stretches as samples (start, end); the last ends where the recording does."""
    total = len(recording.waveform)
    if window is None:
        yield 0, total
        return
    length = round(window * recording.sample_rate)
    step = round((hop or window) * recording.sample_rate)
    for start in range(0, max(1, total - length + step), step):
        end = min(start + length, total)
        if end - start >= min(total, length // 2):  # a shorter rest says too little
            yield start, end
        if end == total:
            return


def load_model(folder: Path | str, *, threads: int = 1) -> Predictor:
    """Return the predictor of a model folder, every file of it checked by hash."""
    return Predictor(folder, threads=threads)
