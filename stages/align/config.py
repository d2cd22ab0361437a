"""What the align stage can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.face.detect import DetectorName, resolve_detector


class AlignConfig(StageConfig):
    """Settings of the align stage. ``size_px`` is the side of a crop; ``limit`` takes the first photos by path."""

    detector: DetectorName = "auto"
    size_px: int = Field(default=128, ge=16, le=2048)
    limit: int | None = Field(default=None, ge=1)
    several: Literal["largest", "central", "reject"] = "largest"
    """Which of several faces is meant: the largest, the one nearest the middle (LFW's labels), or none."""
    min_face_px: int = Field(default=48, ge=1)
    min_blur: float = Field(default=15.0, ge=0)
    """Least variance of the Laplacian of the face at 128 px: of press photos, half have 175, one in 1000 under 25."""
    colour_only: bool = False
    expression: bool = False
    """Whether each face's points, coefficients and embedding are measured too, for ``expressions.parquet``."""
    max_rejected: float = Field(default=0.5, ge=0, le=1)
    """Largest fraction that may be rejected, grey photos and labels that are no emotion aside."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)


def settle_detector(config: AlignConfig, *, fetch: bool) -> tuple[AlignConfig, str]:
    """The settings with the detector that ``auto`` comes to here, and why: a run key names what made the faces.

    ``fetch`` allows a download.
    """
    chosen, reason = resolve_detector(config.detector, fetch=fetch)
    return config.model_copy(update={"detector": chosen}), reason
