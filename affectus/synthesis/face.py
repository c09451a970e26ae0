"""One face: shapes and shades to the frames of a film. It shows an emotion and moves its mouth.

A face is an ellipse lit from above, with sockets, eyes, brows, a nose and a mouth. People differ
in skin, hair, the width of the face, the distance of the eyes, the strength of the brows, the size
of the mouth; an emotion moves brows, lids, and the corners and the opening of the mouth.
OpenCV's detector finds most of them, fewer of those with wide eyes or slanted brows.

**Source:** which muscles an emotion moves: Ekman and Friesen (1978, 1983), Facial Action Coding
System and its emotional part: happiness 6 + 12, sadness 1 + 4 + 15, anger 4 + 5 + 7 + 23, fear
1 + 2 + 4 + 5 + 20 + 26, disgust 9 + 15, surprise 1 + 2 + 5 + 26.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.emotions import parse_emotion
from affectus.media import FRAME_RATE, Frame
from affectus.synthesis.voice import STRENGTHS, expect, seeded

Floats = NDArray[np.float64]


class _Face(NamedTuple):
    """What a face looks like at one moment. Lengths are shares of half the face's width.

    Every setting adds: person, emotion and chance are sums.
    """

    skin: float  # brightness, 0 to 255
    hair: float  # brightness
    wide: float  # half width to half height
    apart: float  # half the distance of the eyes
    size: float  # of the eyes
    brow: float  # thickness of the brows
    nose: float  # length
    lips: float  # half the mouth's width
    raised: float  # brows up (action units 1 + 2)
    frown: float  # inner ends of the brows down (4), or up where negative (1)
    lids: float  # eyes open wider (5), or narrower (6, 7)
    corners: float  # of the mouth up (12), or down (15)
    stretch: float  # of the mouth sideways (20), or pressed (23)
    jaw: float  # the mouth open (26)
    sneer: float  # nose wrinkled, upper lip up (9, 10)
    tilt: float  # of the head, degrees clockwise


_MEAN = _Face(178, 55, 0.76, 0.42, 0.17, 0.075, 0.5, 0.36, 0, 0, 0, 0, 0, 0.02, 0, 0)
# Standard deviations between people, and between the clips of one.
_PEOPLE = _Face(18, 22, 0.03, 0.015, 0.015, 0.015, 0.04, 0.03, 0.03, 0.04, 0.1, 0.03, 0.02, 0.01,
                0.05, 1.5)  # fmt: skip
_CLIPS = _Face(6, 0, 0, 0, 0, 0, 0, 0, 0.03, 0.04, 0.1, 0.03, 0.03, 0.01, 0.06, 2.5)
_NONE = _Face(*[0.0] * len(_MEAN))
_EFFECTS = {
    "neutral": _NONE,
    "calm": _NONE._replace(lids=-0.25, corners=0.04),
    "happy": _NONE._replace(lids=-0.25, corners=0.16, stretch=0.08, jaw=0.03),
    "sad": _NONE._replace(frown=-0.13, lids=-0.2, corners=-0.13),
    "angry": _NONE._replace(frown=0.15, raised=-0.05, lids=0.1, corners=-0.03, stretch=-0.06),
    "fearful": _NONE._replace(raised=0.07, frown=-0.1, lids=0.35, stretch=0.08, jaw=0.06),
    "disgust": _NONE._replace(frown=0.07, lids=-0.3, corners=-0.1, sneer=0.8),
    "surprised": _NONE._replace(raised=0.1, lids=0.4, stretch=-0.05, jaw=0.14),
}
_OWN_MEASURE = 0.15
_ONSET = 0.5  # s that an expression takes to come
_SPEECH = 0.16  # how far the loudest syllable opens the mouth
_SMALLEST = 96  # pixels of a picture's shorter side


def draw_faces(
    emotion: str,
    n_frames: int,
    *,
    speaker: int,
    sex: str | None = None,
    intensity: str = "normal",
    sentence: int = 0,
    repetition: int = 1,
    seed: int = 0,
    rate: float = FRAME_RATE,
    size: tuple[int, int] = (240, 320),
    loudness: NDArray[np.floating] | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a film of one person who shows an emotion: [H, W, 3] RGB uint8.

    `rate` is in frames a second, `size` (height, width) in pixels. `loudness` [n_frames], 0 to 1,
    opens the mouth as speech does. The other arguments are those of `synthesize_voice`; the same
    `speaker` has the same face, and the same arguments give the same pixels.
    """
    emotion = parse_emotion(emotion)
    sex = sex or ("male" if speaker % 2 else "female")
    expect("intensity", intensity, intensity in STRENGTHS, "low, normal or strong")
    expect("size", size, min(size) >= _SMALLEST, f"at least {_SMALLEST} pixels")
    person = seeded(seed, "face", speaker, sex).standard_normal(len(_MEAN))
    measure = seeded(seed, "face measure", speaker, sex, emotion).standard_normal(len(_MEAN))
    chance = seeded(seed, "film", speaker, sex, emotion, intensity, sentence, repetition)
    still = np.array(_MEAN) + np.clip(person, -2, 2) * _PEOPLE
    still += chance.standard_normal(len(_MEAN)) * _CLIPS
    effect = STRENGTHS[intensity] * (1 + _OWN_MEASURE * np.clip(measure, -2, 2)) * _EFFECTS[emotion]
    drift = np.cumsum(chance.standard_normal((n_frames, 2)), axis=0) * 0.004
    place = chance.uniform(-0.06, 0.06, 2)
    blink = set(range(int(chance.integers(10, 40)), n_frames, int(chance.integers(35, 70))))
    for number in range(n_frames):
        shown = min(1.0, 0.3 + number / rate / _ONSET)
        face = _Face(*(still + shown * effect).tolist())
        if loudness is not None:
            face = face._replace(jaw=face.jaw + _SPEECH * float(loudness[number]))
        if number in blink:
            face = face._replace(lids=-1.0)
        picture = _draw(face, size, place + drift[number], sex)
        noise = chance.normal(0, 2.0, size)[:, :, None]
        yield Frame(number / rate, np.clip(picture + noise, 0, 255).astype(np.uint8))


