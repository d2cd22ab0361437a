"""One face through the pictures of a clip: the fixed crop, its landmarks, and the reasons to reject the clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.common.config import StageConfig
from stages.common.errors import BadInputError
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.similarity import invert_similarity, transform_points
from stages.common.face.track import SquareBox, fill_gaps, follow_face, smooth_landmarks, square_box
from stages.common.face.warp import align_face
from stages.common.images import encode_jpeg
from stages.common.media.video import Video

_REGION, _REGION_PX = 1.5, 320
"""Landmarks are searched in the box enlarged by this factor, at this side: detectors want some surroundings."""
_THUMBNAIL_PX = (32, 32)
_FLAT = 2.0
"""A picture whose grey values deviate by less shows nothing."""


class TrackingConfig(StageConfig):
    """How the face of a clip is found, followed and cut, and when a clip is rejected."""

    size_px: int = Field(default=128, ge=16, le=1024)
    search_side_px: int = Field(default=216, ge=64)
    """Shorter side of the picture in which faces are searched: MEAD's 1920x1080 becomes the thesis's 384x216."""
    margin_px: float = Field(default=10, ge=0)
    """Between the landmarks and the edge of the box, in pixels of that picture."""
    min_fan_score: float = Field(default=0.8, ge=0, le=1)
    several: Literal["largest", "reject"] = "reject"
    """What becomes of a clip with a second face at least half as large as the first."""
    min_face_px: float = Field(default=48, ge=1)
    min_found: float = Field(default=0.8, gt=0, le=1)
    """Least fraction of pictures in which the face is found; landmarks of the others are interpolated."""
    smoothing_s: float = Field(default=0.03, ge=0)
    """Standard deviation of the Gaussian that smooths landmarks over time."""
    min_similarity: float = Field(default=0.5, ge=-1, le=1)
    """Least correlation of consecutive pictures, shrunk and grey; at a shot cut it is lower."""
    min_s: float = Field(default=0.5, ge=0)
    max_s: float = Field(default=60, gt=0)
    max_gap_s: float = Field(default=0.25, gt=0)
    """Longest time without a new picture."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)


@dataclass(frozen=True, slots=True)
class Track:
    """JPEG crops (T), their landmarks (T, 68, 2) in crop pixels, and the frames in which no face was found."""

    box: SquareBox
    jpegs: list[bytes]
    landmarks: NDArray[np.float32]
    interpolated: tuple[int, ...]


class ClipTracker:
    """Finds the face once and follows it; one instance a process."""

    def __init__(self, config: TrackingConfig, detector: FaceDetector) -> None:
        self._config = config
        self._detector = detector

    def track(self, video: Video) -> Track:
        """Read a clip, twice: to find the box, then to cut. Raises ``BadInputError`` with the reason of a rejection."""
        config = self._config
        box, middle_xy = self._find_box(video)
        jpegs: list[bytes] = []
        found: list[NDArray[np.float64] | None] = []
        thumbnail: NDArray[np.float32] | None = None
        for number, rgb in enumerate(video):
            if number >= config.max_s * video.fps:
                raise BadInputError(f"{video.path} is longer than {config.max_s} s", reason="too long")
            previous, thumbnail = thumbnail, _shrink(rgb)
            if previous is not None and _correlation(previous, thumbnail) < config.min_similarity:
                raise BadInputError(f"{video.path} has a cut at picture {number}", reason="shot cut")
            if number and number % round(video.fps) == 0:
                self._search(rgb)
            landmarks = self._landmarks(rgb, box, middle_xy)
            middle_xy = middle_xy if landmarks is None else landmarks.mean(axis=0)
            found.append(None if landmarks is None else transform_points(box.matrix(config.size_px), landmarks))
            jpegs.append(encode_jpeg(align_face(rgb, box.matrix(config.size_px), config.size_px), config.jpeg_quality))
        return self._finish(video, box, jpegs, found)

    def _find_box(self, video: Video) -> tuple[SquareBox, NDArray[np.float64]]:
        """The box about the landmarks of the first picture with a face, and their middle."""
        config = self._config
        last = int((1 - config.min_found) * config.max_s * video.fps)
        for number, rgb in enumerate(video):
            faces = self._search(rgb)
            if faces:
                if faces[0].side_px < config.min_face_px:
                    raise BadInputError(f"{video.path} shows too small a face", reason="too small")
                margin_px = config.margin_px / _search_scale(rgb, config.search_side_px)
                return square_box(faces[0].landmarks, margin_px), faces[0].landmarks.mean(axis=0)
            if number >= last:
                break
        raise BadInputError(f"{video.path} shows no face", reason="no face")

    def _search(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """The faces of a whole picture, in its own pixels. Raises ``BadInputError`` for several of similar size."""
        scale = _search_scale(rgb, self._config.search_side_px)
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        faces = [
            _to_source(face, np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]]))
            for face in self._detect(np.asarray(small, dtype=np.uint8))
        ]
        if self._config.several == "reject" and len(faces) > 1 and faces[1].side_px >= faces[0].side_px / 2:
            raise BadInputError("there are several people", reason="several faces")
        return faces

    def _landmarks(
        self, rgb: NDArray[np.uint8], box: SquareBox, middle_xy: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """The landmarks of the face near ``middle_xy``, in the picture's pixels."""
        matrix = box.enlarged(_REGION).matrix(_REGION_PX)
        faces = [_to_source(face, matrix) for face in self._detect(align_face(rgb, matrix, _REGION_PX))]
        face = follow_face(faces, middle_xy, reach_px=box.side / 2)
        return None if face is None else face.landmarks

    def _detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        least = self._config.min_fan_score if self._detector.name == "fan" else -np.inf
        return [face for face in self._detector(rgb) if face.score >= least]

    def _finish(
        self, video: Video, box: SquareBox, jpegs: list[bytes], found: list[NDArray[np.float64] | None]
    ) -> Track:
        config = self._config
        lost = tuple(number for number, landmarks in enumerate(found) if landmarks is None)
        if len(jpegs) < config.min_s * video.fps:
            raise BadInputError(f"{video.path} is shorter than {config.min_s} s", reason="too short")
        if video.facts.longest_gap_s > config.max_gap_s:
            raise BadInputError(f"{video.path} lacks pictures", reason="pictures missing")
        if len(found) - len(lost) < config.min_found * len(found):
            raise BadInputError(f"{video.path} loses the face in {len(lost)} pictures", reason="face lost")
        landmarks = smooth_landmarks(fill_gaps(found), config.smoothing_s * float(video.fps))
        return Track(box, jpegs, landmarks.astype(np.float32), lost)


def _search_scale(rgb: NDArray[np.uint8], side_px: int) -> float:
    return min(1.0, side_px / float(min(rgb.shape[:2])))


def _to_source(face: Face, matrix: NDArray[np.float64]) -> Face:
    """A face found in a picture that ``matrix`` made, in the pixels from which it was made."""
    left, top, right, bottom = face.box_xyxy
    back = invert_similarity(matrix)
    (left, top), (right, bottom) = transform_points(back, [(left, top), (right, bottom)]).tolist()
    return Face((left, top, right, bottom), face.score, transform_points(back, face.landmarks))


def _shrink(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(rgb, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Of two thumbnails, which may both show nothing."""
    if max(first.std(), second.std()) < _FLAT:
        return 1.0
    if min(first.std(), second.std()) < _FLAT:
        return 0.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
