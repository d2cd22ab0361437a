"""Put an edited crop back into a photo of any size: a soft mask inside the face, and nothing outside it touched.

Shapes: H, W pixels of the photo's upright view; h, w of the region around the face; C colour channels (1 or 3);
S crop size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.similarity import invert_similarity, scale_of, transform_points

Floats = NDArray[np.float32]
Points = NDArray[np.float64]
BlendMode = Literal["delta", "paste"]

_BROWS = slice(17, 27)
_NASION, _CHIN = 27, 8
FOREHEAD = 0.30
"""How far the contour reaches above the brows, in nasion-to-chin lengths: about to the hairline."""
MARGIN = 0.05
"""How much wider than the landmarks' hull the contour is, as a share of its size: room for a jaw that drops."""
FEATHER = 0.11
"""Width of the soft edge, in square roots of the contour's area."""
MOUTH_MARGIN = 0.1
MOUTH_FEATHER = 0.04
"""The same for the mouth's mask; its edge in crop sizes, as there are 5 of 128 pixels between it and the lips."""
DETAIL_CHANGE = (0.05, 0.14)
"""Change of a pixel, as a share of the range, up to which "delta" keeps the photo's detail, and from which none."""
CHANGE_SIGMA = 0.012
"""Blur of that change, in crop sizes: old teeth are gone with the lips around them."""
_CROP_INSET_PX = 1.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class FaceMask:
    """Weights 0..1 (h, w) of the region whose upper left pixel is (``x0``, ``y0``); exactly 0 everywhere else."""

    x0: int
    y0: int
    weights_hw: Floats

    @property
    def region(self) -> tuple[slice, slice]:
        height, width = self.weights_hw.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


def face_contour(landmarks_xy: Points, margin: float = MARGIN) -> Points:
    """Convex outline (n, 2) of a face with 68 landmarks: jaw, brows and forehead, in the pixels of the landmarks."""
    up = landmarks_xy[_NASION] - landmarks_xy[_CHIN]
    points = np.concatenate([landmarks_xy, landmarks_xy[_BROWS] + FOREHEAD * up])
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    center = hull.mean(axis=0)
    grown: Points = center + (1 + margin) * (hull - center)
    return grown


def make_face_mask(landmarks_xy: Points, matrix: Points, size_px: int, photo_hw: tuple[int, int]) -> FaceMask:
    """The soft mask of a face in its photo.

    It is 0 outside the face's contour and outside the aligned crop (``matrix`` maps photo to crop pixels), rises
    smoothly over the feather's width inside them, and is not faded at the photo's own border.
    """
    contour = face_contour(landmarks_xy)
    feather_px = FEATHER * float(np.sqrt(cv2.contourArea(contour.astype(np.float32))))
    return soft_mask(contour, _crop_part(matrix, size_px), feather_px, photo_hw)


def make_mouth_mask(
    landmarks_xy: Points, matrix: Points, size_px: int, top_px: float, photo_hw: tuple[int, int]
) -> FaceMask:
    """As ``make_face_mask``, of the face below row ``top_px`` of the crop alone, with room for a chin that drops."""
    feather_px = MOUTH_FEATHER * size_px / scale_of(matrix)
    return soft_mask(
        face_contour(landmarks_xy, MOUTH_MARGIN), _crop_part(matrix, size_px, top_px), feather_px, photo_hw
    )


def _crop_part(matrix: Points, size_px: int, top_px: float = 0.0) -> Points:
    """The corners (4, 2) in photo pixels of the crop from a row down, without its outermost pixels."""
    low, high = _CROP_INSET_PX, size_px - 1 - _CROP_INSET_PX
    top = min(max(low, top_px), high)
    return transform_points(invert_similarity(matrix), np.array([[low, top], [high, top], [high, high], [low, high]]))


def soft_mask(contour: Points, square: Points, feather_px: float, photo_hw: tuple[int, int]) -> FaceMask:
    """1 in the middle of two convex polygons, 0 outside either, with a smooth edge of ``feather_px`` inside."""
    start = np.maximum(np.floor(np.maximum(contour.min(axis=0), square.min(axis=0))), 0).astype(int)
    stop = np.minimum(np.ceil(np.minimum(contour.max(axis=0), square.max(axis=0))) + 1, photo_hw[::-1]).astype(int)
    width, height = np.maximum(stop - start, 0)
    feather_px = max(feather_px, 1e-6)
    x_w = np.arange(start[0], start[0] + width, dtype=np.float32)[None, :]
    y_h = np.arange(start[1], start[1] + height, dtype=np.float32)[:, None]
    depth = np.full((height, width), feather_px, np.float32)
    for polygon in (contour, square):
        _keep_inner_distance(depth, polygon, x_w, y_h)
    t: Floats = np.clip(depth / np.float32(feather_px), 0, 1)
    return FaceMask(int(start[0]), int(start[1]), (t * t * (3 - 2 * t)).astype(np.float32))


