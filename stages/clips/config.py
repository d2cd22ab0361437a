"""What the clips stage can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.clips.sources import Clips
from stages.common.config import StageConfig
from stages.common.face.detect import DetectorName, resolve_detector

_USUAL_FPS = 25.0


class ClipsConfig(StageConfig):
    """Settings of the clips stage. ``fps`` is the data set's own where there is none; ``limit`` takes the first."""

    detector: DetectorName = "auto"
    fps: float | None = Field(default=None, ge=1, le=120)
    size_px: int = Field(default=128, ge=16, le=1024)
    limit: int | None = Field(default=None, ge=1)
    search_side_px: int = Field(default=216, ge=64)
    """Shorter side of the picture in which faces are searched: MEAD's 1920x1080 becomes the thesis's 384x216."""
    margin_px: float = Field(default=10, ge=0)
    """Between the landmarks and the edge of the box, in pixels of that picture."""
    min_fan_score: float = Field(default=0.8, ge=0, le=1)
    several: Literal["largest", "reject"] = "reject"
    """What becomes of a clip with a second face at least half as large as the first."""
    min_face_px: float = Field(default=48, ge=1)
    min_found: float = Field(default=0.8, gt=0, le=1)
    """Least fraction of pictures in which the face is found; landmarks of the others are interpolated."""
    smoothing_s: float = Field(default=0.03, ge=0)
    """Standard deviation of the Gaussian that smooths landmarks over time."""
    min_similarity: float = Field(default=0.5, ge=-1, le=1)
    """Least correlation of consecutive pictures, shrunk and grey; at a shot cut it is lower."""
    min_s: float = Field(default=0.5, ge=0)
    max_s: float = Field(default=60, gt=0)
    max_gap_s: float = Field(default=0.25, gt=0)
    """Longest time without a new picture."""
    max_mismatch_s: float = Field(default=0.25, ge=0)
    """How much earlier or later the sound may begin or end than the pictures."""
    min_level_db: float = -60
    """Least level of the sound, relative to full scale."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    clips_per_shard: int = Field(default=32, ge=1)
    max_rejected: float = Field(default=0.5, ge=0, le=1)


def settle(config: ClipsConfig, clips: Clips, *, fetch: bool) -> tuple[ClipsConfig, str]:
    """The settings with what ``auto`` and the data set's rate come to here, and why: a run key names what was used."""
    chosen, reason = resolve_detector(config.detector, fetch=fetch)
    return config.model_copy(update={"detector": chosen, "fps": config.fps or clips.fps or _USUAL_FPS}), reason
