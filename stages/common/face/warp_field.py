"""Where each pixel of a face comes from when its points move: smooth, fold-free fields, one on either side of a lid.

All coordinates are in crop pixels; a field lives on a grid of every ``GRID_STEP_PX``-th of them that reaches beyond
the crop. It is *backward*: output position q shows what lay at q + f(q). Lips and lids cut a face open, so the field
has layers: above and below the line between the lips, and inside the eyes and the mouth.

Shapes: P = 478 points, N control points, G x G grid nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

GRID_STEP_PX = 2.0
GRID_MARGIN = 0.2
"""How far the grid reaches beyond the crop, in crop sizes: a dropped chin stretches the neck below it."""
SMOOTHING = 0.02
"""How far a spline may miss its points, against bending: little, as what is missed here no edit brings back."""
LEAST_AREA = 0.25
"""The least that the field may shrink an area to; below, it is damped."""
_DAMPING_ROUNDS = 12
PUPIL = 0.45
"""How much of an iris's radius keeps its shape when lids open."""
CLOSING = 0.02
OVERLAP = 0.45
"""How much of the lips, from their inner rims on, a closing mouth hides, and the closing (crop sizes) that needs it."""
_FIXED_OVAL = frozenset({10, 338, 297, 332, 284, 251, 389, 356, 454, 234, 127, 162, 21, 54, 103, 67, 109})
"""The hair line and the temples, where an expression moves nothing."""
_HALF_FIXED_OVAL = frozenset({323, 361, 93, 132})
# fmt: off
UPPER_LIP = frozenset({185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415,
                       184, 74, 73, 72, 11, 302, 303, 304, 408, 183, 42, 41, 38, 12, 268, 271, 272, 407})
LOWER_LIP = frozenset({146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324,
                       77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325})
UPPER_INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# fmt: on
_CONTOURS = frozenset({*OUTER_LIPS, *INNER_LIPS, *RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW, *OVAL})


@dataclass(frozen=True, slots=True)
class Grid:
    """Square nodes: node (i, j) lies at crop position (``origin_px`` + ``step_px`` * (j, i))."""

    origin_px: float
    step_px: float
    count: int

    @staticmethod
    def around(size_px: int) -> Grid:
        """The grid of a crop of ``size_px``: as fine in the face whatever the crop's resolution."""
        step = GRID_STEP_PX * size_px / 128
        margin = np.ceil(GRID_MARGIN * size_px / step) * step
        return Grid(-margin, step, int(np.ceil((size_px - 1 + 2 * margin) / step)) + 1)

    @property
    def nodes_N2(self) -> Points:
        axis = self.origin_px + self.step_px * np.arange(self.count)
        return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    @property
    def border_N2(self) -> Points:
        """Every fifth or so of the outermost nodes."""
        low, high = self.origin_px, self.origin_px + self.step_px * (self.count - 1)
        axis = np.linspace(low, high, 9)
        edge = [(x, y) for x in axis for y in axis if x in (low, high) or y in (low, high)]
        return np.array(edge)


@dataclass(frozen=True, slots=True)
class Spline:
    """A thin-plate spline (Bookstein 1989) from the plane to ``weights``' dimensions: affine part + Σ w r² log r."""

    centers_N2: Points
    weights_ND: Points

    def __call__(self, points_M2: Points) -> Points:
        kernel = _kernel(points_M2, self.centers_N2)
        count = len(self.centers_N2)
        affine = self.weights_ND[count] + points_M2 @ self.weights_ND[count + 1 :]
        return np.asarray(kernel @ self.weights_ND[:count] + affine)


def fit_spline(centers_N2: Points, values_ND: Points, smoothing: float = SMOOTHING) -> Spline:
    """The spline through ``values_ND`` at ``centers_N2``, or near them where ``smoothing`` (px) is above 0."""
    count = len(centers_N2)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(centers_N2, centers_N2) + 8 * np.pi * smoothing * np.eye(count)
    system[:count, count] = system[count, :count] = 1
    system[:count, count + 1 :] = centers_N2
    system[count + 1 :, :count] = centers_N2.T
    right = np.concatenate([values_ND, np.zeros((3, values_ND.shape[1]))])
    return Spline(centers_N2, np.linalg.solve(system, right))


