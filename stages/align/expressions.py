"""What the expression and the identity of an aligned face are, for ``expressions.parquet``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.align.faces import FaceRow
from stages.common.face.embedder import FaceEmbedder
from stages.common.face.landmarker import FaceLandmarker


class ExpressionMeasurer:
    """The teacher's points and coefficients, and the embedding, of each face; one instance a process.

    A face in which the teacher finds none has neither. Raises ``MissingModelError`` without the teacher.
    """

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px
        self._landmarker = FaceLandmarker()
        self._embedder = FaceEmbedder()

    def __call__(
        self, rgb: NDArray[np.uint8], crop: NDArray[np.uint8], matrix: NDArray[np.float64], row: FaceRow
    ) -> None:
        """Add what the face shows that ``matrix`` took from the photo to its crop."""
        row.identity_embedding = self._embedder.of_crop(crop).tolist()
        found = self._landmarker(rgb, matrix, self._size_px)
        if found is not None:
            row.points = found.points_P3.ravel().tolist()
            row.coefficients = found.coefficients_K.tolist()
