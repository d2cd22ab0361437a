"""What no photo of closed lips can show: the inside of the mouth, taken from the edit and fitted in.

Shapes: h, w of the region of the photo round the face; C = 3. Pictures are RGB in 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.expression import INNER_LIPS, OUTER_LIPS
from stages.common.face.warp_field import Points, opening_px

Floats = NDArray[np.float32]

GROWTH = (0.004, 0.012)
"""How much the opening must grow, in crop sizes, for some and for all of the mouth to come from the edit."""
PARTED = (0.006, 0.014)
CLOSING = (0.01, 0.03)
"""The same for lips that part at all, and that come together."""
LIP_SHARE = (0.25, 0.6)
"""How far into the lips the edit's mouth reaches: where the opening grows least, and most."""
LARGE_GROWTH = 0.05
SEAM = 0.006
"""Blur of that seam, in crop sizes."""
RING = 0.05
LARGEST_LOG_GAIN = 0.35
LARGEST_LOG_CHROMA = 0.06
"""Limits of the gains that match the mouth to the skin round it: of all channels together, and of each apart."""
_BLACK = 0.03


def opening_growth(source_P2: Points, target_P2: Points, size_px: int) -> float:
    """How much wider the lips part, in crop sizes; below 0 where they close."""
    return (opening_px(target_P2) - opening_px(source_P2)) / size_px


def share_of_edit(growth: float) -> float:
    """How much of the mouth's inside is the edit's, 0..1."""
    return _smooth(growth, GROWTH)


def parted_share(target_P2: Points, size_px: int) -> float:
    """How much of the photo's own mouth is to be seen between the lips, 0..1: nothing where they all but meet."""
    return _smooth(opening_px(target_P2) / size_px, PARTED)


def closing_share(source_P2: Points, target_P2: Points, size_px: int) -> float:
    """How much the lips come together that were apart, 0..1."""
    closing = -opening_growth(source_P2, target_P2, size_px)
    return _smooth(closing, CLOSING) * (1 - parted_share(target_P2, size_px))


def _smooth(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def mouth_polygon(points_P2: Points, lip_share: float) -> Points:
    """The outline (20, 2) between the inner (0) and the outer (1) edge of the lips."""
    inner, outer = points_P2[list(INNER_LIPS)], points_P2[list(OUTER_LIPS)]
    return np.asarray(inner + lip_share * (outer - inner))


def lip_share(growth: float) -> float:
    low, high = LIP_SHARE
    t = min(max((growth - GROWTH[1]) / (LARGE_GROWTH - GROWTH[1]), 0.0), 1.0)
    return low + t * (high - low)


def fill_polygon(polygon_N2: Points, shape_hw: tuple[int, int], blur_px: float) -> Floats:
    """Weights (h, w): 1 inside the outline, with a soft edge."""
    weights = np.zeros(shape_hw, np.float32)
    fixed = np.round(polygon_N2 * 16).astype(np.int32)
    cv2.fillPoly(weights, [fixed], 1.0, lineType=cv2.LINE_AA if weights.dtype == np.uint8 else cv2.LINE_8, shift=4)
    return cv2.GaussianBlur(weights, (0, 0), blur_px) if blur_px > 0.2 else weights


def match_light(mouth_hwC: Floats, around_hwC: Floats, ring_hw: Floats, sigma_px: float) -> Floats:
    """``mouth_hwC`` under the light and in the colours of ``around_hwC``, as they differ on the ring round it."""
    ratio = np.log((np.clip(around_hwC, 0, 1) + _BLACK) / (np.clip(mouth_hwC, 0, 1) + _BLACK)) * ring_hw[..., None]
    total = cv2.GaussianBlur(ratio.astype(np.float32), (0, 0), sigma_px)
    norm = cv2.GaussianBlur(ring_hw, (0, 0), sigma_px)[..., None]
    gains = total.reshape(mouth_hwC.shape) / np.maximum(norm, 1e-4)
    luma = gains.mean(axis=2, keepdims=True)
    chroma = np.clip(gains - luma, -LARGEST_LOG_CHROMA, LARGEST_LOG_CHROMA)
    gains = np.clip(luma, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN) + chroma
    return np.asarray((mouth_hwC + _BLACK) * np.exp(gains) - _BLACK, np.float32)


def grain_sigma(picture_hwC: Floats, skin_hw: Floats) -> float:
    """The standard deviation of the photo's noise on smooth skin: robust, so that pores and lashes do not count."""
    luma = picture_hwC.mean(axis=2)
    noise = luma - cv2.GaussianBlur(luma, (0, 0), 1.0)
    values = np.abs(noise[skin_hw > 0.9])
    # A blur of 1 px takes about a tenth of white noise's power with it.
    return float(1.4826 * np.percentile(values, 40) / 0.85) if values.size else 0.0
