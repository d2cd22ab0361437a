"""What landmarks and a lip reader's features say of a mouth. Shapes: T frames, 68 landmarks as (x, y), D features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError

_CORNERS = (60, 64)
_LIPS = ((61, 67), (62, 66), (63, 65))
"""Upper and lower points of the inner lips."""


def lip_distance(landmarks_TL2: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean distance of the inner lips in each frame (T,): (|p61 - p67| + |p62 - p66| + |p63 - p65|) / 3."""
    points = np.asarray(landmarks_TL2, dtype=np.float64)
    gaps = [np.linalg.norm(points[:, upper] - points[:, lower], axis=1) for upper, lower in _LIPS]
    return np.asarray(np.mean(gaps, axis=0))


def mouth_opening(landmarks_TL2: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far the mouth is open in each frame (T,): the mean distance of the inner lips over their width.

    m_t = (|p61 - p67| + |p62 - p66| + |p63 - p65|) / (3 |p60 - p64|), the mouth aspect ratio of the inner lips.
    """
    points = np.asarray(landmarks_TL2, dtype=np.float64)
    width = np.linalg.norm(points[:, _CORNERS[0]] - points[:, _CORNERS[1]], axis=1)
    return np.asarray(lip_distance(points) / np.maximum(width, 1e-6))


def lip_leak(opening_T: NDArray[np.floating], open_above: float) -> float:
    """The share of the frames of a clip spoken by silence in which the mouth is open: mean of [m_t > open_above].

    LipLeak of KeySync (Bigata et al. 2025, arXiv:2505.00497), the share of non-silent frames under silent sound.
    """
    return float(np.mean(np.asarray(opening_T) > open_above))


def lip_score(real_TD: NDArray[np.floating], generated_TD: NDArray[np.floating]) -> float:
    """The mean cosine of a lip reader's features of real and generated mouths, frame by frame.

    s = 1/T sum_t <f(x_t), f(y_t)> / (|f(x_t)| |f(y_t)|), LipScore of KeySync's published code.
    Raises ``BadInputError`` with reason "other length" or "features are not numbers".
    """
    if real_TD.shape != generated_TD.shape:
        raise BadInputError(
            f"{len(generated_TD)} frames were made of {len(real_TD)}", "Compare the same clips", reason="other length"
        )
    a, b = (np.asarray(features, dtype=np.float64) for features in (real_TD, generated_TD))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BadInputError("the features of the mouths are not numbers", reason="features are not numbers")
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean((a * b).sum(axis=1) / np.maximum(norms, 1e-12)))
