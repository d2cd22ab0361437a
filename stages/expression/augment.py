"""What may happen to a training face: mirrored, moved, covered, lit, blurred, noisy, compressed.

Faces are uint8 RGB (S, S, 3); points move with the picture, coefficients stay but for a mirror's exchange of sides.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.expression import Expression
from stages.common.face.mesh import mirror_coefficients, mirror_points
from stages.expression.config import AugmentConfig

Picture = NDArray[np.uint8]
Random = np.random.Generator


def augment(
    face: Picture, known: Expression, size_px: int, config: AugmentConfig, random: Random
) -> tuple[Picture, Expression]:
    """The face and what is known of it, changed and at ``size_px``."""
    if random.random() < 0.5:
        face, known = mirror(face, known)
    matrix = draw_similarity(face.shape[0], size_px, config, random)
    face, known = move(face, known, matrix, size_px)
    if random.random() < config.occlusion:
        face = cover(face, random)
    return change_look(face, config, random), known


def mirror(face: Picture, known: Expression) -> tuple[Picture, Expression]:
    """The mirror image."""
    points = mirror_points(known.points_P3, face.shape[1])
    return np.ascontiguousarray(face[:, ::-1]), Expression(points, mirror_coefficients(known.coefficients_K))


def move(face: Picture, known: Expression, matrix: NDArray[np.float64], size_px: int) -> tuple[Picture, Expression]:
    """The face taken by a similarity (2, 3) to a crop of ``size_px``; mirrored beyond its border."""
    points = known.points_P3.astype(np.float64)
    points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    points[:, 2] *= np.hypot(matrix[0, 0], matrix[1, 0])
    return warp(face, matrix, size_px), Expression(points.astype(np.float32), known.coefficients_K)


def warp(face: Picture, matrix: NDArray[np.float64], size_px: int) -> Picture:
    moved = cv2.warpAffine(face, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def draw_similarity(side_px: int, size_px: int, config: AugmentConfig, random: Random) -> NDArray[np.float64]:
    """A small similarity (2, 3) from a crop of ``side_px`` to one of ``size_px``."""
    angle = np.deg2rad(random.uniform(-1, 1) * config.max_rotation_deg)
    scale = config.max_scale ** random.uniform(-1, 1)
    shift = random.uniform(-1, 1, 2) * config.max_shift
    return similarity(side_px, size_px, angle, scale, shift)


def similarity(
    side_px: int, size_px: int, angle: float, scale: float, shift_xy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """About the crop's centre: turned by ``angle``, enlarged, and moved by a share of the side."""
    factor = scale * size_px / side_px
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    center = np.full(2, (side_px - 1) / 2)
    return np.column_stack([linear, (size_px - 1) / 2 + shift_xy * size_px - linear @ center])


def cover(face: Picture, random: Random, side: tuple[float, float] = (0.12, 0.42)) -> Picture:
    """One or two rectangles, whose sides are a share of the face's, in one colour, noisy, or from elsewhere in it."""
    covered, size = face.copy(), face.shape[0]
    for _ in range(random.integers(1, 3)):
        height, width = (max(1, round(size * share)) for share in random.uniform(*side, 2))
        top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
        covered[top : top + height, left : left + width] = _filling(face, height, width, random)
    return covered


def _filling(face: Picture, height: int, width: int, random: Random) -> NDArray[np.generic]:
    kind = random.integers(3)
    if kind == 0:
        return random.integers(0, 256, 3)
    if kind == 1:
        return random.integers(0, 256, (height, width, 3))
    top, left = random.integers(0, face.shape[0] - height + 1), random.integers(0, face.shape[1] - width + 1)
    return face[top : top + height, left : left + width]


def change_look(face: Picture, config: AugmentConfig, random: Random) -> Picture:
    """Light, sharpness, noise and compression."""
    if random.random() < config.light:
        face = _relight(face, random)
    if random.random() < config.blur:
        face = _blur(face, random)
    if random.random() < config.noise:
        grain = random.standard_normal(face.shape, dtype=np.float32) * random.uniform(2, 14)
        face = (face + grain).clip(0, 255).astype(np.uint8)
    if random.random() < config.jpeg:
        _, content = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 85))])
        face = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    return face


def _relight(face: Picture, random: Random) -> Picture:
    values = np.linspace(0, 1, 256)[:, None] ** np.exp(random.normal(0, 0.3))
    table = values * random.normal(1, 0.08, 3) * random.uniform(0.7, 1.25) + random.uniform(-0.1, 0.1)
    lit = cv2.LUT(face, (table.clip(0, 1) * 255).astype(np.uint8)[:, None, :])
    if random.random() < 0.1:
        lit = np.repeat(cv2.cvtColor(lit, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if random.random() < 0.4:
        angle, ramp = random.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, face.shape[0], dtype=np.float32)
        side_light = 1 + random.uniform(0, 0.8) * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None])
        lit = (lit * side_light[..., None]).clip(0, 255)
    return np.asarray(lit, np.uint8)


def _blur(face: Picture, random: Random) -> Picture:
    size = face.shape[0]
    if random.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(face, (0, 0), random.uniform(0.3, 2.0) * size / 128), np.uint8)
    small = max(8, round(size / random.uniform(1.2, 3.5)))
    shrunk = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