def _kernel(a_M2: Points, b_N2: Points) -> Points:
    squared = (a_M2**2).sum(1)[:, None] + (b_N2**2).sum(1)[None] - 2 * (a_M2 @ b_N2.T)
    squared = np.maximum(squared, 1e-12)
    return np.asarray(0.5 * squared * np.log(squared))


@dataclass(frozen=True, slots=True)
class FaceField:
    """The layers (G, G, 2) in crop pixels: the face above and below the lips' line, the eyes' and the mouth's inside.

    ``target_P2`` says where lips and lids are in the output.
    """

    grid: Grid
    upper_GG2: Floats
    lower_GG2: Floats
    eyes_GG2: Floats
    mouth_GG2: Floats
    target_P2: Points

    @property
    def largest_px(self) -> float:
        """The longest way that anything moves."""
        layers = (self.upper_GG2, self.lower_GG2)
        return max(float(np.sqrt((layer**2).sum(axis=2)).max()) for layer in layers)


def face_field(
    source_P2: Points,
    target_P2: Points,
    size_px: int,
    *,
    weights_P: Floats | None = None,
    reach_GG: Floats | None = None,
) -> FaceField:
    """The field that carries a face's points from ``source_P2`` to ``target_P2``.

    ``weights_P`` (0..1) scales single points' ways; ``reach_GG`` (0..1 on the grid) lets the field fade.
    """
    grid = Grid.around(size_px)
    move = (target_P2 - source_P2) * _mobility()[:, None]
    if weights_P is not None:
        move = move * weights_P[:, None]
    target = source_P2 + move
    move = move + _overlap(source_P2, target, size_px)
    pupils = np.concatenate([_pupil(source_P2, iris) for iris in (RIGHT_IRIS, LEFT_IRIS)])
    eyes = _inner_layer(grid, source_P2, target, (RIGHT_EYE, LEFT_EYE), pupils)
    mouth = _inner_layer(grid, source_P2, target, (INNER_LIPS,), _middle(source_P2, INNER_LIPS))
    reach = np.ones((grid.count, grid.count, 1), np.float32) if reach_GG is None else reach_GG[..., None]
    return FaceField(
        grid,
        upper_GG2=_unfold(_outer_layer(grid, target, move, without=LOWER_LIP) * reach, grid.step_px),
        lower_GG2=_unfold(_outer_layer(grid, target, move, without=UPPER_LIP) * reach, grid.step_px),
        eyes_GG2=eyes * reach,
        mouth_GG2=mouth * reach,
        target_P2=target,
    )


def _overlap(source_P2: Points, target_P2: Points, size_px: int) -> Points:
    """What to add to the ways (P, 2) of inner lips that close: the mesh's rims lie a little within the teeth."""
    closing = (opening_px(source_P2) - max(opening_px(target_P2), 0.0)) / (CLOSING * size_px)
    extra = np.zeros_like(source_P2)
    if closing > 0:
        inner, outer = list(INNER_LIPS), list(OUTER_LIPS)
        extra[inner] = -OVERLAP * min(closing, 1.0) * (source_P2[outer] - source_P2[inner])
    return extra


def _mobility() -> Floats:
    """1 for points that expressions move, 0 for those of the hair line and temples."""
    mobility = np.ones(478, np.float32)
    mobility[list(_FIXED_OVAL)] = 0
    mobility[list(_HALF_FIXED_OVAL)] = 0.5
    return mobility


def _control_points(without: frozenset[int]) -> NDArray[np.int64]:
    """Brows, lips, lids and outline, and every other point of the mesh between them; irises move by themselves."""
    keep = [i for i in range(468) if (i % 2 == 0 or i in _CONTOURS) and i not in without]
    return np.array(keep)


