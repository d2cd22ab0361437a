"""What no photo of closed lips can show: the inside of the mouth, taken from the edit and fitted in.

Shapes: h, w of a box of the photo round the mouth; S crop size; P = 478 points; C = 3. Pictures are RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.expression import INNER_LIPS, OUTER_LIPS
from stages.common.face.warp_field import Points, opening_px
from stages.common.face.warp_region import Box, Region, fill_polygon, shape_of, slices
from stages.common.face.warp_register import way_to

Floats = NDArray[np.float32]
Upscale = Callable[[Floats], Floats]
"""A picture (h, w, 3) in -1..1 enlarged by a whole number."""

GROWTH = (0.004, 0.012)
"""How much the opening must grow, in crop sizes, for some and for all of the mouth to come from the edit."""
PARTED = (0.006, 0.014)
CLOSING = (0.01, 0.03)
"""The same for lips that part at all, and that come together."""
LIP_SHARE = (0.1, 0.2)
LARGE_GROWTH = 0.05
"""How far into the lips the edit's mouth reaches: where the opening grows least, and by ``LARGE_GROWTH``."""
SEAM = 0.004
"""Blur of that seam, in crop sizes: the photo's lips are sharper than the edit's, so they stay as far as they can."""
SHARPENING = 0.6
CHROMA_BLUR_PX = 1.2
"""Without an ``Upscale``: how much of a pixel's difference from its blur is added to its luminance, and how far its
colour is blurred, which a first stage draws in stripes."""
RING = 0.05
LARGEST_LOG_GAIN = 0.35
LARGEST_LOG_CHROMA = 0.06
"""Limits of the gains that match the mouth to the skin round it: of all channels together, and of each apart."""
LARGEST_GRAIN = 0.012
_RING_LIPS = (1.25, 2.2)
"""The ring of skin lies between these outlines; 1 is the lips' outer edge."""
_MARGIN_PX = 10
_BLACK = 0.03
_ENAMEL = (0.4, 0.7)
_ENAMEL_COLOUR = 0.6
"""Luminances from which teeth begin and are sure, and how much of their colour, mostly the gums', they keep."""


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


def fill_mouth(
    view: Region,
    moved_hwC: Floats,
    edited_SSC: Floats,
    *,
    source_P2: Points,
    target_P2: Points,
    edited_at_P2: Points,
    upscale: Upscale | None,
) -> None:
    """Where the lips part further, the region's mouth becomes the edit's, in place, in the photo's light and grain."""
    growth = opening_growth(source_P2, target_P2, view.size_px)
    share = share_of_edit(growth)
    box = view.box_of(target_P2[list(OUTER_LIPS)], 3 * RING * view.size_px)
    if share == 0 or box is None:
        return
    large = _enlarge_mouth(edited_SSC, edited_at_P2, upscale)
    mouth = _see(view, large, way_to(edited_at_P2, target_P2, view.size_px), box)
    around = moved_hwC[slices(box)]
    if around.shape[2] == 1:
        mouth = mouth.mean(axis=2, keepdims=True)
    px = view.size_px * view.px_per_crop

    def within(lips: float, blur: float) -> Floats:
        polygon = view.points(_outline(target_P2, lips)) - box[:2]
        return fill_polygon(polygon, shape_of(box), max(blur * px, 0.6))

    ring = within(_RING_LIPS[1], 0.01) * (1 - within(_RING_LIPS[0], 0.004))
    mouth = _whiten(match_light(mouth, around, ring, RING * px)) + _grain(around, ring)
    inside = within(_lip_share(growth), SEAM)
    moved_hwC[slices(box)] += share * inside[..., None] * (mouth - around)


def match_light(mouth_hwC: Floats, around_hwC: Floats, ring_hw: Floats, sigma_px: float) -> Floats:
    """``mouth_hwC`` under the light and in the colours of ``around_hwC``, as they differ on the ring round it."""
    ratio = np.log((np.clip(around_hwC, 0, 1) + _BLACK) / (np.clip(mouth_hwC, 0, 1) + _BLACK)) * ring_hw[..., None]
    total = cv2.GaussianBlur(ratio.astype(np.float32), (0, 0), sigma_px).reshape(mouth_hwC.shape)
    norm = cv2.GaussianBlur(ring_hw, (0, 0), sigma_px)[..., None]
    gains = total / np.maximum(norm, 1e-4)
    luma = gains.mean(axis=2, keepdims=True)
    chroma = np.clip(gains - luma, -LARGEST_LOG_CHROMA, LARGEST_LOG_CHROMA)
    gains = np.clip(luma, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN) + chroma
    return np.asarray((mouth_hwC + _BLACK) * np.exp(gains) - _BLACK, np.float32)


