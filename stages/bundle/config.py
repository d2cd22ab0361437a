"""Settings of a released model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion


class BundleConfig(StageConfig):
    """``recommended_guidance``: the guidance scale that `edit` takes for an emotion unless the user names one."""

    recommended_guidance: Mapping[str, float] = Field(default_factory=dict)

    @field_validator("recommended_guidance")
    @classmethod
    def _known_emotions(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        return {parse_emotion(name): scale for name, scale in value.items()}
