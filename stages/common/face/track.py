"""One face through a clip: its fixed square box, and landmarks without gaps or jitter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stages.common.face.detect import Face


@dataclass(frozen=True, slots=True)
class SquareBox:
    """A square in pixels whose centres are whole: its left and top edges and its side."""

    left: float
    top: float
    side: float

    def matrix(self, size_px: int) -> NDArray[np.float64]:
        """The (2, 3) transform that maps the box onto a crop of ``size_px``, edge onto edge."""
        scale = size_px / self.side
        return np.array([[scale, 0, -self.left * scale - 0.5], [0, scale, -self.top * scale - 0.5]])

    def enlarged(self, factor: float) -> SquareBox:
        """The box with the same middle and ``factor`` times the side."""
        grown = (factor - 1) * self.side / 2
        return SquareBox(self.left - grown, self.top - grown, self.side * factor)


def square_box(landmarks: NDArray[np.float64], margin_px: float) -> SquareBox:
    """The square about the middle of the landmarks (L, 2) that holds them with a margin on the longer side."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float((high - low).max()) + 2 * margin_px
    left, top = (low + high - side) / 2
    return SquareBox(float(left), float(top), side)


def follow_face(faces: Sequence[Face], last_xy: NDArray[np.float64], reach_px: float) -> Face | None:
    """The face whose landmarks' mean is nearest to ``last_xy``, if it is within ``reach_px``."""
    near = min(faces, key=lambda face: _distance(face, last_xy), default=None)
    return near if near is not None and _distance(near, last_xy) <= reach_px else None


def _distance(face: Face, xy: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(face.landmarks.mean(axis=0) - xy))


def fill_gaps(found: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Landmarks (T, L, 2), linear in time where there are none; before the first and after the last they stay.

    Raises ``ValueError`` when there are none at all.
    """
    known = [number for number, landmarks in enumerate(found) if landmarks is not None]
    if not known:
        raise ValueError("no frame has landmarks")
    values = np.stack([landmarks for landmarks in found if landmarks is not None])
    times = np.clip(np.arange(len(found)), known[0], known[-1])
    after = np.searchsorted(known, times)
    before = np.maximum(after - (np.asarray(known)[after] > times), 0)
    span = np.maximum(np.asarray(known)[after] - np.asarray(known)[before], 1)
    weight = ((times - np.asarray(known)[before]) / span)[:, None, None]
    return np.asarray(values[before] * (1 - weight) + values[after] * weight)


def smooth_landmarks(landmarks_TL2: NDArray[np.float64], deviation_frames: float) -> NDArray[np.float64]:
    """A Gaussian mean over time; the ends are repeated. No smoothing with a deviation of 0."""
    if deviation_frames == 0:
        return landmarks_TL2
    return np.asarray(gaussian_filter1d(landmarks_TL2, deviation_frames, axis=0, mode="nearest"))
