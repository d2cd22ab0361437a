"""Where a talker's square crop of a face lies in each frame.

T frames of one person, landmarks (T, 68, 2) in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stages.common.face.track import SquareBox

MARGIN = 0.12
"""Between the landmarks and the edge of the crop, in longer sides of the landmarks' box: as in the clips of GRID."""
STEADY_S = 0.4
"""Standard deviation in time with which the crop follows the face: in training it stands still."""
_UPPER = slice(17, 48)
"""Brows, nose and eyes: what speech does not move."""


def frame_boxes(landmarks_TL2: NDArray[np.float64], fps: float) -> list[SquareBox]:
    """A box for each frame that moves with the upper face alone, so that it tells nothing of the mouth that was there.

    Its size is the median over time of what holds all landmarks, in sizes of the upper face.
    """
    upper = landmarks_TL2[:, _UPPER]
    center = upper.mean(axis=1)
    size = np.sqrt(np.square(upper - center[:, None]).sum(axis=2).mean(axis=1))
    low, high = landmarks_TL2.min(axis=1), landmarks_TL2.max(axis=1)
    side = float(np.median((high - low).max(axis=1) / size)) * (1 + 2 * MARGIN)
    offset = np.median(((low + high) / 2 - center) / size[:, None], axis=0)
    moves = np.column_stack([center, size])
    smooth = np.asarray(gaussian_filter1d(moves, STEADY_S * fps, axis=0, mode="nearest"))
    return [
        SquareBox(
            float(x + (offset[0] - side / 2) * scale), float(y + (offset[1] - side / 2) * scale), float(side * scale)
        )
        for x, y, scale in smooth
    ]
