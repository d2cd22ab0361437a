"""Put an edit back into a photo of any size by moving the photo's own pixels (``--blend warp``).

Brows, lids, lips and skin keep their own sharpness; the edit gives where they go, the light upon them, and the inside
of a mouth that opens.

Shapes: H, W pixels of the photo's upright view; h, w of the mask's region; S crop size; P = 478 points; C = 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.blend import FaceMask, Floats, Points, soft_mask
from stages.common.face.expression import INNER_LIPS, LEFT_EYE, OUTER_LIPS, OVAL, RIGHT_EYE
from stages.common.face.similarity import invert_similarity, scale_of, transform_points
from stages.common.face.warp import align_face
from stages.common.face.warp_field import FaceField, Grid, face_field, fit_spline, lip_line
from stages.common.face.warp_mouth import (
    RING,
    SEAM,
    closing_share,
    fill_polygon,
    grain_sigma,
    lip_share,
    match_light,
    mouth_polygon,
    opening_growth,
    parted_share,
    share_of_edit,
)
from stages.common.face.warp_shading import apply_gains, shading

Upscale = Callable[[Floats], Floats]
"""A crop (S, S, 3) in -1..1 enlarged by a whole number."""

SIDE_MARGIN = 0.08
CHIN_MARGIN = 0.24
"""How far the mask reaches beyond the face's outline, in face heights: room for the chin that drops."""
FEATHER = 0.14
LID_SEAM = 0.0025
LIP_SEAM = 0.002
CREASE = 0.004
CREASE_DEPTH = 0.38
"""Softness of the edges of lids and of the lips' line, in crop sizes."""
_STILL_PX = 0.02
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FACE_POINTS = (*range(0, 468, 3), *OUTER_LIPS, *INNER_LIPS)


def make_warp_mask(
    source_points: Points, target_points: Points, matrix: Points, size_px: int, photo_hw: tuple[int, int]
) -> FaceMask:
    """Where ``warp_face`` may change the photo: the face before and after, its edge and some of the neck.

    Points (P, 2) or (P, 3) are in pixels of the crop that ``matrix`` cuts.
    """
    outline = np.concatenate([points[list(OVAL), :2] for points in (source_points, target_points)]).astype(np.float64)
    height = float(np.ptp(outline[:, 1]))
    low = outline[outline[:, 1] > np.percentile(outline[:, 1], 75)]
    outline = np.concatenate([outline, low + (0, CHIN_MARGIN * height)])
    hull = cv2.convexHull(outline.astype(np.float32))[:, 0].astype(np.float64)
    center = hull.mean(axis=0)
    hull = center + (1 + SIDE_MARGIN) * (hull - center)
    grid = Grid.around(size_px)
    low_px, high_px = grid.origin_px + grid.step_px, grid.origin_px + grid.step_px * (grid.count - 2)
    square = np.array([[low_px, low_px], [high_px, low_px], [high_px, high_px], [low_px, high_px]])
    to_photo = invert_similarity(matrix)
    contour = transform_points(to_photo, hull)
    feather_px = FEATHER * height / scale_of(matrix)
    return soft_mask(contour, transform_points(to_photo, square), feather_px, photo_hw)


