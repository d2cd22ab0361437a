"""How the points of a face move with its expression: one displacement of the mesh for each coefficient.

The teacher's coefficients are a function of the points alone, and over thousands of faces the way back is nearly
linear: points = mean + identity + pose + coefficients @ basis. Shapes: N faces, P = 478 points, K coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.common.expressions import Expressions
from stages.common.face.expression import COEFFICIENTS
from stages.common.face.mesh import mirror_coefficients, mirror_points

Floats = NDArray[np.float32]

# Points that no expression moves much: the bridge of the nose, the corners of the eyes, temples and forehead.
# fmt: off
RIGID = (6, 168, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 162, 389, 21, 251, 234, 454, 10, 151, 8, 122, 351,
         193, 417)
# fmt: on
_RIDGE = 1e-3
_SILENT = 0.02
"""A coefficient whose 97th percentile is below this is one that the teacher does not really give."""
_BUMPS: Mapping[str, tuple[tuple[int, float, float], ...]] = {
    "cheekSquintLeft": ((425, 0.07, 0.012), (374, 0.04, 0.008)),
    "cheekSquintRight": ((205, 0.07, 0.012), (145, 0.04, 0.008)),
    "noseSneerLeft": ((279, 0.035, 0.016), (358, 0.05, 0.008)),
    "noseSneerRight": ((49, 0.035, 0.016), (129, 0.05, 0.008)),
    "mouthFrownLeft": ((291, 0.06, -0.22), (424, 0.07, -0.05)),
    "mouthFrownRight": ((61, 0.06, -0.22), (204, 0.07, -0.05)),
}
"""Point, radius and rise (shares of the crop) of each bump, at a coefficient of 1: frowns reach 0.05."""


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

    @property
    def heard_K(self) -> NDArray[np.bool_]:
        """Which coefficients the teacher gives at all; a network has learned nothing of the others."""
        return self.usual_K < 1

    def displacement(self, points_P3: Floats, change_K: NDArray[np.float32]) -> Floats:
        """How the points (P, 3) of a face move in its picture when its coefficients change by ``change_K``."""
        scale, rotation, _ = _align(self.mean_P3[list(RIGID)], points_P3[list(RIGID)])
        moved = np.tensordot(change_K, self.basis_KP3, axes=1)
        return np.asarray(scale * moved @ rotation.T, np.float32)


def fit_basis(
    expressions: Expressions, identities: Sequence[str | None], neutral: NDArray[np.bool_], size_px: int
) -> ExpressionBasis:
    """Ridge regression over the faces whose expression is known, and their mirror images.

    Nuisances are regressed out: the pose, and who it is (the embedding, and where somebody has several photos the mean
    of all that is said of them). ``neutral`` (N,) are the faces that rest. Coefficients that the teacher hardly ever
    gives have displacements made by hand.
    """
    known = expressions.known & np.isfinite(expressions.identities_ND).all(axis=1)
    points, coefficients = expressions.points_NP3[known], expressions.coefficients_NK[known]
    points_NP3 = np.concatenate([points, mirror_points(points, size_px)]).astype(np.float64)
    coefficients_NK = np.concatenate([coefficients, mirror_coefficients(coefficients)]).astype(np.float64)
    mean_P3 = _mean_shape(points_NP3)
    frontal, poses = _turn_to_front(points_NP3, mean_P3)
    nuisance = np.concatenate([np.tile(expressions.identities_ND[known], (2, 1)), poses, poses**2], axis=1)
    names = [name for name, use in zip(identities, known, strict=True) if use]
    names += [None if name is None else f"{name} mirrored" for name in names]
    inputs = _within_people(np.concatenate([coefficients_NK, nuisance], axis=1), names)
    targets = _within_people((frontal - mean_P3).reshape(len(frontal), -1), names)
    usual_K = np.percentile(coefficients_NK, 97, axis=0)
    silent = usual_K < _SILENT
    inputs[:, : len(silent)][:, silent] = 0
    resting = np.tile(neutral[known], 2)
    basis_KP3 = _ridge(inputs, targets)[: len(silent)].reshape(len(silent), -1, 3)
    basis_KP3[silent] = 0
    basis = ExpressionBasis(
        mean_P3.astype(np.float32),
        basis_KP3.astype(np.float32),
        np.where(silent, 1.0, usual_K).astype(np.float32),
        np.median(coefficients_NK[resting] if resting.any() else coefficients_NK, axis=0).astype(np.float32),
        size_px,
    )
    return with_bumps(basis)


def with_bumps(basis: ExpressionBasis) -> ExpressionBasis:
    """The basis with the displacements made by hand, after FACS, of what the teacher tells too little of.

    They are soft bumps around points of the mesh: raised cheeks push up the lower lids; a sneer pulls up the wings of
    the nose; a frown pulls down the corners of the lips.
    """
    basis_KP3 = basis.basis_KP3.copy()
    for name, bumps in _BUMPS.items():
        row_P3 = basis_KP3[COEFFICIENTS.index(name)]
        row_P3[:] = 0
        for point, radius, rise in bumps:
            distance_P = np.linalg.norm(basis.mean_P3[:, :2] - basis.mean_P3[point, :2], axis=1)
            row_P3[:, 1] -= rise * basis.size_px * np.exp(-0.5 * (distance_P / (radius * basis.size_px)) ** 2)
    return replace(basis, basis_KP3=basis_KP3)


def _ridge(inputs_ND: NDArray[np.float64], targets_NT: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (D, T) of least squared error, their size held down in units of each input's spread."""
    scale_D = np.maximum(inputs_ND.std(axis=0), 1e-9)
    scaled = inputs_ND / scale_D
    gram = scaled.T @ scaled / len(scaled) + _RIDGE * np.eye(scaled.shape[1])
    return np.asarray(np.linalg.solve(gram, scaled.T @ targets_NT / len(scaled)) / scale_D[:, None])


