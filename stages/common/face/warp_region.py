"""The part of a photo in which a face is moved, and how its pixels lie to the crop's and to a field's grid.

Shapes: H, W pixels of the photo's upright view; h, w of the region or of a box in it; S crop size; G grid nodes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.blend import FaceMask
from stages.common.face.similarity import invert_similarity, scale_of, transform_points
from stages.common.face.warp_field import Grid

Floats = NDArray[np.float32]
Points = NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Pixels x0, y0, x1, y1 of the region; x1 and y1 are not part of it."""


class Region:
    """The pixels under a mask. ``matrix`` (2, 3) maps photo pixels to those of a crop of ``size_px``."""

    def __init__(self, upright_HWC: NDArray[Any], matrix: Points, mask: FaceMask, size_px: int) -> None:
        self.photo = upright_HWC
        self.mask = mask
        self.size_px = size_px
        self.grid = Grid.around(size_px)
        self.top = float(np.iinfo(upright_HWC.dtype).max)
        self._to_crop = np.array(matrix, np.float64)
        self._to_crop[:, 2] += self._to_crop[:, :2] @ (mask.x0, mask.y0)
        self._from_crop = invert_similarity(self._to_crop)
        self.px_per_crop = 1 / scale_of(matrix)

    @property
    def whole(self) -> Box:
        height, width = self.mask.weights_hw.shape
        return 0, 0, width, height

    def points(self, points_N2: Points) -> Points:
        """Crop pixels to the region's."""
        return transform_points(self._from_crop, points_N2)

    def box_of(self, points_N2: Points, margin_px: float) -> Box | None:
        """The pixels round crop points, ``margin_px`` crop pixels wider; None where the region has none of them."""
        inside = self.points(points_N2)
        margin = margin_px * self.px_per_crop
        low = np.maximum(np.floor(inside.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(inside.max(axis=0) + margin) + 1, self.whole[2:]).astype(int)
        return (int(low[0]), int(low[1]), int(high[0]), int(high[1])) if (high > low).all() else None

    def from_grid(self, layer_GGC: Floats, box: Box) -> Floats:
        """Values on the field's grid, at a box's pixels."""
        to_grid = self._to_crop / self.grid.step_px
        to_grid[:, 2] -= self.grid.origin_px / self.grid.step_px
        return _sample(layer_GGC, to_grid, box)

    def from_crop(self, picture_SSC: Floats, box: Box) -> Floats:
        """Values of a crop, continued beyond its border, at a box's pixels."""
        return _sample(picture_SSC, self._to_crop, box)

    def crop_xy(self, box: Box) -> tuple[Floats, Floats]:
        """Crop coordinates x and y (h, w) of a box's pixels."""
        x, y = _pixels(box)
        m = self._to_crop.astype(np.float32)
        return m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]

    def reach(self) -> Floats:
        """The mask's weights on the field's grid (G, G)."""
        nodes = self.points(self.grid.nodes_N2).astype(np.float32).reshape(self.grid.count, self.grid.count, 2)
        weights = cv2.remap(self.mask.weights_hw, nodes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(weights, np.float32)

    def pull(self, field_hw2: Floats, box: Box) -> Floats:
        """The photo (h, w, C) in 0..1 as a box shows it through a backward field in crop pixels."""
        linear = self._from_crop[:, :2].astype(np.float32)
        x, y = _pixels(box)
        map_x = x + linear[0, 0] * field_hw2[..., 0] + linear[0, 1] * field_hw2[..., 1] + self.mask.x0
        map_y = y + linear[1, 0] * field_hw2[..., 0] + linear[1, 1] * field_hw2[..., 1] + self.mask.y0
        height, width = self.photo.shape[:2]
        # A field may point beyond the photo, where its edge pixels go on in mirrored order.
        low_x, low_y = (int(np.clip(m.min() - 4, 0, limit - 1)) for m, limit in ((map_x, width), (map_y, height)))
        high_x, high_y = int(max(map_x.max(), low_x)) + 5, int(max(map_y.max(), low_y)) + 5
        part = np.ascontiguousarray(self.photo[low_y:high_y, low_x:high_x], np.float32) / np.float32(self.top)
        pulled = cv2.remap(part, map_x - low_x, map_y - low_y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(pulled, np.float32).reshape(*x.shape, self.photo.shape[2])

    def write(self, picture_hwC: Floats) -> None:
        """Round the picture (0..1) into the photo where the mask is above 0."""
        rounded = np.clip(np.rint(picture_hwC * np.float32(self.top)), 0, self.top).astype(self.photo.dtype)
        np.copyto(self.photo[self.mask.region], rounded, where=self.mask.weights_hw[..., None] > 0)


def slices(box: Box) -> tuple[slice, slice]:
    """A box as an index of rows and columns."""
    x0, y0, x1, y1 = box
    return slice(y0, y1), slice(x0, x1)


def shape_of(box: Box) -> tuple[int, int]:
    """Height and width."""
    return box[3] - box[1], box[2] - box[0]


def fill_polygon(polygon_N2: Points, shape_hw: tuple[int, int], blur_px: float) -> Floats:
    """Weights (h, w): 1 inside the outline, with a soft edge."""
    weights = np.zeros(shape_hw, np.float32)
    cv2.fillPoly(weights, [np.round(polygon_N2 * 16).astype(np.int32)], 1.0, shift=4)
    return np.asarray(cv2.GaussianBlur(weights, (0, 0), blur_px) if blur_px > 0.2 else weights)


def _sample(values: Floats, matrix: Points, box: Box) -> Floats:
    shifted = matrix.copy()
    shifted[:, 2] += shifted[:, :2] @ box[:2]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size = shape_of(box)[::-1]
    return np.asarray(cv2.warpAffine(values, shifted, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _pixels(box: Box) -> tuple[Floats, Floats]:
    x0, y0, x1, y1 = box
    x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    return x, y
