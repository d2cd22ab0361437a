"""From one photo to one row and, if all is well, one aligned face."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.align.config import AlignConfig
from stages.align.sources import Sample
from stages.common.containment import as_bad_input, concerns_all
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.search import find_faces
from stages.common.images import decode_rgb, encode_jpeg, read_bytes
from stages.common.samples import OK, sample_key

GREY = "grey"
DUPLICATE = "duplicate"
_BLUR_SIZE_PX = 128
_GREY_SPREAD = 2.0


@dataclass(slots=True)
class FaceRow:
    """One row of ``faces.parquet``; ``status`` is "ok" or the reason. Boxes and landmarks are in photo pixels.

    The last three are a row of ``expressions.parquet``, ``points`` in pixels of the aligned face.
    """

    sample_key: str
    source_path: str
    source_sha256: str
    emotion: str | None
    identity: str | None
    split: str
    grey: bool
    status: str
    face_path: str | None
    box_xyxy: list[float] = field(default_factory=list)
    landmarks: list[float] = field(default_factory=list)
    transform: list[float] = field(default_factory=list)
    blur_score: float | None = None
    detector: str = ""
    points: list[float] | None = None
    coefficients: list[float] | None = None
    identity_embedding: list[float] | None = None


class FaceMaker:
    """Finds, judges and cuts the face of each sample; one instance a process."""

    def __init__(
        self,
        config: AlignConfig,
        root: Path,
        detector: FaceDetector,
        measure: Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64], FaceRow], None] | None = None,
    ) -> None:
        """``measure`` adds to a row what the face shows: from the photo, the crop, and the matrix between them."""
        self._config = config
        self._root = root
        self._detector = detector
        self._measure = measure

    def make(self, sample: Sample) -> tuple[FaceRow, bytes | None]:
        """The sample's row, and the JPEG of its face if the status is "ok"."""
        row = FaceRow(
            sample_key=sample_key(sample.source_path),
            source_path=sample.source_path,
            source_sha256="",
            emotion=sample.emotion,
            identity=sample.identity,
            split=sample.split,
            grey=bool(sample.grey),
            status=sample.rejection or OK,
            face_path=None,
            detector=self._detector.name,
        )
        if sample.rejection or (self._config.colour_only and sample.grey):
            row.status = sample.rejection or GREY
            return row, None
        try:
            return row, self._make(sample, row)
        except Exception as error:
            if concerns_all(error):
                raise
            row.status = as_bad_input(error, sample.source_path).reason
            return row, None

    def _make(self, sample: Sample, row: FaceRow) -> bytes | None:
        content = read_bytes(self._root / sample.source_path)
        row.source_sha256 = hashlib.sha256(content).hexdigest()
        rgb = decode_rgb(content, sample.source_path)
        cut = self._cut(rgb, row)
        if cut is None:
            return None
        crop, matrix = cut
        if sample.grey is None:
            row.grey = is_grey(crop)
        if row.grey and self._config.colour_only:
            row.status = GREY
            return None
        if self._measure is not None:
            self._measure(rgb, crop, matrix, row)
        return encode_jpeg(crop, self._config.jpeg_quality)

    def _cut(self, rgb: NDArray[np.uint8], row: FaceRow) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
        faces = find_faces(self._detector, rgb, row.source_path, every=self._config.several != "largest")
        face = min(faces, key=lambda f: _distance_px(f, rgb)) if self._config.several == "central" else faces[0]
        row.box_xyxy = [float(v) for v in face.box_xyxy]
        row.landmarks = [float(v) for v in face.landmarks.ravel()]
        if len(faces) > 1 and self._config.several == "reject":
            row.status = "several faces"
            return None
        if face.side_px < self._config.min_face_px:
            row.status = "too small"
            return None
        crop, matrix = cut_face(rgb, face, self._config.size_px)
        row.transform = [float(v) for v in matrix.ravel()]
        row.blur_score = sharpness(crop if crop.shape[0] == _BLUR_SIZE_PX else cut_face(rgb, face, _BLUR_SIZE_PX)[0])
        if row.blur_score < self._config.min_blur:
            row.status = "blurred"
            return None
        return crop, matrix


def _distance_px(face: Face, rgb: NDArray[np.uint8]) -> float:
    left, top, right, bottom = face.box_xyxy
    return float(np.hypot((left + right - rgb.shape[1]) / 2, (top + bottom - rgb.shape[0]) / 2))


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the grey values, rounded so that rows are equal wherever the crop is."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return round(float(cv2.Laplacian(grey, cv2.CV_64F).var()), 3)


def is_grey(crop: NDArray[np.uint8]) -> bool:
    """Whether the channels hardly differ: a black-and-white photo, even after JPEG's rounding."""
    red, green, blue = cv2.split(crop)
    spread = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
    return float(spread.mean()) < _GREY_SPREAD