def _within_people(values_ND: NDArray[np.float64], names: Sequence[str | None]) -> NDArray[np.float64]:
    """Values less the mean of the same person's, where there are several photos of one; else less the mean of all."""
    labels = [name if name is not None else f"#{index}" for index, name in enumerate(names)]
    _, person, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values_ND.shape[1]))
    np.add.at(sums, person, values_ND)
    means = np.where((counts > 1)[:, None], sums / counts[:, None], values_ND.mean(axis=0))
    return np.asarray(values_ND - means[person], np.float64)


def _mean_shape(points_NP3: NDArray[np.float64], rounds: int = 3) -> NDArray[np.float64]:
    """The generalised Procrustes mean, in the place and scale of the faces' own mean."""
    mean: NDArray[np.float64] = points_NP3.mean(axis=0)
    for _ in range(rounds):
        frontal, _ = _turn_to_front(points_NP3, mean)
        mean = frontal.mean(axis=0)
    return mean


def _turn_to_front(
    points_NP3: NDArray[np.float64], mean_P3: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each face's points by the similarity that lays its rigid points onto the mean's, and the rotations' vectors."""
    rigid = list(RIGID)
    scale_N, rotation_N33, shift_N3 = _align(points_NP3[:, rigid], mean_P3[rigid])
    turned = scale_N[:, None, None] * points_NP3 @ rotation_N33.swapaxes(1, 2) + shift_N3[:, None]
    return turned, rotation_N33[:, [2, 0, 1], [1, 2, 0]] - rotation_N33[:, [1, 2, 0], [2, 0, 1]]


def _align(
    src_NR3: NDArray[np.floating], dst_NR3: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scales (N,), rotations (N, 3, 3) and shifts (N, 3) of the similarities src -> dst of least squared error.

    Umeyama (1991), eqs. 40 to 42. One of both may be a single (R, 3) for all.
    """
    src_mean, dst_mean = src_NR3.mean(axis=-2, keepdims=True), dst_NR3.mean(axis=-2, keepdims=True)
    src, dst = (src_NR3 - src_mean).astype(np.float64), (dst_NR3 - dst_mean).astype(np.float64)
    u, singular, vt = np.linalg.svd(dst.swapaxes(-1, -2) @ src)
    signs = np.ones_like(singular)
    signs[..., 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * signs[..., None, :]) @ vt
    scale = (singular * signs).sum(axis=-1) / (src**2).sum(axis=(-1, -2))
    turned = (rotation @ src_mean.swapaxes(-1, -2)).swapaxes(-1, -2)
    return scale, rotation, (dst_mean - scale[..., None, None] * turned)[..., 0, :]