def _keep_inner_distance(depth: Floats, polygon: Points, x_w: Floats, y_h: Floats) -> None:
    """Lower ``depth`` in place to the signed distance (positive inside) from every edge of a convex polygon."""
    following = np.roll(polygon, -1, axis=0)
    cross = polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]
    turn = 1.0 if cross.sum() > 0 else -1.0
    for (x1, y1), (x2, y2) in zip(polygon, following, strict=True):
        length = float(np.hypot(x2 - x1, y2 - y1))
        if length > 0:
            a, b = turn * (y1 - y2) / length, turn * (x2 - x1) / length
            np.minimum(depth, np.float32(a) * x_w + (np.float32(b) * y_h - np.float32(a * x1 + b * y1)), out=depth)


def warp_back(crop_SSC: Floats, matrix: Points, mask: FaceMask) -> Floats:
    """Crop values resampled into the mask's region (h, w, C), 0 beyond it; smoothed where the photo is coarser."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale > 1:
        crop_SSC = cv2.GaussianBlur(crop_SSC, (0, 0), 0.5 * float(np.sqrt(scale * scale - 1)) + 1e-3)
    height, width = mask.weights_hw.shape
    region_to_crop = np.array(matrix, np.float64)
    region_to_crop[:, 2] += region_to_crop[:, :2] @ (mask.x0, mask.y0)
    warped: Floats = cv2.warpAffine(
        np.ascontiguousarray(crop_SSC, np.float32),
        region_to_crop,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return warped.reshape(height, width, -1)


def blend_face(
    upright_HWC: NDArray[Any],
    edited_SSC: Floats,
    reconstruction_SSC: Floats,
    *,
    matrix: Points,
    mask: FaceMask,
    mode: BlendMode = "delta",
) -> None:
    """Blend an edit into ``upright_HWC`` (uint8 or uint16 colour, changed in place) where the mask is above 0.

    ``edited_SSC`` and ``reconstruction_SSC`` are RGB in -1..1. "delta" adds the difference between them to the photo's
    own pixels and so keeps the detail that the first stage loses, except where the edit changes the face so much that
    old detail would show through (``detail_lost``); "paste" replaces the pixels. A one-channel photo takes the
    luminance.
    """
    if mask.weights_hw.size == 0:
        return
    top = float(np.iinfo(upright_HWC.dtype).max)
    edited, reconstruction = _unit_range(edited_SSC), _unit_range(reconstruction_SSC)
    lost = detail_lost(edited, reconstruction) if mode == "delta" else np.ones_like(edited[..., :1])
    if upright_HWC.shape[2] == 1:
        edited, reconstruction = (edited @ _LUMA)[..., None], (reconstruction @ _LUMA)[..., None]
    region = upright_HWC[mask.region]
    before = region.astype(np.float32)
    change = warp_back(edited - reconstruction, matrix, mask) * top
    if lost.any():
        change += warp_back(lost, matrix, mask) * (warp_back(reconstruction, matrix, mask) * top - before)
    weights = mask.weights_hw[..., None]
    rounded = np.clip(np.rint(before + weights * change), 0, top).astype(upright_HWC.dtype)
    np.copyto(region, rounded, where=weights > 0)


def detail_lost(edited_SSC: Floats, reconstruction_SSC: Floats) -> Floats:
    """How much of the photo's own detail (photo - reconstruction) goes, 0..1 (S, S, 1); both pictures in 0..1."""
    change = np.abs(edited_SSC - reconstruction_SSC).max(axis=2)
    change = cv2.GaussianBlur(change, (0, 0), CHANGE_SIGMA * len(change))
    low, high = DETAIL_CHANGE
    t = np.clip((change - low) / (high - low), 0, 1)
    lost: Floats = (t * t * (3 - 2 * t)).astype(np.float32)[..., None]
    return lost


def _unit_range(image_SSC: Floats) -> Floats:
    scaled: Floats = np.clip(image_SSC, -1, 1).astype(np.float32) * np.float32(0.5) + np.float32(0.5)
    return scaled
