"""What a prediction is: what the library returns, the command prints and the service sends."""

from __future__ import annotations

from typing import Literal

import msgspec

from affectus.notice import NOT_FOR

Reason = Literal["unsure", "no speech", "no face", "no speech and no face"]
Modality = Literal["voice", "face"]
ByStream = dict[str, dict[str, float]]  # scores by label, for each stream


class Segment(msgspec.Struct, frozen=True):
    """A stretch of a recording, `start` to `end` in seconds, and its scores by label.

    `emotion` is None, and `reason` says why, where there is no answer; `streams` are the scores of
    each stream alone; see `Prediction`.
    """

    start: float
    end: float
    emotion: str | None
    scores: dict[str, float]
    reason: Reason | None = None
    streams: ByStream = {}


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one recording.

    `scores` sum to 1; they are empty where there is no speech. `emotion` is None where the model
    abstains, and `reason` then says why: "unsure" (the best score is below the threshold), "no
    speech", or of films "no face", or neither. `segments` follow one another without overlap; one
    covers all of a short recording. `used` names the modalities heard or seen, `why` says why
    these, and `streams` gives the scores of each alone, where the model looks at faces. `warnings`
    are what the answer should be read with.
    `model` is the model's name, `model_id` the start of its network's SHA-256, `card` how to read
    what it can do, `not_for` what it must not be used for.
    """

    file: str
    emotion: str | None
    scores: dict[str, float]
    segments: list[Segment]
    used: list[str]
    warnings: list[str]
    model: str
    reason: Reason | None = None
    why: str = ""
    streams: ByStream = {}
    model_id: str = ""
    card: str = ""
    not_for: tuple[str, ...] = NOT_FOR
