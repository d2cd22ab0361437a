"""Which of the faces that a detector found are meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.face.detect import Face, FaceDetector

_LEAST_SCORE_SHARE = 0.2


def likely_faces(faces: Sequence[Face], path: Path | str) -> list[Face]:
    """``faces`` without finds that score far below the best one: folds of cloth and the like.

    Raises ``BadInputError`` ("no face") when there is none.
    """
    if not faces:
        raise BadInputError(f"no face found in {path}", "Is it turned away, covered, or very small?", reason="no face")
    best_score = max(face.score for face in faces)
    return [face for face in faces if face.score >= _LEAST_SCORE_SHARE * best_score]


def finder(detector: FaceDetector, path: Path) -> Callable[[NDArray[np.uint8]], list[Face]]:
    """A function to the ``likely_faces`` of a frame of the video ``path``, which may be none."""

    def find(rgb: NDArray[np.uint8]) -> list[Face]:
        faces = detector(rgb)
        return likely_faces(faces, path) if faces else []

    return find
