"""How the points of a face move with its expression: one displacement of the mesh for each coefficient.

The teacher's coefficients are a function of the points alone, and over thousands of faces the way back is nearly
linear: points = mean + identity + pose + coefficients @ basis. Shapes: N faces, P = 478 points, K coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.common.expressions import Expressions

Floats = NDArray[np.float32]

# Points that no expression moves much: the bridge of the nose, the corners of the eyes, temples and forehead.
# fmt: off
RIGID = (6, 168, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 162, 389, 21, 251, 234, 454, 10, 151, 8, 122, 351,
         193, 417)
# fmt: on
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class ExpressionBasis:
    """``mean_P3`` is the mean face turned to the front, in pixels of a crop of ``size_px``; ``basis_KP3`` displaces it.

    ``usual_K`` is the 97th percentile of each coefficient over training faces, ``rest_K`` the median over neutral ones.
    """

    mean_P3: Floats
    basis_KP3: Floats
    usual_K: Floats
    rest_K: Floats
    size_px: int

    def displacement(self, points_P3: Floats, change_K: NDArray[np.float32]) -> Floats:
        """How the points (P, 3) of a face move in its picture when its coefficients change by ``change_K``."""
        scale, rotation = self._pose(points_P3)
        moved = np.tensordot(change_K, self.basis_KP3, axes=1)
        return np.asarray(scale * moved @ rotation.T, np.float32)

    def _pose(self, points_P3: Floats) -> tuple[float, NDArray[np.float64]]:
        scale, rotation, _ = _align(self.mean_P3[list(RIGID)], points_P3[list(RIGID)])
        return scale, rotation


def fit_basis(
    expressions: Expressions, identities: list[str | None], neutral: NDArray[np.bool_], size_px: int
) -> ExpressionBasis:
    """Ridge regression over the faces whose expression is known; ``neutral`` (N,) are those that rest.

    Nuisances are regressed out: the pose, and who it is (the embedding, and where somebody has several photos the mean
    of all that is said of them).
    """
    known = expressions.known & np.isfinite(expressions.identities_ND).all(axis=1)
    points_NP3 = expressions.points_NP3[known].astype(np.float64)
    coefficients_NK = expressions.coefficients_NK[known].astype(np.float64)
    mean_P3 = _mean_shape(points_NP3)
    frontal, poses = _turn_to_front(points_NP3, mean_P3)
    nuisance = np.concatenate([expressions.identities_ND[known], poses, poses**2], axis=1)
    names = [name for name, use in zip(identities, known, strict=True) if use]
    inputs = _within_people(np.concatenate([coefficients_NK, nuisance], axis=1), names)
    targets = _within_people((frontal - mean_P3).reshape(len(frontal), -1), names)
    scale = inputs.std(axis=0) + 1e-9
    scaled = inputs / scale
    gram = scaled.T @ scaled / len(scaled) + _RIDGE * np.eye(scaled.shape[1])
    weights = np.linalg.solve(gram, scaled.T @ targets / len(scaled)) / scale[:, None]
    count = coefficients_NK.shape[1]
    return ExpressionBasis(
        mean_P3.astype(np.float32),
        weights[:count].reshape(count, -1, 3).astype(np.float32),
        np.percentile(coefficients_NK, 97, axis=0).clip(min=1e-3).astype(np.float32),
        np.median(coefficients_NK[neutral[known]] if neutral[known].any() else coefficients_NK, axis=0).astype(
            np.float32
        ),
        size_px,
    )


def _within_people(values_ND: NDArray[np.float64], names: list[str | None]) -> NDArray[np.float64]:
    """Values less the mean of the same person's, where there are several photos of one; else less the mean of all."""
    labels = [name if name is not None else f"#{index}" for index, name in enumerate(names)]
    _, person, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values_ND.shape[1]))
    np.add.at(sums, person, values_ND)
    means = np.where((counts > 1)[:, None], sums / counts[:, None], values_ND.mean(axis=0))
    return np.asarray(values_ND - means[person])


def _mean_shape(points_NP3: NDArray[np.float64], rounds: int = 3) -> NDArray[np.float64]:
    """The generalised Procrustes mean, in the place and scale of the faces' own mean."""
    mean = points_NP3.mean(axis=0)
    for _ in range(rounds):
        frontal, _ = _turn_to_front(points_NP3, mean)
        mean = frontal.mean(axis=0)
    return mean


def _turn_to_front(
    points_NP3: NDArray[np.float64], mean_P3: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each face's points by the similarity that lays its rigid points onto the mean's, and the rotations' vectors."""
    rigid, turned, poses = list(RIGID), [], []
    for points in points_NP3:
        scale, rotation, shift = _align(points[rigid], mean_P3[rigid])
        turned.append(scale * points @ rotation.T + shift)
        poses.append(rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]])
    return np.array(turned), np.array(poses)


def _align(
    src_N3: NDArray[np.floating], dst_N3: NDArray[np.floating]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Scale, rotation (3, 3) and shift of the similarity src -> dst of least squared error (Umeyama 1991)."""
    src_mean, dst_mean = src_N3.mean(axis=0), dst_N3.mean(axis=0)
    src, dst = src_N3 - src_mean, dst_N3 - dst_mean
    u, singular, vt = np.linalg.svd((dst.T @ src).astype(np.float64))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    scale = float((singular * signs).sum() / (src**2).sum())
    return scale, rotation, dst_mean - scale * rotation @ src_mean
