"""Small clips of a mouth whose opening is the grey level of the picture, with sound that is loud where it is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import Face
from support.videos import grey_frames, write_video

FRAMES, FPS, SIDE_PX = 44, 25, 96
NOBODY = 5
"""The grey level that shows no face."""


class GreyMouthDetector:
    """One face in the middle of a picture; its mouth is as open as the picture is bright."""

    name = "dlib"

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        level = float(rgb.mean())
        if level < 2 * NOBODY:
            return []
        side = rgb.shape[0]
        landmarks = canonical_landmarks(side // 2) + side / 4
        width = np.linalg.norm(landmarks[60] - landmarks[64])
        for upper, lower in ((61, 67), (62, 66), (63, 65)):
            landmarks[upper, 1] = landmarks[60, 1] - width * opening_of(level) / 2
            landmarks[lower] = landmarks[upper] + (0, width * opening_of(level))
        return [Face((side / 4, side / 4, 3 * side / 4, 3 * side / 4), 1.0, landmarks)]


def opening_of(level: float) -> float:
    return level / 500


def draw_levels(seed: int, count: int = FRAMES) -> list[int]:
    """Openings of a mouth that speaks: every few frames it moves elsewhere."""
    random = np.random.default_rng(seed)
    steps = np.repeat(random.integers(30, 220, count // 3 + 1), 3)[:count]
    return [int(level) for level in steps]


def write_talk(
    path: Path, levels: Sequence[int], *, text: str | None = None, late: int = 0, sound: bool = True
) -> Path:
    """A clip that shows ``levels``; its sound follows them ``late`` frames later. ``text`` goes beside it."""
    random = np.random.default_rng(0)
    loudness = np.repeat(np.roll(np.array(levels) / 300, late), 16_000 // FPS)
    samples = 0.5 * loudness**2 * random.uniform(-1, 1, len(loudness))
    write_video(path, grey_frames(levels, (SIDE_PX, SIDE_PX)), samples if sound else None, fps=FPS)
    if text is not None:
        path.with_suffix(".txt").write_text(text, "utf-8")
    return path
