"""Expressions in numbers: 478 points of a face and the coefficients of what its muscles do.

A coefficient (a blendshape in ARKit's naming, a part of a FACS action unit) runs from 0, relaxed, to 1, as far as it
goes. Shapes: P = 478 points, K = 51 coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

POINT_COUNT = 478
COEFFICIENTS = (
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight"),
    *("eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight"),
    *("eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight"),
    *("mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft"),
    *("mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""ARKit's names in the teacher's order: ARKit's 52 without tongueOut, which it does not give."""

# Points of MediaPipe's mesh, in order along each contour; left and right are the person's own, as in the coefficients.
# fmt: off
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
        148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
# fmt: on


@dataclass(frozen=True, slots=True)
class Expression:
    """One face's ``points_P3`` in pixels of its picture (z in pixels too, smaller is nearer) and coefficients.

    ``confidence`` 0..1 says how sure the network is that this is a face seen well enough to measure.
    """

    points_P3: Floats
    coefficients_K: Floats
    confidence: float = 1.0

    def named(self) -> dict[str, float]:
        """The coefficients by name."""
        return {name: float(value) for name, value in zip(COEFFICIENTS, self.coefficients_K, strict=True)}


def coefficient_index(name: str) -> int:
    return COEFFICIENTS.index(name)


def mirrored_names() -> tuple[int, ...]:
    """For each coefficient the index of the one that a mirror image shows in its place."""
    return tuple(COEFFICIENTS.index(_other_side(name)) for name in COEFFICIENTS)


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name
