"""Put an edit back into a photo of any size by moving the photo's own pixels (``--blend warp``).

Brows, lids, lips and skin keep their own sharpness; the edit gives where they go, the light upon them, and the inside
of a mouth that opens. Nothing here knows a network.

Shapes: H, W pixels of the photo's upright view; S crop size; P = 478 points; C = 3.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.blend import FaceMask, Floats, Points, soft_mask
from stages.common.face.expression import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, OVAL, RIGHT_BROW, RIGHT_EYE
from stages.common.face.similarity import invert_similarity, scale_of, transform_points
from stages.common.face.warp import align_face
from stages.common.face.warp_field import LOWER_LIP, UPPER_LIP, Grid, face_field
from stages.common.face.warp_layers import move
from stages.common.face.warp_mouth import Upscale, fill_mouth
from stages.common.face.warp_region import Region, fill_polygon
from stages.common.face.warp_register import register
from stages.common.face.warp_shading import apply_gains, shading

SIDE_MARGIN = 0.08
CHIN_MARGIN = 0.24
FEATHER = 0.14
"""How far the mask reaches beyond the face's outline (a share of its size; in face heights below the chin, which may
drop), and how wide its edge is, in face heights."""
DISTRUST = (0.10, 0.20)
"""Difference of photo and reconstruction, as a share of the range, up to which the edit counts, and from which not."""


def make_warp_mask(
    source_points: Points, target_points: Points, matrix: Points, size_px: int, photo_hw: tuple[int, int]
) -> FaceMask:
    """Where ``warp_face`` may change the photo: the face before and after, its edge and some of the neck.

    Points (P, 2) or (P, 3) are in pixels of the crop of ``size_px`` that ``matrix`` cuts.
    """
    outline = np.concatenate([_plane(points)[list(OVAL)] for points in (source_points, target_points)])
    height = float(np.ptp(outline[:, 1]))
    chin = outline[outline[:, 1] > np.percentile(outline[:, 1], 75)]
    hull = cv2.convexHull(np.concatenate([outline, chin + np.array([0, CHIN_MARGIN * height])]).astype(np.float32))[
        :, 0
    ]
    center = hull.mean(axis=0)
    grown = center + (1 + SIDE_MARGIN) * (hull.astype(np.float64) - center)
    grid = Grid.around(size_px)
    low, high = grid.origin_px + grid.step_px, grid.origin_px + grid.step_px * (grid.count - 2)
    square = np.array([[low, low], [high, low], [high, high], [low, high]])
    to_photo = invert_similarity(matrix)
    feather_px = FEATHER * height / scale_of(matrix)
    return soft_mask(transform_points(to_photo, grown), transform_points(to_photo, square), feather_px, photo_hw)


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
    In a video, smooth source and target in time, by the same weights. ``mask`` is that of ``make_warp_mask`` unless
    given. ``upscale`` enlarges the part of the edit round the mouth.
    """
    source, target = _plane(source_points), _plane(target_points)
    size = len(edited_SSC)
    if mask is None:
        mask = make_warp_mask(source, target, matrix, size, (upright_HWC.shape[0], upright_HWC.shape[1]))
    if mask.weights_hw.size == 0:
        return
    edited, reconstruction = _unit_range(edited_SSC), _unit_range(reconstruction_SSC)
    trust = _trust(upright_HWC, reconstruction, matrix)
    view = Region(upright_HWC, matrix, mask, size)
    field = face_field(source, target, size, weights_P=_point_weights(trust, target), reach_GG=view.reach())
    target = field.target_P2
    edited_at = target if edit_points is None else _plane(edit_points)
    reconstructed_at = source if reconstruction_points is None else _plane(reconstruction_points)
    gains = shading(
        register(edited, edited_at, target),
        register(reconstruction, reconstructed_at, target),
        *_shaded(source, target, size, trust),
    )
    moved = apply_gains(move(view, field, source), view.from_crop(gains, view.whole) * mask.weights_hw[..., None])
    fill_mouth(view, moved, edited, source_P2=source, target_P2=target, edited_at_P2=edited_at, upscale=upscale)
    view.write(moved)


def _shaded(source_P2: Points, target_P2: Points, size_px: int, trust_SS: Floats) -> tuple[Floats, Floats]:
    """Which pixels of the crop (S, S) tell of light, and where there may be folds: not in eyes, mouths or on lips."""
    shape = (size_px, size_px)
    rims = [points[list(rim)] for points in (source_P2, target_P2) for rim in (INNER_LIPS, RIGHT_EYE, LEFT_EYE)]
    holes = np.max([fill_polygon(rim, shape, 0) for rim in rims], axis=0)
    holes = cv2.dilate(holes, np.ones((5, 5)))
    lips = cv2.dilate(fill_polygon(target_P2[list(OUTER_LIPS)], shape, 0), np.ones((3, 3)))
    folds = cv2.GaussianBlur(1 - np.maximum(holes, lips), (0, 0), 1.5)
    return np.asarray(np.clip(1 - holes - 0.7 * lips, 0, 1) * trust_SS, np.float32), np.asarray(folds, np.float32)


def _trust(upright_HWC: NDArray[Any], reconstruction_SSC: Floats, matrix: Points) -> Floats:
    """How well the model knows what is there (S, S), 0..1: glasses, hands and hair it has not drawn stay put."""
    size = len(reconstruction_SSC)
    crop = align_face(_rgb8(upright_HWC), matrix, size).astype(np.float32) / 255
    off = cv2.GaussianBlur(np.abs(crop - reconstruction_SSC).mean(axis=2), (0, 0), 0.02 * size)
    t = np.clip((off - DISTRUST[0]) / (DISTRUST[1] - DISTRUST[0]), 0, 1)
    return np.asarray(1 - t * t * (3 - 2 * t), np.float32)


def _point_weights(trust_SS: Floats, points_P2: Points) -> Floats:
    """How far each point goes, 0..1 (P,). An eye moves with its brow, and lips as they are told."""
    size = len(trust_SS)
    smooth = cv2.GaussianBlur(trust_SS, (0, 0), 0.03 * size)
    index = np.clip(np.rint(points_P2), 0, size - 1).astype(int)
    weights = np.asarray(smooth[index[:, 1], index[:, 0]], np.float32)
    for side in ((*RIGHT_EYE, *RIGHT_BROW), (*LEFT_EYE, *LEFT_BROW)):
        weights[list(side)] = weights[list(side)].mean()
    weights[[*OUTER_LIPS, *INNER_LIPS, *UPPER_LIP, *LOWER_LIP]] = 1
    return weights


def _rgb8(upright_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    color = upright_HWC if upright_HWC.dtype == np.uint8 else (upright_HWC // 257).astype(np.uint8)
    return np.repeat(color, 3, axis=2) if color.shape[2] == 1 else color


def _unit_range(image_SSC: Floats) -> Floats:
    return np.asarray(np.clip(image_SSC, -1, 1).astype(np.float32) * np.float32(0.5) + np.float32(0.5))


def _plane(points: Points) -> Points:
    return np.asarray(points[:, :2], np.float64)
