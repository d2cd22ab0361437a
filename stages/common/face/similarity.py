"""Similarity transforms (rotation, uniform scale, translation; never a reflection) as 2x3 matrices acting on (x, y)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def estimate_similarity(src_xy: ArrayLike, dst_xy: ArrayLike) -> NDArray[np.float64]:
    """The (2, 3) similarity that maps ``src_xy`` (N, 2) onto ``dst_xy`` (N, 2) with the least squared error.

    In the plane, Umeyama (1991), eqs. 40-43, has a closed form: with centred points as complex numbers z and w,
    w ≈ a z where a = Σ conj(z) w / Σ |z|². A complex factor cannot reflect, so no sign has to be repaired.
    Raises ``ValueError`` for different shapes, fewer than two points, or source points that all coincide.
    """
    src = np.asarray(src_xy, dtype=np.float64)
    dst = np.asarray(dst_xy, dtype=np.float64)
    if src.shape != dst.shape or src.ndim != 2 or src.shape[1] != 2 or len(src) < 2:
        raise ValueError(f"two equal (N >= 2, 2) arrays are needed, got {src.shape} and {dst.shape}")
    src_mean, dst_mean = src.mean(axis=0), dst.mean(axis=0)
    z = (src - src_mean) @ np.array([1, 1j])
    w = (dst - dst_mean) @ np.array([1, 1j])
    spread = float(np.vdot(z, z).real)
    if not spread > 1e-12 * max(1.0, float(np.abs(src).max()) ** 2):
        raise ValueError("the source points coincide")
    factor = np.vdot(z, w) / spread
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, dst_mean - linear @ src_mean])


def invert_similarity(matrix: ArrayLike) -> NDArray[np.float64]:
    """The (2, 3) matrix that undoes ``matrix``. Raises ``ValueError`` if its scale is zero."""
    m = np.asarray(matrix, dtype=np.float64)
    squared_scale = m[0, 0] ** 2 + m[1, 0] ** 2
    if not squared_scale > 0:
        raise ValueError("a similarity of scale zero has no inverse")
    linear = m[:, :2].T / squared_scale
    return np.column_stack([linear, -linear @ m[:, 2]])


def scale_of(matrix: ArrayLike) -> float:
    """Destination pixels per source pixel."""
    m = np.asarray(matrix, dtype=np.float64)
    return float(np.hypot(m[0, 0], m[1, 0]))


def transform_points(matrix: ArrayLike, points_xy: ArrayLike) -> NDArray[np.float64]:
    """Apply a (2, 3) matrix to (N, 2) points."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points_xy, dtype=np.float64) @ m[:, :2].T + m[:, 2]
