"""The geometry of a face as pictures: where its lips, eyes and brows are, drawn from points."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.common.face.expression import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
)

GEOMETRY_PX = 64
GEOMETRY_MAPS: tuple[tuple[tuple[int, ...], ...], ...] = (
    (INNER_LIPS,),
    (OUTER_LIPS,),
    (LEFT_EYE, RIGHT_EYE),
    (LEFT_IRIS[1:], RIGHT_IRIS[1:]),
    (LEFT_BROW, RIGHT_BROW),
    (OVAL,),
)
"""The contours that each map fills. A mirrored face has the mirrored maps."""
_SHIFT_BITS = 4


def draw_geometry(points_P2: ArrayLike, size_px: int) -> NDArray[np.uint8]:
    """Maps (G, 64, 64) of 0..255 of a face whose points are in pixels of a crop of ``size_px``; smooth at the edges."""
    to_map = (np.asarray(points_P2, np.float64) + 0.5) * (GEOMETRY_PX / size_px) - 0.5
    fixed = np.rint(np.clip(to_map, -GEOMETRY_PX, 2 * GEOMETRY_PX) * 2**_SHIFT_BITS).astype(np.int32)
    maps = np.zeros((len(GEOMETRY_MAPS), GEOMETRY_PX, GEOMETRY_PX), np.uint8)
    for canvas, contours in zip(maps, GEOMETRY_MAPS, strict=True):
        for contour in contours:
            cv2.fillPoly(canvas, [fixed[list(contour)]], 255, lineType=cv2.LINE_AA, shift=_SHIFT_BITS)
    return maps
