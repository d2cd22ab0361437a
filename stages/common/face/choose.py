"""Which of the faces that a detector found are meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.common.errors import BadInputError
from stages.common.face.detect import Face

_LEAST_SCORE_SHARE = 0.2


def likely_faces(faces: Sequence[Face], path: Path | str, tried: str = "") -> list[Face]:
    """``faces`` without finds that score far below the best one: folds of cloth and the like.

    Raises ``BadInputError`` ("no face") when there is none; ``tried`` says how they were looked for.
    """
    if not faces:
        raise BadInputError(
            f"no face found in {path}", tried or "Is it turned away, covered, or very small?", reason="no face"
        )
    best_score = max(face.score for face in faces)
    return [face for face in faces if face.score >= _LEAST_SCORE_SHARE * best_score]