def _draw(face: _Face, size: tuple[int, int], place: Floats, sex: str) -> Floats:
    """Return a picture [H, W, 3] of a face at a place: shares of the picture from its middle."""
    height, width = size
    unit = 0.36 * min(size) * face.wide / _MEAN.wide * 0.8  # half the face's width, pixels
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    x = (columns - width * (0.5 + place[0])) / unit
    y = (rows - height * (0.5 + place[1])) / unit
    angle = np.radians(face.tilt)
    x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    soft = 1.5 / unit
    tall = 1 / face.wide

    light = 120 + 25 * (1 - rows / height)  # a wall
    light = _over(light, 70.0, _ellipse(x, y, 0, tall + 1.05, 1.75, 0.9, soft))  # shoulders
    light = _over(light, 0.8 * face.skin, _box(x, y, 0, tall, 0.42, 0.5, soft))  # neck
    back = tall * (1.12 if sex == "male" else 1.5)
    light = _over(light, face.hair, _ellipse(x, y, 0, back - tall * 1.2, 1.13, back, soft))
    shade = face.skin * (1.06 - 0.28 * x**2 - 0.10 * y**2 / tall**2 - 0.06 * y)
    skin = _ellipse(x, y, 0, 0, 1, tall, soft)
    light = _over(light, shade, skin)
    light = _over(light, face.hair, skin * _above(y + 0.80 * tall - 0.1 * x**2, soft))  # fringe
    light = light * (1 - 0.16 * _blob(x, y, -0.62, 0.25, 0.2, 0.4) * skin)  # cheeks
    light = light * (1 - 0.16 * _blob(x, y, 0.62, 0.25, 0.2, 0.4) * skin)
    light = light * (1 + 0.12 * _blob(x, y, 0, -0.55, 0.6, 0.25) * skin)  # forehead
    for side in (-1, 1):
        light = _draw_eye(light, face, x * side, y, soft)
    light = _draw_nose(light, face, x, y, soft)
    light = _draw_mouth(light, face, x, y, soft)
    tint = np.array([1.06, 0.97, 0.88])  # skin is warm, and so is the light
    picture: Floats = light[:, :, None] * tint
    return picture


