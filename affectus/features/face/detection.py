"""Where faces are in a picture: OpenCV's bundled cascade, or a YuNet model that the user gives.

OpenCV (`cv2`) is loaded by the functions that need it: it comes with the extra `face`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ModelError
from affectus.media import Image

SMALLEST = 1 / 12  # of a picture's longer side; smaller faces are not looked for
_NEIGHBOURS = 4  # overlapping windows that make a detection
_STEP = 1.1  # from one size of window to the next
# Where an eye may be, as shares of the box of a face: how far down, and how wide it is.
_EYES_FROM, _EYES_TO = 0.18, 0.58
_EYE_WIDTHS = 0.14, 0.40
_EYES_APART = 0.25, 0.65
_EYE_FACE = 128  # pixels that a face is made wide to look for eyes


@dataclass(frozen=True)
class Detection:
    """A face: its centre and its width (the box is square), in pixels of the picture.

    `confidence` is 0 to 1, `roll` how far the eyes' line leans, in degrees clockwise; None where
    the eyes were not found.
    """

    x: float
    y: float
    width: float
    confidence: float
    roll: float | None = None


class Region(NamedTuple):
    """Where to look again: a centre, a width, in pixels."""

    x: float
    y: float
    width: float


class Detector(Protocol):
    """What finds faces."""

    def find(self, grey: Image, near: Region | None = None) -> list[Detection]:
        """Return the faces in a grey picture [H, W]; only those `near` a region, if given."""

    def find_roll(self, grey: Image, face: Detection) -> Detection:
        """Return a face with its roll, where its eyes can be told."""


class HaarDetector:
    """The cascade of boosted Haar features that OpenCV brings along; no file to fetch.

    Faces seen from the front, upright to about 15 degrees. A detection's confidence is
    n / (n + 4) for n overlapping windows that agree.

    **Source:** Viola and Jones (2001), CVPR 1: 511; `haarcascade_frontalface_default`
    (Rainer Lienhart) and `haarcascade_righteye_2splits` (Shiqi Yu), OpenCV.
    """

    def __init__(self) -> None:
        import cv2

        cv2.setNumThreads(1)  # the order in which several find windows is never the same

    def find(self, grey: Image, near: Region | None = None) -> list[Detection]:
        """See Detector."""
        import cv2

        smallest = round(SMALLEST * max(grey.shape))
        left = top = 0
        sizes: dict[str, Any] = {"minSize": (smallest, smallest)}
        if near is not None:
            left, top = (max(0, int(at - near.width)) for at in (near.x, near.y))
            right, bottom = (int(at + near.width) + 1 for at in (near.x, near.y))
            grey = grey[top:bottom, left:right]
            low, high = round(0.7 * near.width), round(1.4 * near.width)
            sizes = {"minSize": (low, low), "maxSize": (high, high)}
        if min(grey.shape) < 24:  # the cascade's own window
            return []
        boxes, neighbours = _cascade("frontalface_default").detectMultiScale2(
            cv2.equalizeHist(np.ascontiguousarray(grey)), _STEP, _NEIGHBOURS, **sizes
        )
        return [
            Detection(left + x + width / 2, top + y + width / 2, float(width), n / (n + 4))
            for (x, y, width, _), n in zip(boxes, neighbours, strict=True)
        ]

    def find_roll(self, grey: Image, face: Detection) -> Detection:
        """See Detector. An eye is looked for on either side of the upper half of the face."""
        import cv2

        scale = _EYE_FACE / face.width
        left = face.x - face.width / 2
        top = face.y - face.width / 2 + _EYES_FROM * face.width
        n_rows = round((_EYES_TO - _EYES_FROM) * _EYE_FACE)
        move = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        size = (_EYE_FACE, n_rows)
        strip = np.asarray(
            cv2.warpAffine(grey, move, size, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        # One cascade, for the person's right eye, and the other half in a mirror: what it is off
        # by, it is on both sides.
        half = _EYE_FACE // 2
        right, mirrored = _find_eye(strip[:, :half]), _find_eye(strip[:, : half - 1 : -1])
        if right is None or mirrored is None:
            return face
        (x1, y1), (x2, y2) = right, mirrored
        apart = _EYE_FACE - x2 - x1
        if not _EYES_APART[0] <= apart / _EYE_FACE <= _EYES_APART[1]:
            return face
        return replace(face, roll=float(np.degrees(np.arctan2(y2 - y1, apart))))


def _find_eye(half: Image) -> tuple[float, float] | None:
    """Return the centre of the eye in one half of a face, the one that most windows agree on."""
    low, high = (round(share * _EYE_FACE) for share in _EYE_WIDTHS)
    boxes, neighbours = _cascade("righteye_2splits").detectMultiScale2(
        np.ascontiguousarray(half), _STEP, 2, minSize=(low, low), maxSize=(high, high)
    )
    if not len(boxes):
        return None
    x, y, width, height = boxes[int(np.argmax(neighbours))]
    return x + width / 2, y + height / 2


def opencv_version() -> str:
    """Name OpenCV with its version, for the features' provenance."""
    import cv2

    return f"OpenCV {cv2.__version__}"


def _cascade(name: str) -> Any:
    return _load_cascade(name, threading.get_ident())  # one must not be used by two threads at once


@lru_cache(64)
def _load_cascade(name: str, thread: int) -> Any:
    import cv2

    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))


class YuNetDetector:
    """YuNet, by a model file of the user's, run by OpenCV; finds small and turned faces, too.

    **Source:** Wu, Peng and Yu (2023), "YuNet: A Tiny Millisecond-level Face Detector", Machine
    Intelligence Research 20: 656. A row of its answer is the box (left, top, width, height), right
    eye, left eye, nose, right and left corner of the mouth, score: OpenCV's FaceDetectorYN.
    """

    def __init__(self, model: Path | str, threshold: float = 0.6) -> None:
        import cv2

        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), threshold)
        except cv2.error as error:
            raise ModelError(
                f"{model}: {error.err}; expected a YuNet model in ONNX. Check the file."
            ) from None

    def find(self, grey: Image, near: Region | None = None) -> list[Detection]:
        """See Detector. The whole picture is looked at in any case."""
        self._net.setInputSize(grey.shape[::-1])
        _, rows = self._net.detect(np.repeat(grey[:, :, None], 3, axis=2))
        found = [_read_row(row) for row in (rows if rows is not None else ())]
        smallest = SMALLEST * max(grey.shape)
        return [
            face
            for face in found
            if face.width >= smallest
            and (near is None or np.hypot(face.x - near.x, face.y - near.y) < near.width)
        ]

    def find_roll(self, grey: Image, face: Detection) -> Detection:
        """See Detector. It is there already."""
        return face


def _read_row(row: NDArray[np.float32]) -> Detection:
    """Return the square on a face's box; the eyes are the person's right and left."""
    left, top, width, height, x1, y1, x2, y2 = (float(value) for value in row[:8])
    roll = float(np.degrees(np.arctan2(y2 - y1, x2 - x1)))
    size = (width + height) / 2
    return Detection(left + width / 2, top + height / 2, size, float(row[14]), roll)
