"""Face features: pure functions from a film's frames to rows, as `affectus.face_rows` has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from affectus.errors import ConfigError, MediaError
from affectus.face_rows import FOUND, INFO, N_FACES, join_rows
from affectus.features.checks import check_parameters
from affectus.features.face.crops import crop_face, measure_blur
from affectus.features.face.detection import Detection, Detector, HaarDetector, YuNetDetector
from affectus.features.face.networks import PURPOSES, FaceNetwork, hash_model, open_network
from affectus.features.face.tracking import FaceFrame, Follower
from affectus.media import FRAME_RATE, Frame, Image, MediaWarning

Parameter = str | int | float | bool | None

_BLUR_SIZE = 112  # pixels of the grey face whose blur is measured
_BATCH = 32  # faces shown to a network at once


class Watch(Protocol):
    """One film being looked at: the rows are those of all frames at once, whatever the pieces."""

    def look(self, frame: Frame) -> None:
        """Take in the next frame."""

    def take(self) -> NDArray[Any]:
        """Return the rows [F, D] of the frames since the last call."""


@dataclass(frozen=True, kw_only=True)
class _FaceFeatures(ABC):
    """What both kinds take: how faces are found, and what becomes of a clip with few of them."""

    rate: float = FRAME_RATE
    detect_every: int = 5
    detector: str = ""
    detector_sha256: str = ""
    min_found: float = 0.5
    few: str = "fail"

    modality: ClassVar[str] = "face"

    def __post_init__(self) -> None:
        checks = {
            "rate": (0.1 <= self.rate <= 240, "0.1 to 240 frames a second"),
            "detect_every": (1 <= self.detect_every <= 100, "1 to 100 frames"),
            "min_found": (0 <= self.min_found <= 1, "a share, 0 to 1"),
            "few": (self.few in ("fail", "warn"), "fail or warn"),
        }
        check_parameters(self._name, self, checks)
        found = hash_model(self.detector) if self.detector else ""
        _expect_same(self._name, self.detector, self.detector_sha256, found)
        object.__setattr__(self, "detector_sha256", found)

    @property
    def _name(self) -> str:
        return str(type(self).__dict__["name"])

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.rate

    def parameters(self) -> dict[str, Parameter]:
        """Return every setting."""
        return asdict(self)

    def expect_faces(self, info: NDArray[np.float32], name: str) -> None:
        """Refuse (E1606) a clip with too few faces, unless that is to be a warning."""
        if self.few == "fail":
            for code, text in find_faults(info, self.min_found):
                if code == "W1702":
                    remedy = "Leave it out, or allow it: --set few=warn"
                    raise MediaError("E1606", name, f"{text}. {remedy}")

    def follower(self) -> Follower:
        """Return what follows the face through one film."""
        detector: Detector = YuNetDetector(self.detector) if self.detector else _haar()
        return Follower(detector, self.detect_every)

    @abstractmethod
    def watch(self) -> Watch:
        """Return what looks at one film, frame by frame."""

    def __call__(self, frames: Iterable[Frame]) -> NDArray[Any]:
        """Return the rows [F, D] of a film's frames, as `affectus.face_rows` has them."""
        watch = self.watch()
        for frame in frames:
            watch.look(frame)
        return watch.take()


@cache
def _haar() -> HaarDetector:
    return HaarDetector()


def _expect_same(features: str, file: str, wanted: str, found: str) -> None:
    if wanted not in ("", found):
        raise ConfigError(
            f"{features}: the model at {file} is {found[:12] or 'none'}…; expected "
            f"{wanted[:12]}…, which the features were made with. Give that model."
        )


