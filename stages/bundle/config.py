"""Settings of a released model."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field, field_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion


class BundleConfig(StageConfig):
    """``recommended_guidance``: the guidance scale that `edit` takes for an emotion unless the user names one.

    ``contexts``: the released context vector of an emotion as a weighted sum of those that were trained; weights add
    up to 1, and negative ones lead away from what an emotion is confused with. Others stay as they were trained.
    """

    recommended_guidance: Mapping[str, float] = Field(default_factory=dict)
    recommended_settings: Mapping[str, int | float | str] = Field(default_factory=dict)
    """What `edit` takes unless the user gives it, by name: strength, steps, sampler, guidance."""
    contexts: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)

    @field_validator("recommended_guidance")
    @classmethod
    def _known_emotions(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        return {parse_emotion(name): scale for name, scale in value.items()}

    @field_validator("contexts")
    @classmethod
    def _whole_mixtures(cls, value: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
        for name, weights in value.items():
            if not math.isclose(sum(weights.values()), 1, abs_tol=1e-6):
                raise ValueError(f"the weights of {name} add up to {sum(weights.values()):g}, not 1")
        return {
            parse_emotion(name): {parse_emotion(part): weight for part, weight in weights.items()}
            for name, weights in value.items()
        }
