"""Where a sound is silent. N samples, T frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

SILENCE_DB, PAUSE_DB = -50.0, -25.0
"""A frame is silent if its level is so much below full scale, or below loud speech (the 95th percentile of levels)."""
_PAUSE_FRAMES = 5


def frame_levels(samples_N: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Root mean squares (T,) of equal parts."""
    return np.array([np.sqrt(np.mean(np.square(part))) for part in np.array_split(samples_N, frames)], np.float32)


def silent_frames(levels_T: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames (T,) are silent."""
    pause = float(np.percentile(levels_T, 95)) * 10 ** (PAUSE_DB / 20)
    return np.asarray(levels_T < max(10 ** (SILENCE_DB / 20), pause))


def pause_frames(levels_T: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames (T,) are silent, and so are two before and two after: consonants that close the lips are shorter."""
    return np.asarray(minimum_filter1d(silent_frames(levels_T), _PAUSE_FRAMES, mode="nearest"), dtype=np.bool_)