def warp_face(
    upright_HWC: NDArray[Any],
    edited_SSC: Floats,
    reconstruction_SSC: Floats,
    *,
    matrix: Points,
    source_points: Points,
    target_points: Points,
    mask: FaceMask | None = None,
    edit_points: Points | None = None,
    reconstruction_points: Points | None = None,
    upscale: Upscale | None = None,
) -> None:
    """Move a face's points in ``upright_HWC`` (uint8 or uint16 colour, changed in place) where the mask is above 0.

    ``edited_SSC`` and ``reconstruction_SSC`` are RGB in -1..1. The photo's points ``source_points`` go to
    ``target_points``; ``edit_points`` say where the edit has them (default: at the target), and
    ``reconstruction_points`` the reconstruction (default: as the photo); all are (P, 2) or (P, 3) in crop pixels.
    ``mask`` is that of ``make_warp_mask`` unless given. ``upscale`` enlarges the edit for the mouth's inside.
    """
    source, target = _plane(source_points), _plane(target_points)
    size = len(edited_SSC)
    if mask is None:
        mask = make_warp_mask(source, target, matrix, size, (upright_HWC.shape[0], upright_HWC.shape[1]))
    if mask.weights_hw.size == 0:
        return
    view = _Region(upright_HWC, matrix, mask, size)
    edited, reconstruction = _unit_range(edited_SSC), _unit_range(reconstruction_SSC)
    trust = _trust(upright_HWC, reconstruction, matrix)
    field = face_field(source, target, size, weights_P=_at_points(trust, target), reach_GG=view.reach())
    edited_at = target if edit_points is None else _plane(edit_points)
    reconstructed_at = source if reconstruction_points is None else _plane(reconstruction_points)
    moved = _move(view, field, source)
    gains = _gains(edited, reconstruction, field.target_P2, edited_at, reconstructed_at, source, trust)
    moved = apply_gains(moved, view.from_crop(gains) * mask.weights_hw[..., None])
    if moved.shape[2] == 1:
        edited = np.repeat((edited @ _LUMA)[..., None], 3, axis=2)
    moved = _fill_mouth(view, moved, edited, field.target_P2, source, edited_at, upscale)
    view.write(moved)