@dataclass(frozen=True, kw_only=True)
class FaceCrops(_FaceFeatures):
    """The face, cut out and upright: `size` x `size` pixels a frame, grey or `colour` (RGB).

    `rate` frames a second; a face is detected in every `detect_every`-th and tracked between, by
    OpenCV's bundled detector, or YuNet where `detector` names its ONNX file (its SHA-256 is filled
    in by itself). A clip with a face in less than `min_found` of its frames fails, or is kept with
    its frames masked where `few` is 'warn'.

    The array is of bytes: see `affectus.face_rows`.
    """

    size: int = 112
    colour: bool = False

    name: ClassVar[str] = "face_crops"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 16 <= self.size <= 512:
            raise ConfigError(
                f"face_crops: size is {self.size}; expected 16 to 512 pixels. Change it."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one crop."""
        return (self.size, self.size, 3) if self.colour else (self.size, self.size)

    @property
    def columns(self) -> tuple[str, ...]:
        """INFO, then a name a pixel, by row and column."""
        places = np.ndindex(self.shape)
        return INFO + tuple("pixel_" + "_".join(map(str, place)) for place in places)

    def watch(self) -> Watch:
        """Return what looks at one film; its rows are [F, 40 + pixels] uint8."""
        return _CropWatch(self)


class _CropWatch:
    """Cuts a face out of each frame."""

    def __init__(self, settings: FaceCrops) -> None:
        self._settings, self._follower = settings, settings.follower()
        # One buffer that grows: an hour of crops is 0.7 GB, and would be three times that as a list
        # and the arrays that are made of it.
        self._rows, self._n_frames = bytearray(), 0

    def look(self, frame: Frame) -> None:
        """See Watch."""
        settings, followed, crop = self._settings, self._follower.look(frame), None
        if followed.face is not None:
            crop = crop_face(frame, followed.face, settings.size, colour=settings.colour)
        pixels = np.zeros(settings.shape, np.uint8) if crop is None else crop
        row = join_rows(_table([describe_face(followed, crop)]), pixels.reshape(1, -1))
        self._rows += row.tobytes()
        self._n_frames += 1

    def take(self) -> NDArray[Any]:
        """See Watch."""
        rows, n_frames = self._rows, self._n_frames
        self._rows, self._n_frames = bytearray(), 0
        if not n_frames:
            n_pixels = int(np.prod(self._settings.shape))
            return join_rows(_table([]), np.zeros((0, n_pixels), np.uint8))
        return np.frombuffer(rows, np.uint8).reshape(n_frames, -1)


@dataclass(frozen=True, kw_only=True)
class FaceEmbedding(_FaceFeatures):
    """What a face network, given as an ONNX file, makes of each face: [F, 10 + D] float32.

    `kind` says what the network expects and gives: 'facenet' (512), 'vggface' (4,096) or
    'blendshapes' (52 of MediaPipe's FaceLandmarker, which needs `landmarks`, its network of
    landmarks, too). The SHA-256 of each file is filled in by itself. The other settings are those
    of face_crops.

    FaceNet and VGG-Face were trained to tell people apart: their vectors say who it is before they
    say how they feel, and a speaker on two sides of a split is worth more to a model than ever.
    """

    kind: str = ""
    model: str = ""
    model_sha256: str = ""
    landmarks: str = ""
    landmarks_sha256: str = ""

    name: ClassVar[str] = "face_embedding"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in PURPOSES:
            raise ConfigError(
                f"face_embedding: kind is '{self.kind}'; expected {', '.join(PURPOSES)}. "
                f"Add: --set kind=facenet"
            )
        for part in ("model", "landmarks"):
            file = getattr(self, part)
            needed = part == "model" or self.kind == "blendshapes"
            if bool(file) != needed:
                expected = f"--set {part}=FILE.onnx" if part == "landmarks" else "--model FILE.onnx"
                found = f"no {part}" if needed else f"{part} is '{file}'"
                raise ConfigError(
                    f"face_embedding: {found}; expected "
                    f"{f'it: {expected}' if needed else 'none for ' + self.kind}."
                )
            sha256 = hash_model(file) if file else ""
            _expect_same(self.name, file, getattr(self, f"{part}_sha256"), sha256)
            object.__setattr__(self, f"{part}_sha256", sha256)
        _ = self._network  # or refuse it here

    @property
    def _network(self) -> FaceNetwork:
        return open_network(self.kind, self.model, self.landmarks)

    @property
    def columns(self) -> tuple[str, ...]:
        """INFO, then the network's."""
        return INFO + self._network.columns

    @property
    def cautions(self) -> tuple[str, ...]:
        """What to know before training on these features."""
        if self.kind == "blendshapes":
            return ()
        return (
            f"{self.kind} vectors are made to tell who somebody is: a model of them knows speakers "
            f"at once. Trust no score but of speakers it never saw.",
        )

    def watch(self) -> Watch:
        """Return what looks at one film; its rows are [F, 10 + D] float32."""
        return _EmbeddingWatch(self._network, self.follower())


class _EmbeddingWatch:
    """Shows the faces to a network, 32 at once."""

    def __init__(self, network: FaceNetwork, follower: Follower) -> None:
        self._network, self._follower = network, follower
        self._begin()

    def _begin(self) -> None:
        self._info: list[tuple[float, ...]] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._waiting: list[tuple[int, Image]] = []

    def look(self, frame: Frame) -> None:
        """See Watch."""
        network, followed = self._network, self._follower.look(frame)
        face, grey = followed.face, None
        if face is not None:
            grey = crop_face(frame, face, _BLUR_SIZE)
            wide = Detection(face.x, face.y, network.margin * face.width, 1.0, face.roll)
            crop = crop_face(frame, wide, network.size, colour=True)
            self._waiting.append((len(self._info), crop))
        self._info.append(describe_face(followed, grey))
        self._vectors.append(np.full(len(network.columns), np.nan, np.float32))
        if len(self._waiting) == _BATCH:
            self._run()

    def _run(self) -> None:
        if self._waiting:
            made = self._network(np.stack([crop for _, crop in self._waiting]))
            for (place, _), vector in zip(self._waiting, made, strict=True):
                self._vectors[place] = vector
            self._waiting.clear()

    def take(self) -> NDArray[Any]:
        """See Watch."""
        self._run()
        vectors, info = self._vectors, self._info
        self._begin()
        values = np.array(vectors, np.float32).reshape(len(vectors), len(self._network.columns))
        return join_rows(_table(info), values)


def describe_face(followed: FaceFrame, crop: Image | None) -> tuple[float, ...]:
    """Return the values of INFO for a frame and the crop of its face."""
    frame, face, n_faces = followed
    if face is None or crop is None:
        known = {"found": 0.0, "time": frame.time, "n_faces": float(n_faces)}
        return tuple(known.get(column, np.nan) for column in INFO)
    height, width = frame.luma.shape
    return (
        1.0, frame.time, face.x / width, face.y / height, face.width / width, face.width / height,
        face.roll or 0.0, face.confidence, measure_blur(crop), float(n_faces),
    )  # fmt: skip


def _table(info: list[tuple[float, ...]]) -> NDArray[np.float32]:
    return np.array(info, np.float32).reshape(len(info), len(INFO))


def find_faults(info: NDArray[np.float32], least: float) -> list[MediaWarning]:
    """Return what an answer from these rows should be read with; `least` is the share of faces."""
    warnings = []
    share = float(info[:, FOUND].mean()) if len(info) else 0.0
    if share < least:
        text = f"a face in {share:.0%} of {len(info):,} frames; expected {least:.0%}"
        warnings.append(MediaWarning("W1702", text))
    most = int(info[:, N_FACES].max()) if len(info) else 0
    if most > 1:
        text = f"{most} faces; followed is the one that was largest at first"
        warnings.append(MediaWarning("W1703", text))
    return warnings
