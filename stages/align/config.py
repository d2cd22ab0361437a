"""What the align stage can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.face.detect import DetectorName


class AlignConfig(StageConfig):
    """Settings of the align stage. ``size_px`` is the side of the square crops; ``limit`` takes the first photos in order of path."""

    detector: DetectorName = "auto"
    size_px: int = Field(default=128, ge=16, le=2048)
    limit: int | None = Field(default=None, ge=1)
    several: Literal["largest", "central", "reject"] = "largest"
    """Which of several faces is meant: the largest, the one nearest the middle (LFW's labels), or none."""
    min_face_px: int = Field(default=48, ge=1)
    min_blur: float = Field(default=15.0, ge=0)
    """Least variance of the Laplacian of the face at 128 px: press photos reach 175 in the median, one in a thousand fails 25."""
    colour_only: bool = False
    max_rejected: float = Field(default=0.5, ge=0, le=1)
    """Largest fraction that may be rejected, not counting what was asked for (grey photos, labels that are no emotion)."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