class _Region:
    """The part of the photo under the mask, and how it lies to the crop and to the field's grid."""

    def __init__(self, upright_HWC: NDArray[Any], matrix: Points, mask: FaceMask, size_px: int) -> None:
        self.photo = upright_HWC
        self.mask = mask
        self.size_px = size_px
        self.grid = Grid.around(size_px)
        self.top = float(np.iinfo(upright_HWC.dtype).max)
        self.to_crop = np.array(matrix, np.float64)
        self.to_crop[:, 2] += self.to_crop[:, :2] @ (mask.x0, mask.y0)
        self.from_crop_matrix = invert_similarity(self.to_crop)
        self.px_per_crop = 1 / scale_of(matrix)

    @property
    def shape_hw(self) -> tuple[int, int]:
        return self.mask.weights_hw.shape[0], self.mask.weights_hw.shape[1]

    def points(self, points_N2: Points) -> Points:
        """Crop pixels to the region's."""
        return transform_points(self.from_crop_matrix, points_N2)

    def from_grid(self, layer_GGC: Floats, box: Box | None = None) -> Floats:
        """Values on the grid, at the region's pixels."""
        to_grid = self.to_crop / self.grid.step_px
        to_grid[:, 2] -= self.grid.origin_px / self.grid.step_px
        return self._sample(layer_GGC, to_grid, box)

    def from_crop(self, picture_SSC: Floats, box: Box | None = None) -> Floats:
        """Values of a crop, continued beyond it, at the region's pixels."""
        return self._sample(picture_SSC, self.to_crop, box)

    def _sample(self, values: Floats, matrix: Points, box: Box | None) -> Floats:
        x0, y0, x1, y1 = box or (0, 0, self.shape_hw[1], self.shape_hw[0])
        shifted = matrix.copy()
        shifted[:, 2] += shifted[:, :2] @ (x0, y0)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        sampled: Floats = cv2.warpAffine(
            values, shifted, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return sampled

    def crop_xy(self, box: Box) -> tuple[Floats, Floats]:
        """Crop coordinates (h, w) of the pixels of a box."""
        x0, y0, x1, y1 = box
        x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        m = self.to_crop.astype(np.float32)
        return m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]

    def reach(self) -> Floats:
        """The mask's weights on the field's grid (G, G)."""
        nodes = self.points(self.grid.nodes_N2).astype(np.float32).reshape(self.grid.count, self.grid.count, 2)
        return np.asarray(
            cv2.remap(self.mask.weights_hw, nodes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        )

    def box_of(self, points_N2: Points, margin_px: float) -> Box:
        """The pixels (x0, y0, x1, y1) round crop points, ``margin_px`` crop pixels wider."""
        inside = self.points(points_N2)
        margin = margin_px * self.px_per_crop
        low = np.maximum(np.floor(inside.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(inside.max(axis=0) + margin) + 1, self.shape_hw[::-1]).astype(int)
        return int(low[0]), int(low[1]), int(max(high[0], low[0])), int(max(high[1], low[1]))

    def pull(self, field_hw2: Floats, box: Box) -> Floats:
        """The photo (0..1) as it appears in a box through a backward field in crop pixels (h, w, 2)."""
        linear = self.from_crop_matrix[:, :2].astype(np.float32)
        x0, y0, x1, y1 = box
        x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        map_x = x + linear[0, 0] * field_hw2[..., 0] + linear[0, 1] * field_hw2[..., 1] + self.mask.x0
        map_y = y + linear[1, 0] * field_hw2[..., 0] + linear[1, 1] * field_hw2[..., 1] + self.mask.y0
        low_x, low_y = max(int(map_x.min()) - 4, 0), max(int(map_y.min()) - 4, 0)
        part = self.photo[low_y : int(map_y.max()) + 5, low_x : int(map_x.max()) + 5]
        part = np.ascontiguousarray(part, np.float32) / np.float32(self.top)
        pulled = cv2.remap(part, map_x - low_x, map_y - low_y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(pulled).reshape(y1 - y0, x1 - x0, self.photo.shape[2])

    def write(self, picture_hwC: Floats) -> None:
        """Round the picture (0..1) into the photo where the mask is above 0."""
        rounded = np.clip(np.rint(picture_hwC * np.float32(self.top)), 0, self.top).astype(self.photo.dtype)
        np.copyto(self.photo[self.mask.region], rounded, where=self.mask.weights_hw[..., None] > 0)


Box = tuple[int, int, int, int]


def _move(view: _Region, field: FaceField, source_P2: Points) -> Floats:
    """The photo's pixels at their new places: the layers of the field, one over the other."""
    height, width = view.shape_hw
    whole = (0, 0, width, height)
    if field.largest_px < _STILL_PX:
        return view.pull(np.zeros((height, width, 2), np.float32), whole)
    target = field.target_P2
    upper, lower = view.from_grid(field.upper_GG2), view.from_grid(field.lower_GG2)
    below = _below_lips(view, target, whole)[..., None]
    moved = view.pull(upper + below * (lower - upper), whole)
    mouth_box = view.box_of(target[list(OUTER_LIPS)], 2)
    part = _slices(mouth_box)
    sides = view.pull(upper[part], mouth_box), view.pull(lower[part], mouth_box)
    moved[part] = sides[0] + below[part] * (sides[1] - sides[0])
    for rim in (RIGHT_EYE, LEFT_EYE):
        _open(view, moved, field.eyes_GG2, target[list(rim)])
    parted = parted_share(target, view.size_px)
    if parted > 0:
        _open(view, moved, field.mouth_GG2, target[list(INNER_LIPS)], parted)
    _crease(view, moved, target, closing_share(source_P2, target, view.size_px))
    return moved


def _open(view: _Region, moved_hwC: Floats, layer_GG2: Floats, rim_N2: Points, share: float = 1.0) -> None:
    """Show what lies behind a rim, in place."""
    box = view.box_of(rim_N2, 3)
    part = _slices(box)
    polygon = view.points(rim_N2) - box[:2]
    blur_px = max(LID_SEAM * view.size_px * view.px_per_crop, 0.6)
    weights = fill_polygon(polygon, (box[3] - box[1], box[2] - box[0]), blur_px)[..., None]
    if weights.size and weights.max() > 0:
        behind = view.pull(view.from_grid(layer_GG2, box), box)
        moved_hwC[part] += share * weights * (behind - moved_hwC[part])


def _crease(view: _Region, moved_hwC: Floats, target_P2: Points, share: float) -> None:
    """Darken, in place, the line between lips that have come together: each hides the other's light."""
    if share <= 0:
        return
    box = view.box_of(target_P2[list(INNER_LIPS)], 2)
    x, y = view.crop_xy(box)
    line_x, line_y = lip_line(target_P2)
    off = (y - np.interp(x, line_x, line_y)) / (CREASE * view.size_px)
    along = np.clip(np.minimum(x - line_x[0], line_x[-1] - x) / (0.02 * view.size_px), 0, 1)
    moved_hwC[_slices(box)] *= (1 - CREASE_DEPTH * share * along * np.exp(-(off**2)))[..., None].astype(np.float32)


def _below_lips(view: _Region, target_P2: Points, box: Box) -> Floats:
    """How much each pixel belongs to the face below the line between the lips, 0..1; beside the mouth it is soft."""
    x, y = view.crop_xy(box)
    line_x, line_y = lip_line(target_P2)
    size = view.size_px
    beyond = np.maximum(np.maximum(line_x[0] - x, x - line_x[-1]), 0)
    softness = max(LIP_SEAM * size, 0.5 / view.px_per_crop) + 0.5 * beyond
    t = np.clip(0.5 + (y - np.interp(x, line_x, line_y).astype(np.float32)) / (2 * softness), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _gains(
    edited_SSC: Floats,
    reconstruction_SSC: Floats,
    target_P2: Points,
    edited_at_P2: Points,
    reconstructed_at_P2: Points,
    source_P2: Points,
    trust_SS: Floats,
) -> Floats:
    """Log-gains (S, S, 3) of the moved photo: edit and reconstruction are first laid upon the target points."""
    size = len(edited_SSC)
    edit = _register(edited_SSC, edited_at_P2, target_P2)
    reconstruction = _register(reconstruction_SSC, reconstructed_at_P2, target_P2)
    covered = np.zeros((size, size), np.float32)
    for points in (target_P2, source_P2):
        for rim in (INNER_LIPS, RIGHT_EYE, LEFT_EYE):
            covered = np.maximum(covered, fill_polygon(points[list(rim)], (size, size), 0))
    covered = cv2.dilate(covered, np.ones((5, 5)))
    lips = cv2.dilate(fill_polygon(target_P2[list(OUTER_LIPS)], (size, size), 0), np.ones((3, 3)))
    folds = cv2.GaussianBlur(1 - np.maximum(covered, lips), (0, 0), 1.5)
    weights = np.clip(1 - covered - 0.7 * lips, 0.0, 1) * trust_SS
    return shading(edit, reconstruction, weights, folds)


def _register(picture_SSC: Floats, at_P2: Points, target_P2: Points) -> Floats:
    """A crop with its points moved to the target."""
    field = _way_to(at_P2, target_P2, len(picture_SSC), _FACE_POINTS)
    return _remap(picture_SSC, field)


def _way_to(at_P2: Points, target_P2: Points, size_px: int, indices: tuple[int, ...]) -> Floats:
    """The backward field (S, S, 2) in pixels that shows a crop's points ``at_P2`` at ``target_P2``."""
    if at_P2 is target_P2 or np.abs(at_P2 - target_P2).max() < _STILL_PX:
        return np.zeros((size_px, size_px, 2), np.float32)
    index = list(dict.fromkeys(indices))
    border = Grid.around(size_px).border_N2
    centers = np.concatenate([target_P2[index], border])
    values = np.concatenate([(at_P2 - target_P2)[index], np.zeros_like(border)])
    axis = np.arange(0, size_px + 1, 2, dtype=np.float64)
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    coarse = fit_spline(centers, values, smoothing=0.3)(nodes).reshape(len(axis), len(axis), 2).astype(np.float32)
    halve = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(coarse, halve, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _remap(picture_SSC: Floats, field_SS2: Floats) -> Floats:
    size = len(picture_SSC)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    return np.asarray(
        cv2.remap(
            picture_SSC, x + field_SS2[..., 0], y + field_SS2[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _fill_mouth(
    view: _Region,
    moved_hwC: Floats,
    edited_SSC: Floats,
    target_P2: Points,
    source_P2: Points,
    edited_at_P2: Points,
    upscale: Upscale | None,
) -> Floats:
    """Where the lips part further, the mouth is the edit's, in the photo's light and grain."""
    growth = opening_growth(source_P2, target_P2, view.size_px)
    share = share_of_edit(growth)
    if share == 0:
        return moved_hwC
    size = view.size_px
    box = view.box_of(target_P2[list(OUTER_LIPS)], 3 * RING * size)
    part = _slices(box)
    mouth = _enlarged(view, edited_SSC, edited_at_P2, target_P2, box, upscale)
    around = moved_hwC[part]
    if around.shape[2] == 1:
        mouth = mouth[..., :1]
    shape = around.shape[0], around.shape[1]
    px = size * view.px_per_crop

    def weights_of(lips: float, blur: float) -> Floats:
        polygon = view.points(mouth_polygon(target_P2, lips)) - box[:2]
        return fill_polygon(polygon, shape, max(blur * px, 0.6))

    inside = weights_of(lip_share(growth), SEAM)
    ring = weights_of(2.2, 0.01) * (1 - weights_of(1.25, 0.004))
    mouth = match_light(mouth, around, ring, RING * px)
    mouth = mouth + _grain(view, around, weights_of(1.2, 0.0), mouth.shape)
    moved = moved_hwC.copy()
    moved[part] += share * inside[..., None] * (mouth - around)
    return moved


def _enlarged(
    view: _Region, edited_SSC: Floats, at_P2: Points, target_P2: Points, box: Box, upscale: Upscale | None
) -> Floats:
    """The edit at the photo's resolution in a box, its lips at the target's."""
    size = view.size_px
    large = edited_SSC if upscale is None else _unit_range(upscale(edited_SSC * 2 - 1))
    factor = len(large) / size
    way = _way_to(at_P2, target_P2, size, (*_FACE_POINTS,))
    x, y = view.crop_xy(box)
    field = view.from_crop(way, box)
    map_x = (x + field[..., 0] + 0.5) * factor - 0.5
    map_y = (y + field[..., 1] + 0.5) * factor - 0.5
    return np.asarray(
        cv2.remap(
            large, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _grain(view: _Region, around_hwC: Floats, lips_hw: Floats, shape: tuple[int, ...]) -> Floats:
    """Noise as strong as the photo's; the same photo always gets the same."""
    sigma = grain_sigma(around_hwC, 1 - lips_hw)
    noise = np.random.default_rng(0).standard_normal(shape[:2]).astype(np.float32)[..., None]
    return np.asarray(sigma * noise, np.float32)


def _trust(upright_HWC: NDArray[Any], reconstruction_SSC: Floats, matrix: Points) -> Floats:
    """How well the model knows what is there (S, S), 0..1: glasses, hands and hair it has not drawn stay put."""
    size = len(reconstruction_SSC)
    crop = align_face(_rgb8(upright_HWC), matrix, size).astype(np.float32) / 255
    off = np.abs(crop - reconstruction_SSC).mean(axis=2)
    off = cv2.GaussianBlur(off, (0, 0), 0.02 * size)
    t = np.clip((off - 0.10) / 0.10, 0, 1)
    return np.asarray(1 - t * t * (3 - 2 * t), np.float32)


def _at_points(values_SS: Floats, points_P2: Points) -> Floats:
    size = len(values_SS)
    smooth = cv2.GaussianBlur(values_SS, (0, 0), 0.03 * size)
    index = np.clip(np.rint(points_P2), 0, size - 1).astype(int)
    return np.asarray(smooth[index[:, 1], index[:, 0]], np.float32)


def _rgb8(upright_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    color = upright_HWC if upright_HWC.dtype == np.uint8 else (upright_HWC // 257).astype(np.uint8)
    return np.repeat(color, 3, axis=2) if color.shape[2] == 1 else color


def _unit_range(image_SSC: Floats) -> Floats:
    return np.asarray(np.clip(image_SSC, -1, 1).astype(np.float32) * np.float32(0.5) + np.float32(0.5))


def _plane(points: Points) -> Points:
    return np.asarray(points[:, :2], np.float64)


def _slices(box: Box) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    return slice(y0, y1), slice(x0, x1)
