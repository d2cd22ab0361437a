"""The photo's pixels at their new places: a field's layers drawn over each other, cut along lips and lids.

Shapes: h, w of the region of the photo round the face; C colour channels; pictures are 0..1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.common.face.expression import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from stages.common.face.warp_field import FaceField, Points, lip_line
from stages.common.face.warp_mouth import closing_share, parted_share
from stages.common.face.warp_region import Box, Region, fill_polygon, shape_of, slices
from stages.common.face.warp_register import STILL_PX

Floats = NDArray[np.float32]

LID_SEAM = 0.0025
LIP_SEAM = 0.002
"""Softness of the edges of lids and of the line between the lips, in crop sizes."""
CREASE = 0.004
CREASE_DEPTH = 0.38
"""Width, in crop sizes, and darkness of the line between lips that came together."""


def move(view: Region, field: FaceField, source_P2: Points) -> Floats:
    """The region (h, w, C) of the photo with its points at the field's target."""
    whole = view.whole
    if field.largest_px < STILL_PX * view.size_px / 128:
        return view.pull(np.zeros((*shape_of(whole), 2), np.float32), whole)
    target = field.target_P2
    upper, lower = view.from_grid(field.upper_GG2, whole), view.from_grid(field.lower_GG2, whole)
    below = _below_lips(view, target, whole)[..., None]
    moved = view.pull(upper + below * (lower - upper), whole)
    mouth = view.box_of(target[list(OUTER_LIPS)], 2)
    if mouth is not None:
        # Here the layers differ much, so pictures are mixed and not the ways, which would show what lies between.
        part = slices(mouth)
        above = view.pull(upper[part], mouth)
        moved[part] = above + below[part] * (view.pull(lower[part], mouth) - above)
    for rim in (RIGHT_EYE, LEFT_EYE):
        _open(view, moved, field.eyes_GG2, target[list(rim)])
    parted = parted_share(target, view.size_px)
    if parted > 0:
        _open(view, moved, field.mouth_GG2, target[list(INNER_LIPS)], parted)
    closing = closing_share(source_P2, target, view.size_px)
    if closing > 0:
        _crease(view, moved, target, closing)
    return moved


def _open(view: Region, moved_hwC: Floats, layer_GG2: Floats, rim_N2: Points, share: float = 1.0) -> None:
    """Show what lies behind a rim, in place."""
    box = view.box_of(rim_N2, 3 * view.size_px / 128)
    if box is None:
        return
    blur_px = max(LID_SEAM * view.size_px * view.px_per_crop, 0.6)
    weights = fill_polygon(view.points(rim_N2) - box[:2], shape_of(box), blur_px)[..., None]
    behind = view.pull(view.from_grid(layer_GG2, box), box)
    moved_hwC[slices(box)] += share * weights * (behind - moved_hwC[slices(box)])


def _crease(view: Region, moved_hwC: Floats, target_P2: Points, share: float) -> None:
    """Darken, in place, the line between lips that have come together: each hides the other's light."""
    box = view.box_of(target_P2[list(INNER_LIPS)], 2 * view.size_px / 128)
    if box is None:
        return
    x, y = view.crop_xy(box)
    line_x, line_y = lip_line(target_P2)
    off = (y - np.interp(x, line_x, line_y)) / (CREASE * view.size_px)
    along = np.clip(np.minimum(x - line_x[0], line_x[-1] - x) / (0.02 * view.size_px), 0, 1)
    darkness = CREASE_DEPTH * share * along * np.exp(-(off**2))
    moved_hwC[slices(box)] *= (1 - darkness)[..., None].astype(np.float32)


def _below_lips(view: Region, target_P2: Points, box: Box) -> Floats:
    """How much each pixel belongs to the face below the line between the lips, 0..1; beside the mouth it is soft."""
    x, y = view.crop_xy(box)
    line_x, line_y = lip_line(target_P2)
    beyond = np.maximum(np.maximum(line_x[0] - x, x - line_x[-1]), 0)
    softness = max(LIP_SEAM * view.size_px, 0.5 / view.px_per_crop) + 0.5 * beyond
    t = np.clip(0.5 + (y - np.interp(x, line_x, line_y)) / (2 * softness), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
