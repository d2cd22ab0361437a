"""What light does when a face moves: smooth gains between a reconstruction and an edit, with the edit's folds.

Shapes: S crop size, C = 3. Pictures are RGB in 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIGMA = 0.022
"""Blur of the gains, in crop sizes: wider than brows, lips and lids, which a small misfit would double."""
FOLD_SIGMA = 0.007
"""Blur of the folds that are added: they are finer than ``SIGMA`` and coarser than this."""
FOLD_SHARE = 0.5
FOLD_FLOOR = 0.02
"""Changes of the logarithm below which a fold is no fold."""
LARGEST_GAIN = 0.16
LARGEST_FOLD = 0.1
"""Limits of the natural logarithm of gains and of folds."""
CHROMA_SHARE = 0.4
LARGEST_CHROMA = 0.025
BLACK = 0.08
"""Added to values before their logarithm is taken: dark pixels say little of light."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def shading(edited_SSC: Floats, reconstruction_SSC: Floats, weights_SS: Floats, folds_SS: Floats) -> Floats:
    """Log-gains (S, S, C) from ``reconstruction_SSC`` to ``edited_SSC``, which lie upon each other point by point.

    ``weights_SS`` (0..1) says which pixels count (skin does, teeth and eyes do not), ``folds_SS`` where folds are
    wanted too.
    """
    size = len(edited_SSC)
    ratio = np.log((edited_SSC + BLACK) / (reconstruction_SSC + BLACK))
    smooth = _weighted_blur(ratio, weights_SS, SIGMA * size)
    luma = smooth @ _LUMA
    chroma = np.clip(CHROMA_SHARE * (smooth - luma[..., None]), -LARGEST_CHROMA, LARGEST_CHROMA)
    fine = _weighted_blur((ratio @ _LUMA)[..., None], weights_SS, FOLD_SIGMA * size)[..., 0] - luma
    fine = np.sign(fine) * np.maximum(np.abs(fine) - FOLD_FLOOR, 0)
    folds = FOLD_SHARE * folds_SS * _limit(fine, LARGEST_FOLD)
    return np.asarray(_limit(luma, LARGEST_GAIN)[..., None] + chroma + folds[..., None], np.float32)


def apply_gains(picture_HWC: Floats, log_gains_HWC: Floats) -> Floats:
    """The picture (0..1, one channel or three) under another light."""
    if picture_HWC.shape[2] == 1:
        log_gains_HWC = (log_gains_HWC @ _LUMA)[..., None]
    return np.asarray((picture_HWC + BLACK) * np.exp(log_gains_HWC) - BLACK, np.float32)


def _limit(values: Floats, largest: float) -> Floats:
    return np.asarray(largest * np.tanh(values / largest), np.float32)


def _weighted_blur(values_SSC: Floats, weights_SS: Floats, sigma_px: float) -> Floats:
    """A blur that sees only pixels of some weight; far from all of them, it falls to 0."""
    weights = weights_SS[..., None]
    total = cv2.GaussianBlur((values_SSC * weights).astype(np.float32), (0, 0), sigma_px)
    norm = cv2.GaussianBlur(weights_SS.astype(np.float32), (0, 0), sigma_px)[..., None]
    return np.asarray(total.reshape(values_SSC.shape) / np.maximum(norm, 0.05), np.float32)
