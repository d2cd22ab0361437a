"""Pictures as networks take them, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_model_range(pictures: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Tensor:
    """uint8 pictures 0..255, (B, H, W, 3) or B of (H, W, 3), to float32 -1..1 (B, 3, H, W), contiguous."""
    stacked = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2)
    return stacked.float().contiguous().div_(127.5).sub_(1)


def mirror_some(x_BCHW: Tensor, mirrored_B: NDArray[np.bool_]) -> Tensor:
    """The batch with those pictures mirrored, in place."""
    flip = torch.from_numpy(mirrored_B)
    x_BCHW[flip] = x_BCHW[flip].flip(3)
    return x_BCHW


def from_model_range(images_BCHW: Tensor) -> NDArray[np.uint8]:
    """Pictures in -1..1 (B, 3, H, W), clamped and rounded to uint8 (B, H, W, 3)."""
    scaled = (images_BCHW.detach().float().clamp(-1, 1) + 1) * 127.5
    return np.asarray(scaled.round().permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy())


def to_crops(images_BCHW: torch.Tensor) -> list[NDArray[np.float32]]:
    """A batch in -1..1 to float crops (S, S, 3), still in -1..1."""
    return list(images_BCHW.detach().float().clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy())


def to_grid(x_BCHW: Tensor, columns: int) -> NDArray[np.uint8]:
    """Float -1..1 pictures (B, 3, H, W) as one RGB picture (H', W', 3), row by row."""
    missing = -len(x_BCHW) % columns
    pictures = np.pad(from_model_range(x_BCHW), ((0, missing), (1, 1), (1, 1), (0, 0)), constant_values=255)
    rows = pictures.reshape(-1, columns, *pictures.shape[1:])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
