"""The expressions of all faces in a photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.face.choose import likely_faces
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.expression import Expression
from stages.common.face.similarity import invert_similarity, scale_of, transform_points

Measure = Callable[[NDArray[np.uint8], NDArray[np.float64], int], Expression | None]
"""A photo, the transform to an aligned crop and its side to an expression in pixels of the crop, as ``FaceLandmarker``
and ``ExpressionStudent`` have it."""
SIZE_PX = 128


@dataclass(frozen=True, slots=True)
class MeasuredFace:
    """A face and its ``expression``, both in pixels of the photo; None where no face was recognised after all."""

    face: Face
    expression: Expression | None


def measure_faces(rgb: NDArray[np.uint8], path: Path, find_faces: FaceDetector, measure: Measure) -> list[MeasuredFace]:
    """Every likely face, from left to right. Raises ``BadInputError`` ("no face") when there is none."""
    faces = sorted(likely_faces(find_faces(rgb), path), key=lambda face: face.box_xyxy)
    return [MeasuredFace(face, _measure_face(rgb, face, measure)) for face in faces]


def _measure_face(rgb: NDArray[np.uint8], face: Face, measure: Measure) -> Expression | None:
    _, matrix = cut_face(rgb, face, SIZE_PX)
    found = measure(rgb, matrix, SIZE_PX)
    if found is None:
        return None
    points = found.points_P3 / np.float32(scale_of(matrix))
    points[:, :2] = transform_points(invert_similarity(matrix), found.points_P3[:, :2])
    return Expression(points, found.coefficients_K, found.confidence)
