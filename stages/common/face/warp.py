"""Cutting an aligned face out of a photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.common.face.similarity import invert_similarity, scale_of, transform_points

_MARGIN_PX = 4
"""Source pixels beyond the crop that bicubic interpolation and the prefilter may reach, per unit of shrinking."""


def align_face(rgb: NDArray[np.uint8], matrix: ArrayLike, size_px: int) -> NDArray[np.uint8]:
    """The (size_px, size_px, 3) crop: photo point (x, y) at ``matrix @ (x, y, 1)``; pixel centres whole.

    There is one interpolation (bicubic) from the original pixels. When shrinking, blocks of at most half a crop pixel
    are averaged first and a blur does the rest, so that nothing aliases, wherever the blocks begin. Outside the photo
    its mirror image continues without end.
    """
    m = np.asarray(matrix, dtype=np.float64)
    shrink = max(1.0, 1.0 / scale_of(m))
    block = max(1, int(shrink / 2))
    region, origin_xy = _mirrored_region(rgb, m, size_px, _MARGIN_PX * shrink, block)
    to_photo = np.array([[block, 0.0, origin_xy[0] + (block - 1) / 2], [0.0, block, origin_xy[1] + (block - 1) / 2]])
    if block > 1:
        shape = (region.shape[1] // block, region.shape[0] // block)
        region = cv2.resize(region, shape, interpolation=cv2.INTER_AREA)
    rest = shrink / block
    if rest > 1.05:
        region = cv2.GaussianBlur(region, (0, 0), 0.5 * float(np.sqrt(rest**2 - 1)), borderType=cv2.BORDER_REFLECT_101)
    composed = m[:, :2] @ to_photo
    composed[:, 2] += m[:, 2]
    crop = cv2.warpAffine(region, composed, (size_px, size_px), flags=cv2.INTER_CUBIC)
    return np.asarray(crop, dtype=np.uint8)


def _mirrored_region(
    rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int, margin_px: float, block: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """What the crop can see of the endlessly mirrored photo, in whole blocks, and where that begins (x, y)."""
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], dtype=np.float64) - 0.5
    in_photo = transform_points(invert_similarity(matrix), corners)
    low = np.floor(in_photo.min(axis=0) - margin_px).astype(int)
    high = np.ceil(in_photo.max(axis=0) + margin_px).astype(int) + 1
    count = -(-(high - low) // block) * block
    columns = _mirror(np.arange(low[0], low[0] + count[0]), rgb.shape[1])
    rows = _mirror(np.arange(low[1], low[1] + count[1]), rgb.shape[0])
    return rgb.take(rows, axis=0).take(columns, axis=1), (int(low[0]), int(low[1]))


def _mirror(index: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Fold any index into 0..length-1 by reflection about the centres of the edge pixels."""
    if length == 1:
        return np.zeros_like(index)
    folded = np.abs(index) % (2 * length - 2)
    return np.asarray(np.minimum(folded, 2 * length - 2 - folded))