def _draw_eye(light: Floats, face: _Face, x: Floats, y: Floats, soft: float) -> Floats:
    """Draw the eye and the brow of one side; `x` grows outwards."""
    at, level = face.apart, -0.22
    light = light * (1 - 0.52 * _blob(x, y, at, level - 0.06, 0.27, 0.15))  # socket
    opening = max(0.008, 0.42 * face.size * (1 + face.lids))
    eye = _ellipse(x, y, at, level, face.size, opening, soft)
    light = _over(light, 205.0, eye)
    light = _over(light, 45.0, eye * _ellipse(x, y, at, level, 0.085, 0.085, soft))
    lid = _ellipse(x, y, at, level - 0.6 * opening, face.size * 1.05, opening, soft)
    light = light * (1 - 0.5 * lid * (1 - eye))
    # The brow is a bar from its inner end to its outer end, highest beyond its middle.
    along = (x - (at - 0.25)) / 0.5
    frown = face.frown + 0.25 * face.sneer * 0.3
    middle = level - 0.27 - face.raised + frown * (1 - 1.4 * along) - 0.05 * np.sin(
        np.pi * np.clip(along, 0, 1))  # fmt: skip
    thick = face.brow * (1.15 - 0.5 * along)
    brow = _step((thick - np.abs(y - middle)) / soft) * _step(along * 0.5 / soft)
    brow *= _step((1 - along) * 0.5 / soft)
    wrinkle = _blob(x, y, 0.07, level - 0.12, 0.03, 0.12) * max(0.0, frown) * 2.5
    return _over(light, 0.75 * face.hair, brow) * (1 - np.clip(wrinkle, 0, 0.5))


def _draw_nose(light: Floats, face: _Face, x: Floats, y: Floats, soft: float) -> Floats:
    tip = -0.2 + face.nose * (1 - 0.12 * face.sneer)
    light = light * (1 + 0.20 * _blob(x, y, 0, (tip - 0.2) / 2, 0.08, 0.3))  # the ridge
    for side in (-1, 1):
        light = light * (1 - 0.22 * _blob(x * side, y, 0.17, tip - 0.1, 0.05, 0.16))
        nostril = _ellipse(x * side, y, 0.1, tip + 0.06, 0.06, 0.03, soft)
        light = light * (1 - 0.6 * nostril)
        fold = _blob(x * side, y, 0.34, tip + 0.12, 0.04, 0.16)
        light = light * (1 - (0.1 + 0.3 * face.sneer + max(0.0, face.corners)) * fold)
    return light


def _draw_mouth(light: Floats, face: _Face, x: Floats, y: Floats, soft: float) -> Floats:
    half = max(0.15, face.lips + face.stretch)
    opening = max(0.012, face.jaw)
    bend = face.corners * (1 - 2 * (x / half) ** 2)  # corners up: the middle hangs
    middle = 0.66 + 0.4 * opening - 0.06 * face.sneer + bend
    inside = np.sqrt(np.clip(1 - (x / half) ** 2, 0, 1))
    reach = _step((half - np.abs(x)) / soft)
    lips = _step(((opening + 0.085) * inside - np.abs(y - middle)) / soft) * reach
    gap = _step((opening * inside - np.abs(y - middle)) / soft) * reach
    light = _over(light, 0.62 * face.skin, lips)
    light = _over(light, 35.0, gap)
    teeth = gap * _above(y - middle + 0.35 * opening, soft) * (opening > 0.04)
    light = _over(light, 190.0, teeth)
    return light * (1 - 0.15 * _blob(x, y, 0, 0.9 + opening, 0.25, 0.05))  # below the lip


def _step(values: Floats) -> Floats:
    """Return 1 where values are above 0.5, 0 below −0.5, and between in between."""
    return np.clip(values + 0.5, 0, 1)


def _ellipse(
    x: Floats, y: Floats, at_x: float, at_y: float, half_x: float, half_y: float, soft: float
) -> Floats:
    """Return how much of each pixel lies in an ellipse."""
    radius = np.sqrt(((x - at_x) / half_x) ** 2 + ((y - at_y) / half_y) ** 2)
    return _step((1 - radius) * min(half_x, half_y) / soft)


def _box(
    x: Floats, y: Floats, at_x: float, at_y: float, half_x: float, half_y: float, soft: float
) -> Floats:
    return _step((half_x - np.abs(x - at_x)) / soft) * _step((half_y - np.abs(y - at_y)) / soft)


def _above(y: Floats, soft: float) -> Floats:
    return _step(-y / soft)


def _blob(x: Floats, y: Floats, at_x: float, at_y: float, wide: float, tall: float) -> Floats:
    """Return a round shadow, 1 in its middle."""
    return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / tall) ** 2)


def _over(light: Floats, value: float | Floats, share: Floats) -> Floats:
    """Return the picture with a shape of one brightness laid over it."""
    return light * (1 - share) + value * share
