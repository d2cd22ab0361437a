"""The part of a face that is made anew: everything from just above the mouth down (thesis 5.2; spec of its code).

B faces, T frames. Landmarks are the usual 68 points, (x, y) in pixels of the crop.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOUTH = slice(48, 68)
"""The landmarks of the lips."""
EYES_NOSE_JAW = slice(0, 48)
"""All others."""
MASKED = -1.0
_ABOVE_PX = 5

PointsT = TypeVar("PointsT", Tensor, NDArray[np.float32])


def mask_top(landmarks: PointsT) -> PointsT:
    """The first masked row: 5 px above the topmost mouth landmark, of one face (68, 2) or many (..., 68, 2).

    Whole pixels, as floating-point numbers (...); below 0 where a mouth is at the upper border.
    """
    rows = landmarks[..., MOUTH, 1]
    if isinstance(rows, Tensor):
        return rows.amin(dim=-1).floor() - _ABOVE_PX
    return np.asarray(np.floor(rows.min(axis=-1)) - _ABOVE_PX, dtype=np.float32)


def below(top_B: Tensor, height: int) -> Tensor:
    """Which rows are masked, bool (B, 1, height, 1)."""
    rows_H = torch.arange(height, device=top_B.device)
    return (rows_H[None, :] >= top_B[:, None])[:, None, :, None]


def mask_below(x_BCHW: Tensor, top_B: Tensor, value: float = MASKED) -> Tensor:
    """Pictures -1..1 with ``value`` in every row from ``top_B`` to the bottom."""
    return x_BCHW.masked_fill(below(top_B, x_BCHW.shape[2]), value)


def masked_cells(top_B: Tensor, latent_size: int, downsampling: int) -> Tensor:
    """1 where a row of latents holds masked pixels, float (B, 1, latent_size, 1)."""
    return below(torch.div(top_B, downsampling, rounding_mode="floor"), latent_size).float()
