"""Face networks that the user gives as ONNX files: what goes in, what comes out.

No file is fetched, and none comes along: their weights have licences of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError, ModelError
from affectus.manifest import hash_file
from affectus.media import Image
from affectus.onnx_session import open_session

Floats = NDArray[np.float32]

# MediaPipe: the landmarks of its face mesh that the blendshapes are read from, and their names.
# Source: face_blendshapes_graph.cc, kLandmarksSubsetIdxs and kBlendshapeNames.
_LANDMARKS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66,
    67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144,
    145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173,
    176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284,
    285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332,
    334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
)  # fmt: skip
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft",
    "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
_N_LANDMARKS = 478


@dataclass(frozen=True)
class Purpose:
    """What a kind of network takes and gives.

    The face's square is made `margin` times as wide; pixels become (value − `offset`) / `scale`;
    `bgr` turns the colours around; `unit` makes the answer's length 1.
    """

    n_columns: int
    margin: float
    offset: float
    scale: float
    bgr: bool = False
    unit: bool = False


# Sources: facenet: facenet-pytorch's fixed_image_standardization. vggface: DeepFace 0.0.9x, whose
# `represent` gives the network BGR from 0 to 1 and makes its answer's length 1. blendshapes:
# MediaPipe's face_landmarker_graph.cc, which takes RGB from 0 to 1 and 1.5 times the box of its own
# detector; that box ends at the brows, the ones here take in the forehead, and 1.25 is as much.
PURPOSES: Mapping[str, Purpose] = {
    "facenet": Purpose(512, 1.0, 127.5, 128.0),
    "vggface": Purpose(4_096, 1.0, 0.0, 255.0, bgr=True, unit=True),
    "blendshapes": Purpose(52, 1.25, 0.0, 255.0),
}


def hash_model(file: str) -> str:
    """Return the SHA-256 of a model file, or raise ConfigError."""
    try:
        return hash_file(Path(file))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{file}: {reason}; expected a model in ONNX. Check the path.") from None


class FaceNetwork:
    """A network, or the two of the blendshapes, opened and checked."""

    def __init__(self, kind: str, model: str, landmarks: str) -> None:
        self.purpose = purpose = PURPOSES[kind]
        self.margin = purpose.margin
        self._second = None
        if kind == "blendshapes":
            self._first, self._second = _open(landmarks), _open(model)
            self.columns: tuple[str, ...] = BLENDSHAPES
        else:
            self._first = _open(model)
            self.columns = tuple(f"{kind}_{n:04d}" for n in range(purpose.n_columns))
        self._file = landmarks if self._second else model
        shape = self._first.get_inputs()[0].shape
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ModelError(
                f"{self._file}: its input is {shape}; expected colour pictures, [N, 3, H, W] or "
                f"[N, H, W, 3]."
            )
        self._channels_first = shape[1] == 3
        side = shape[2] if self._channels_first else shape[1]
        if not isinstance(side, int):
            raise ModelError(f"{self._file}: its input is {shape}; expected a fixed H and W.")
        self.size = side
        self._one_by_one = shape[0] == 1
        answer = self(np.zeros((1, side, side, 3), np.uint8))
        if answer.shape != (1, purpose.n_columns):
            raise ModelError(
                f"{model}: it gives {answer.shape[1]} values; expected the {purpose.n_columns} of "
                f"{kind}."
            )

    def __call__(self, crops: Image) -> Floats:
        """Return vectors [N, D] of faces [N, size, size, 3], RGB."""
        purpose = self.purpose
        images = (crops.astype(np.float32) - np.float32(purpose.offset)) / np.float32(purpose.scale)
        images = images[..., ::-1] if purpose.bgr else images
        images = images.transpose(0, 3, 1, 2) if self._channels_first else images
        images = np.ascontiguousarray(images)
        vectors = self._run(self._first, images)
        if self._second is not None:
            vectors = self._run(self._second, self._landmarks(vectors))
        if purpose.unit:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _landmarks(self, vectors: Floats) -> Floats:
        """Return the x and y that the blendshapes are read from, [N, 146, 2]."""
        if vectors.shape[1] != 3 * _N_LANDMARKS:
            raise ModelError(
                f"{self._file}: it gives {vectors.shape[1]} values; expected {_N_LANDMARKS} "
                f"landmarks of 3."
            )
        points = vectors.reshape(-1, _N_LANDMARKS, 3)[:, _LANDMARKS, :2]
        return np.ascontiguousarray(points)

    def _run(self, session: Any, inputs: Floats) -> Floats:
        """Return the largest output, flat: [N, D]; MediaPipe's landmarks come with a second one."""
        name = session.get_inputs()[0].name
        batches = inputs[:, None] if self._one_by_one else inputs[None]
        rows = []
        for batch in batches:
            answers = session.run(None, {name: batch})
            largest = max(answers, key=lambda answer: answer.size)
            rows.append(np.asarray(largest, np.float32).reshape(len(batch), -1))
        return np.concatenate(rows)


def _open(file: str) -> Any:
    try:
        return open_session(file)
    except ValueError as error:
        raise ModelError(f"{file}: {error}; expected a model in ONNX. Check the file.") from None


@cache
def _open_at(kind: str, model: str, landmarks: str, process: int) -> FaceNetwork:
    return FaceNetwork(kind, model, landmarks)


def open_network(kind: str, model: str, landmarks: str = "") -> FaceNetwork:
    """Return a network, opened once a process: a session does not survive a fork."""
    return _open_at(kind, model, landmarks, os.getpid())
