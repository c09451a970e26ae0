"""Following one face through a film: detected every few frames, tracked between."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.features.face.detection import Detection, Detector, Region
from affectus.media import Frame, Image

_LONGER_SIDE = 320  # pixels of the picture that is looked at
_FACE = 48  # pixels of the face that is tracked
_REACH = 12  # pixels, of that size, that a face may move from one frame to the next
_ALIKE = 0.6  # correlation with the face last detected below which it is looked for again
_FORGET = 15  # frames after which a lost face is not waited for any more
_NEW = 0.5  # weight of a new detection against what was known: boxes tremble


class FaceFrame(NamedTuple):
    """A frame and the face in it, in pixels of the frame; None where there is none.

    `n_faces` is how many there were when all of the picture was last looked at.
    """

    frame: Frame
    face: Detection | None
    n_faces: int


@dataclass
class _Known:
    """The face that is followed, in pixels of the small picture."""

    face: Detection
    template: Image
    alike: float = 1.0
    lost: int = 0  # frames since it was last seen


class Follower:
    """Follows the face of one person through a film: the largest at first, then the nearest.

    A face is detected in every `detect_every`-th frame and where tracking fails, and tracked
    between by its correlation with the one last detected. One that is lost is looked for near
    where it was; after 15 frames the largest in the picture is taken anew.
    """

    def __init__(self, detector: Detector, detect_every: int) -> None:
        self._detector, self._detect_every = detector, detect_every
        self._known: _Known | None = None
        self._number = self._n_faces = 0

    def look(self, frame: Frame) -> FaceFrame:
        """Return the next frame with the face in it."""
        known, number = self._known, self._number
        self._number += 1
        small, scale = _shrink(frame.luma)
        due = number % self._detect_every == 0
        seen = None
        if known is not None and not due and not known.lost:
            seen = _track(small, known)
        if seen is None and (due or known is not None):
            everywhere = due and (
                known is None or known.lost > 0 or number % (3 * self._detect_every) == 0
            )
            faces = self._detector.find(
                small, None if everywhere or known is None else _around(known)
            )
            if everywhere:
                self._n_faces = len(faces)
            seen = _choose(faces, known)
            if seen is not None:
                seen = self._detector.find_roll(small, seen)
                seen = _steady(seen, known)
                known = _Known(seen, _cut(small, seen, _FACE))
        if seen is None and known is not None:
            known.lost += 1
            if known.lost > _FORGET:
                known = None
        self._known = known
        return FaceFrame(frame, None if seen is None else _enlarge(seen, scale), self._n_faces)


def follow_face(
    frames: Iterable[Frame], detector: Detector, detect_every: int
) -> Iterator[FaceFrame]:
    """Yield every frame with the face of one person; see Follower."""
    follower = Follower(detector, detect_every)
    return map(follower.look, frames)


def _shrink(luma: Image) -> tuple[Image, float]:
    """Return a picture whose longer side is at most 320 pixels, and the scale to it."""
    import cv2

    scale = min(1.0, _LONGER_SIDE / max(luma.shape))
    if scale == 1.0:
        return luma, 1.0
    size = (max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _around(known: _Known) -> Region:
    return Region(known.face.x, known.face.y, known.face.width)


def _choose(faces: list[Detection], known: _Known | None) -> Detection | None:
    """Return the largest face or, of one that is known, the nearest within its own width."""
    if not faces:
        return None
    if known is None:
        return max(faces, key=lambda face: face.width)
    old = known.face

    def distance(face: Detection) -> float:
        return math.hypot(face.x - old.x, face.y - old.y)

    nearest = min(faces, key=distance)
    alike = 0.6 < nearest.width / old.width < 1.6
    return nearest if alike and distance(nearest) < old.width else None


def _steady(face: Detection, known: _Known | None) -> Detection:
    """Return a detection joined with what was known: half of each, but where it moved."""
    if known is None or known.lost:
        return face if face.roll is not None or known is None else replace(
            face, roll=known.face.roll)  # fmt: skip
    old = known.face
    roll = face.roll
    if roll is None or old.roll is None:
        roll = old.roll if roll is None else roll
    else:
        roll = _NEW * roll + (1 - _NEW) * old.roll
    return replace(
        face,
        x=_NEW * face.x + (1 - _NEW) * old.x,
        y=_NEW * face.y + (1 - _NEW) * old.y,
        width=_NEW * face.width + (1 - _NEW) * old.width,
        roll=roll,
    )


def _cut(small: Image, face: Detection, n_pixels: int, margin: int = 0) -> Image:
    """Return a face, and so many pixels around it, made `n_pixels` wide."""
    import cv2

    scale = n_pixels / face.width
    size = n_pixels + 2 * margin
    move = np.array([
        [scale, 0, size / 2 - face.x * scale],
        [0, scale, size / 2 - face.y * scale],
    ])  # fmt: skip
    patch = cv2.warpAffine(small, move, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(patch, np.uint8)


def _track(small: Image, known: _Known) -> Detection | None:
    """Return where the face has moved to, and remember it, or None if nothing is like it."""
    import cv2

    around = _cut(small, known.face, _FACE, _REACH)
    likeness = cv2.matchTemplate(around, known.template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(likeness)
    if not best >= _ALIKE:  # also where it is not a number: an even patch
        return None
    dx = column + _peak(likeness[row], column) - _REACH
    dy = row + _peak(likeness[:, column], row) - _REACH
    scale = known.face.width / _FACE
    old = known.face
    known.face = replace(old, x=old.x + dx * scale, y=old.y + dy * scale)
    return replace(known.face, confidence=old.confidence * float(best))


def _peak(values: NDArray[Any], place: int) -> float:
    """Return how far from a largest value the top of the parabola through it lies, −0.5 to 0.5."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[place - 1 : place + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))


def _enlarge(face: Detection, scale: float) -> Detection:
    """Return a face in pixels of the frame."""
    return replace(face, x=face.x / scale, y=face.y / scale, width=face.width / scale)