def _outer_layer(grid: Grid, target_P2: Points, move_P2: Points, without: frozenset[int]) -> Floats:
    chosen = _control_points(without)
    border = grid.border_N2
    centers = np.concatenate([target_P2[chosen], border])
    values = np.concatenate([-move_P2[chosen], np.zeros_like(border)])
    scale = grid.step_px / GRID_STEP_PX
    spline = fit_spline(centers / scale, values / scale)
    field = spline(grid.nodes_N2 / scale) * scale
    return field.reshape(grid.count, grid.count, 2).astype(np.float32)


def _middle(points_P2: Points, rim: Sequence[int]) -> Points:
    """The middle (1, 2) of a rim's bounding box."""
    points = points_P2[list(rim)]
    return np.asarray((points.min(axis=0) + points.max(axis=0))[None] / 2)


def _pupil(points_P2: Points, iris: Sequence[int]) -> Points:
    """An iris's centre and eight points round it (9, 2) that shall not move: pupil and catchlight stay round."""
    center, ring = points_P2[iris[0]], points_P2[list(iris[1:])]
    radius = PUPIL * float(np.hypot(*(ring - center).T).mean())
    angles = np.arange(8) * np.pi / 4
    return np.concatenate([center[None], center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)])


def _inner_layer(
    grid: Grid, source_P2: Points, target_P2: Points, rims: Sequence[Sequence[int]], still_N2: Points
) -> Floats:
    """What lies behind a rim stays, unless the rim opens: then it is stretched up to the rim from ``still_N2`` on."""
    scale = grid.step_px / GRID_STEP_PX
    centers: list[Points] = [grid.border_N2, still_N2]
    values: list[Points] = [np.zeros_like(part) for part in centers]
    for rim in rims:
        index = list(rim)
        before, after = source_P2[index], target_P2[index]
        middle = _middle(source_P2, rim)
        outward = after - before
        opens = ((before - middle) * outward).sum(axis=1) > 0
        centers.append(np.where(opens[:, None], after, before))
        values.append(np.where(opens[:, None], -outward, 0.0))
    spline = fit_spline(np.concatenate(centers) / scale, np.concatenate(values) / scale, smoothing=0.02)
    field = spline(grid.nodes_N2 / scale) * scale
    return field.reshape(grid.count, grid.count, 2).astype(np.float32)


def area_change(field_GG2: Floats, step_px: float) -> Floats:
    """The Jacobian's determinant (G, G) of q -> q + f(q); below 0 the picture would fold."""
    dx = np.gradient(field_GG2, step_px, axis=1)
    dy = np.gradient(field_GG2, step_px, axis=0)
    return np.asarray((1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0], np.float32)


def _unfold(field_GG2: Floats, step_px: float) -> Floats:
    """Damp a field, round the places where it shrinks areas too much, until it does so nowhere."""
    for _ in range(_DAMPING_ROUNDS):
        bad = area_change(field_GG2, step_px) < LEAST_AREA
        if not bad.any():
            break
        around = cv2.GaussianBlur(cv2.dilate(bad.astype(np.float32), np.ones((5, 5))), (0, 0), 2.0)
        field_GG2 = cv2.GaussianBlur(field_GG2, (0, 0), 1.0) * around[..., None] + field_GG2 * (1 - around[..., None])
        field_GG2 = field_GG2 * (1 - 0.15 * around[..., None])
    return field_GG2.astype(np.float32)


def lip_line(points_P2: Points) -> tuple[Points, Points]:
    """The line where the lips meet, or would: x and y (n,) in ascending x."""
    upper, lower = points_P2[list(UPPER_INNER_LIP)], points_P2[list(LOWER_INNER_LIP)]
    middle = (upper + lower) / 2
    order = np.argsort(middle[:, 0])
    return middle[order, 0], middle[order, 1]


def opening_px(points_P2: Points) -> float:
    """How far the lips are apart, in crop pixels."""
    upper, lower = points_P2[list(UPPER_INNER_LIP)], points_P2[list(LOWER_INNER_LIP)]
    return float(np.maximum(lower[:, 1] - upper[:, 1], 0).max())
