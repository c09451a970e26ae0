"""Prediction: recordings in, emotions out.

    model = load_model()
    model.predict("clip.wav").emotion

One way leads through it, whatever comes in: `Stream` takes samples, `media` checks and resamples
them, `speech` says whether anybody speaks, `network` gives logits, `labelling` makes scores and an
answer of them, `windows` makes segments of a long recording.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from affectus.predictor.answers import Modality, Prediction, Segment
from affectus.predictor.predictor import Predictor
from affectus.predictor.sound import Source
from affectus.predictor.speech import SpeechDetection
from affectus.predictor.stream import Stream

__all__ = [
    "Modality",
    "Prediction",
    "Predictor",
    "Segment",
    "Source",
    "SpeechDetection",
    "Stream",
    "load_model",
    "predict_emotion",
]


def load_model(
    name_or_folder: Path | str = "voice", *, threads: int = 1, speech: SpeechDetection = "auto"
) -> Predictor:
    """Return the predictor of a model that ships, by its name, or of a model folder.

    Every file of it is checked by hash. See `Predictor` for the settings.
    """
    return Predictor(name_or_folder, threads=threads, speech=speech)


def predict_emotion(path: Path | str) -> str | None:
    """Return the emotion of a recording by the model that ships, as a word; None without speech.

    For who knows this function from elsewhere: it always names one of the model's emotions, however
    unsure. `load_model().predict(path)` says how sure, and abstains.
    """
    return _shipped().predict(path, abstain=0).emotion


@cache
def _shipped() -> Predictor:
    return load_model()
