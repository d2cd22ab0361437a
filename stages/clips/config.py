"""What the clips stage can be told."""

from __future__ import annotations

from pydantic import Field

from stages.clips.sources import Clips
from stages.common.face.clip_tracker import TrackingConfig
from stages.common.face.detect import DetectorName, resolve_detector

_USUAL_FPS = 25.0


class ClipsConfig(TrackingConfig):
    """Settings of the clips stage. ``fps`` is the data set's own where there is none; ``limit`` takes the first."""

    detector: DetectorName = "auto"
    fps: float | None = Field(default=None, ge=1, le=120)
    limit: int | None = Field(default=None, ge=1)
    max_mismatch_s: float = Field(default=0.25, ge=0)
    """How much earlier or later the sound may begin or end than the pictures."""
    min_level_db: float = -60
    """Least level of the sound, relative to full scale."""
    clips_per_shard: int = Field(default=32, ge=1)
    max_rejected: float = Field(default=0.5, ge=0, le=1)


def settle(config: ClipsConfig, clips: Clips, *, fetch: bool) -> tuple[ClipsConfig, str]:
    """The settings with what ``auto`` and the data set's rate come to here, and why: a run key names what was used."""
    chosen, reason = resolve_detector(config.detector, fetch=fetch)
    return config.model_copy(update={"detector": chosen, "fps": config.fps or clips.fps or _USUAL_FPS}), reason
