"""Lay one crop's points upon another's. Shapes: S crop size, P = 478 points, C channels; all in crop pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.expression import INNER_LIPS, OUTER_LIPS
from stages.common.face.warp_field import Grid, fit_spline

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

STILL_PX = 0.02
"""At 128 px; less than this is no motion."""
_SMOOTHING = 0.3
_USED = tuple(dict.fromkeys((*range(0, 468, 3), *OUTER_LIPS, *INNER_LIPS)))


def way_to(at_P2: Points, target_P2: Points, size_px: int) -> Floats:
    """The backward field (S, S, 2) that shows what a crop has at ``at_P2`` at ``target_P2``."""
    if np.abs(at_P2 - target_P2).max() < STILL_PX * size_px / 128:
        return np.zeros((size_px, size_px, 2), np.float32)
    border = Grid.around(size_px).border_N2
    centers = np.concatenate([target_P2[list(_USED)], border])
    values = np.concatenate([(at_P2 - target_P2)[list(_USED)], np.zeros_like(border)])
    scale = size_px / 128
    axis = np.arange(0, 129, 2, dtype=np.float64)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    coarse = fit_spline(centers / scale, values / scale, _SMOOTHING)(nodes) * scale
    coarse = coarse.reshape(len(axis), len(axis), 2).astype(np.float32)
    to_coarse = np.array([[0.5 / scale, 0, 0], [0, 0.5 / scale, 0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    shape = (size_px, size_px)
    return np.asarray(cv2.warpAffine(coarse, to_coarse, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def register(picture_SSC: Floats, at_P2: Points, target_P2: Points) -> Floats:
    """A crop with its points ``at_P2`` moved to ``target_P2``."""
    size = len(picture_SSC)
    field = way_to(at_P2, target_P2, size)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    map_x, map_y = x + field[..., 0], y + field[..., 1]
    return np.asarray(cv2.remap(picture_SSC, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
