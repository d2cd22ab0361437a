"""From a detected face to its aligned crop."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import Face
from stages.common.face.similarity import estimate_similarity
from stages.common.face.warp import align_face


def cut_face(rgb: NDArray[np.uint8], face: Face, size_px: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The aligned crop of a face, and the (2, 3) transform from photo pixels to crop pixels."""
    matrix = estimate_similarity(face.landmarks, _canonical(size_px))
    return align_face(rgb, matrix, size_px), matrix


@cache
def _canonical(size_px: int) -> NDArray[np.float64]:
    return canonical_landmarks(size_px)
