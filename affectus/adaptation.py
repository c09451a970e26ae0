"""Adaptation to a speaker: their own features' mean and deviation, mapped onto the training clips'.

A voice's own pitch, level, tract and microphone are larger than what an emotion adds to them. A
few clips of a person, unlabelled, tell what is theirs; `adapt` takes it away before the network
sees the features. Pure functions over arrays: the same for training's figures and for prediction.

What is kept of a person is a `SpeakerProfile`: a mean and a deviation a feature. No clip is kept,
and none can be made again from it; but it describes a voice, so it is the user's to keep or delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from affectus.errors import ConfigError
from affectus.files import replacing

SCHEMA = 1
# How many clips of a speaker weigh as much as all training clips, for the mean and the variance.
MEAN_CLIPS = 2.0
VARIANCE_CLIPS = 10.0

_MAX_JSON = 4_000_000  # bytes
_Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]
_Positive = Annotated[float, Meta(ge=0, le=1e12)]


class SpeakerProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a speaker: `mean` and `deviation` [D] over `n_rows` rows of `n_clips` clips.

    A row is a frame, or a clip where the extractor gives one row a clip. `features` is the hash of
    the extractor's record: a profile fits models with the same features only.
    """

    schema: int
    features: str
    n_clips: Annotated[int, Meta(ge=1)]
    n_rows: Annotated[int, Meta(ge=1)]
    mean: tuple[_Finite, ...]
    deviation: tuple[_Positive, ...]


def learn(
    clips: Iterable[NDArray[np.float32]], features: str = "", profile: SpeakerProfile | None = None
) -> SpeakerProfile:
    """Return the profile of a speaker after some more clips [T, D] each, at least one in all.

    Clip by clip or all at once gives the same. `features` is written into a new profile.
    """
    n_clips, n_rows, mean, squares = _sums(profile)
    for rows in clips:
        part = rows.astype(np.float64)
        n_new, mean_new = len(part), part.mean(axis=0)
        squares_new = np.square(part - mean_new).sum(axis=0)
        # Chan, Golub and LeVeque (1983): two samples' means and sums of squares to those of both.
        step = mean_new - mean
        squares = squares + squares_new + step**2 * (n_rows * n_new / (n_rows + n_new))
        mean = mean + step * (n_new / (n_rows + n_new))
        n_rows, n_clips = n_rows + n_new, n_clips + 1
    if n_clips == 0:
        raise ConfigError("speaker: no clip; expected at least one. Give recordings of the person.")
    deviation = np.sqrt(squares / n_rows)
    return SpeakerProfile(
        schema=SCHEMA,
        features=features if profile is None else profile.features,
        n_clips=n_clips,
        n_rows=n_rows,
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
    )


def _sums(
    profile: SpeakerProfile | None,
) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
    if profile is None:
        return 0, 0, np.zeros(1), np.zeros(1)
    squares = np.square(np.asarray(profile.deviation)) * profile.n_rows
    return profile.n_clips, profile.n_rows, np.asarray(profile.mean), squares


def adapt(
    rows: NDArray[np.float32],
    profile: SpeakerProfile,
    mean: NDArray[np.floating],
    deviation: NDArray[np.floating],
    *,
    mean_clips: float = MEAN_CLIPS,
    variance_clips: float = VARIANCE_CLIPS,
) -> NDArray[np.float32]:
    """Return a speaker's rows [..., D] as if the speaker were the training clips' average one.

    `mean` and `deviation` [D] are those of the training clips, as the network normalises by. The
    speaker's own are shrunk towards them: with n clips the mean counts n / (n + `mean_clips`), the
    variance (n − 1) / (n − 1 + `variance_clips`), since one clip has one emotion. All in all
    `(x − m) / s · deviation + mean`; a column without any variance is moved, not stretched.
    """
    weight = profile.n_clips / (profile.n_clips + mean_clips)
    centre = weight * np.asarray(profile.mean) + (1 - weight) * mean
    weight = (profile.n_clips - 1) / (profile.n_clips - 1 + variance_clips)
    spread = np.sqrt(weight * np.square(profile.deviation) + (1 - weight) * np.square(deviation))
    scale = np.divide(deviation, spread, out=np.ones_like(spread), where=spread > 0)
    adapted: NDArray[np.float32] = ((rows - centre) * scale + mean).astype(np.float32)
    return adapted


def write_profile(profile: SpeakerProfile, path: Path | str) -> None:
    """Write a profile as JSON; read it again with `read_profile`."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(msgspec.json.encode(profile) + b"\n")


def read_profile(path: Path | str) -> SpeakerProfile:
    """Read a profile that `write_profile` wrote.

    Raises ConfigError if there is none, or it is not one.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MAX_JSON + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; expected a speaker's profile. Make one with: affectus "
            f"predict --speaker-clips FOLDER --save-speaker FILE"
        ) from None
    try:
        if len(text) > _MAX_JSON:
            raise msgspec.ValidationError(f"more than {_MAX_JSON:,} bytes")
        profile = msgspec.json.decode(text, type=SpeakerProfile)
        if profile.schema != SCHEMA or len(profile.mean) != len(profile.deviation):
            raise msgspec.ValidationError(f"schema {profile.schema}, or columns are missing")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: {error}; expected a speaker's profile. Make it again from clips."
        ) from None
    return profile
