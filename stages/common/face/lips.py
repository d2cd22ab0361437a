"""Lips that come together: how far a mouth is to be open, and points that are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.common.face.basis import ExpressionBasis
from stages.common.face.warp_field import LOWER_INNER_LIP, LOWER_LIP, UPPER_INNER_LIP, UPPER_LIP

Floats = NDArray[np.float32]

_FOLLOW = 0.85
"""How much of the inner rim's way the rest of a lip goes."""
_LEAST_GAP = 0.004
"""Gaps (crop sizes) below this say nothing of how far a mouth is open."""


def open_share(own_K: Floats, target_K: Floats, basis: ExpressionBasis) -> float:
    """How far a mouth is to stay open, as a share of now, 0..1: by what both expressions do to lips that rest.

    The basis knows by how much coefficients part the lips. What it leaves of a gap after a smile is taken away is its
    error, and looks like one.
    """
    own, target = (_gap(basis.rest_K, coefficients_K, basis) for coefficients_K in (own_K, target_K))
    return float(np.clip(target / own, 0, 1)) if own > _LEAST_GAP * basis.size_px else 1.0


def close_lips(points_P3: Floats, source_P3: Floats, share: float) -> Floats:
    """The points (P, 3) with lips at most ``share`` as far apart as in ``source_P3``; those nearer stay."""
    upper, lower = list(UPPER_INNER_LIP), list(LOWER_INNER_LIP)
    gap_N = _gaps(points_P3)
    excess_N = np.clip(gap_N - share * np.clip(_gaps(source_P3), 0, None), 0, None)
    closed = points_P3.copy()
    for rim, lip, way in ((upper, UPPER_LIP, 0.5), (lower, LOWER_LIP, -0.5)):
        others = sorted(lip - set(rim))
        order = np.argsort(points_P3[rim, 0])
        follow = np.interp(points_P3[others, 0], points_P3[rim, 0][order], excess_N[order])
        closed[others, 1] += way * _FOLLOW * follow
        closed[rim, 1] += way * excess_N
    return closed


def _gap(rest_K: Floats, coefficients_K: Floats, basis: ExpressionBasis) -> float:
    """By how many crop pixels, at most along the lips, an expression parts lips that were together."""
    moved_P3 = np.tensordot(coefficients_K - rest_K, basis.basis_KP3, axes=1)
    return max(0.0, float((moved_P3[list(LOWER_INNER_LIP), 1] - moved_P3[list(UPPER_INNER_LIP), 1]).max()))


def _gaps(points_P3: Floats) -> Floats:
    """The distance of each pair of points of the inner lips, along the picture's height."""
    return np.asarray(points_P3[list(LOWER_INNER_LIP), 1] - points_P3[list(UPPER_INNER_LIP), 1])
