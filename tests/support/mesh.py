"""A drawn face of 478 points: the contours that the product names lie on ellipses, all others between them."""

from __future__ import annotations

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
from stages.common.face.warp_field import LOWER_LIP, UPPER_LIP

Points = NDArray[np.float64]
MOUTH = (63.5, 88.0)
EYES = ((45.5, 44.5), (81.5, 44.5))


def make_mesh(opening_px: float = 0.0, lid_px: float = 3.0) -> Points:
    """Points (478, 2) in a crop of 128 px; ``opening_px`` is between the lips, ``lid_px`` half between lids."""
    points = _scattered()
    points[list(OVAL)] = _ellipse((63.5, 66), 44, 52, len(OVAL), -np.pi / 2)
    half = opening_px / 2
    points[list(OUTER_LIPS)] = _ellipse(MOUTH, 17, 5 + half, 20, np.pi)
    points[list(INNER_LIPS)] = _ellipse(MOUTH, 15, half, 20, np.pi)
    for lip, up in ((UPPER_LIP, -1), (LOWER_LIP, 1)):
        middle = sorted(lip - {*OUTER_LIPS, *INNER_LIPS})
        t = np.linspace(0.1, 0.9, len(middle)) * np.pi
        y = MOUTH[1] + up * np.sin(t) * (half + 2.5)
        points[middle] = np.stack([MOUTH[0] - 16 * np.cos(t), y], axis=1)
    contours = (RIGHT_EYE, RIGHT_BROW, RIGHT_IRIS), (LEFT_EYE, LEFT_BROW, LEFT_IRIS)
    for center, (eye, brow, iris) in zip(EYES, contours, strict=True):
        points[list(eye)] = _ellipse(center, 7.5, lid_px, 16, np.pi)
        points[list(brow)] = _ellipse((center[0], center[1] - 12), 10, 1.5, 10, np.pi)
        points[list(iris)] = [center, *_ellipse(center, 2.5, 2.5, 4, 0)]
    return points


def _ellipse(center: tuple[float, float], a: float, b: float, count: int, start: float) -> Points:
    angles = start + 2 * np.pi * np.arange(count) / count
    return np.stack([center[0] + a * np.cos(angles), center[1] + b * np.sin(angles)], axis=1)


def _scattered() -> Points:
    """Points all over the face but for mouth and eyes, by the golden angle."""
    n = np.arange(4000)
    radius, angle = 0.93 * np.sqrt((n + 0.5) / 900), n * np.pi * (3 - np.sqrt(5))
    places = np.stack([63.5 + 44 * radius * np.cos(angle), 66 + 52 * radius * np.sin(angle)], axis=1)
    free = radius < 0.93
    for center, a, b in ((MOUTH, 22, 14), *((eye, 12, 7) for eye in EYES)):
        free &= (((places - center) / (a, b)) ** 2).sum(axis=1) > 1
    return places[free][:478].copy()