def _smooth(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _lip_share(growth: float) -> float:
    low, high = LIP_SHARE
    t = min(max((growth - GROWTH[1]) / (LARGE_GROWTH - GROWTH[1]), 0.0), 1.0)
    return low + t * (high - low)


def _outline(points_P2: Points, lip_share: float) -> Points:
    """The outline (20, 2) between the inner (0) and the outer (1) edge of the lips, or beyond."""
    inner, outer = points_P2[list(INNER_LIPS)], points_P2[list(OUTER_LIPS)]
    return np.asarray(inner + lip_share * (outer - inner))


def _enlarge_mouth(edited_SSC: Floats, at_P2: Points, upscale: Upscale | None) -> Floats:
    """The edit, enlarged: by ``upscale`` about the lips, elsewhere by interpolation; as large but sharper without."""
    if upscale is None:
        return _sharpen(edited_SSC)
    size = len(edited_SSC)
    margin = _MARGIN_PX * size / 128
    lips = at_P2[list(OUTER_LIPS)]
    x0, y0 = np.clip(np.floor(lips.min(axis=0) - margin), 0, size - 1).astype(int)
    x1, y1 = np.clip(np.ceil(lips.max(axis=0) + margin) + 1, 1, size).astype(int)
    patch = upscale(np.ascontiguousarray(edited_SSC[y0:y1, x0:x1]) * 2 - 1) * np.float32(0.5) + np.float32(0.5)
    factor = patch.shape[0] // (y1 - y0)
    large = cv2.resize(edited_SSC, (factor * size, factor * size), interpolation=cv2.INTER_CUBIC)
    large[factor * y0 : factor * y1, factor * x0 : factor * x1] = patch
    return np.asarray(large, np.float32)


def _sharpen(edited_SSC: Floats) -> Floats:
    luma = edited_SSC.mean(axis=2, keepdims=True)
    chroma = cv2.GaussianBlur(edited_SSC - luma, (0, 0), CHROMA_BLUR_PX * len(luma) / 128)
    detail = luma - cv2.GaussianBlur(luma, (0, 0), 1.0)[..., None]
    return np.asarray(np.clip(luma + np.float32(SHARPENING) * detail, 0, 1) + chroma, np.float32)


def _whiten(mouth_hwC: Floats) -> Floats:
    """Take the gums' and lips' colour from teeth, where small crops mix them."""
    luma = mouth_hwC.mean(axis=2, keepdims=True)
    t = np.clip((luma - _ENAMEL[0]) / (_ENAMEL[1] - _ENAMEL[0]), 0, 1)
    kept = 1 - (1 - _ENAMEL_COLOUR) * t * t * (3 - 2 * t)
    return np.asarray(luma + kept * (mouth_hwC - luma), np.float32)


def _see(view: Region, large: Floats, way_SS2: Floats, box: Box) -> Floats:
    """An enlarged crop at a box's pixels (h, w, C), through a backward field of the crop."""
    factor = len(large) / view.size_px
    x, y = view.crop_xy(box)
    way = view.from_crop(way_SS2, box)
    map_x = ((x + way[..., 0] + 0.5) * factor - 0.5).astype(np.float32)
    map_y = ((y + way[..., 1] + 0.5) * factor - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(large, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _grain(around_hwC: Floats, skin_hw: Floats) -> Floats:
    """Noise (h, w, 1) about as strong as the photo's on skin; the same photo always gets the same."""
    luma = around_hwC.mean(axis=2)
    noise = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.0))[skin_hw > 0.9]
    # 40 % of normally distributed values lie within 0.524 standard deviations: pores and stubble are in the other 60.
    sigma = min(float(np.percentile(noise, 40)) / 0.524, LARGEST_GRAIN) if noise.size else 0.0
    random = np.random.default_rng(0).standard_normal((*luma.shape, 1), dtype=np.float32)
    return np.asarray(np.float32(sigma) * random)
