"""A face cut out of its frame: upright, of one size, and how blurred it is."""

from __future__ import annotations

import math

import numpy as np

from affectus.features.face.detection import Detection
from affectus.media import Frame, Image


def crop_face(frame: Frame, face: Detection, size: int, *, colour: bool = False) -> Image:
    """Return the face [size, size] grey, or [size, size, 3] RGB, uint8, the eyes level.

    Black is 0 and white 255, whatever range the film has. What lies beyond the picture's edge is
    the edge's.
    """
    import cv2

    image = frame.colour if colour else frame.luma
    # A large face is cut out at a multiple of the size and averaged down, so that no line flickers.
    times = max(1, round(face.width / size))
    angle = math.radians(face.roll or 0.0)
    scale = times * size / face.width
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    middle = times * size / 2
    move = np.array([
        [cosine, sine, middle - cosine * face.x - sine * face.y],
        [-sine, cosine, middle + sine * face.x - cosine * face.y],
    ])  # fmt: skip
    crop = cv2.warpAffine(
        image, move, (times * size, times * size), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if times > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    black, white = (0, 255) if colour else frame.luma_range
    if (black, white) != (0, 255):
        levels = (np.arange(256) - black) * (255 / (white - black))
        crop = cv2.LUT(crop, np.clip(levels + 0.5, 0, 255).astype(np.uint8))
    return np.asarray(crop, np.uint8)


def measure_blur(crop: Image) -> float:
    """Return how blurred a face is: 0 is sharp, 1 has no edge at all.

    What a further blur changes: the edges of a sharp picture much, of a blurred one hardly.

    **Source:** Crété-Roffet, Dolmiere, Ladret and Nicolas (2007), "The Blur Effect: Perception and
    Estimation with a New No-Reference Perceptual Blur Metric", SPIE 6492, equations 1 to 6.
    """
    import cv2

    grey = crop if crop.ndim == 2 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    image = grey.astype(np.float32)
    worst = 0.0
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        softer = cv2.blur(image, kernel, borderType=cv2.BORDER_REPLICATE)
        edges = np.abs(np.diff(image, axis=axis))
        left = np.abs(np.diff(np.asarray(softer), axis=axis))
        total = float(edges.sum())
        lost = float(np.maximum(0.0, edges - left).sum())
        worst = max(worst, 1.0 if total == 0 else (total - lost) / total)
    return worst
