"""What an interpolation is: every setting that changes a picture."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion
from stages.models.sampler_names import RoundTripName


class InterpolateConfig(StageConfig):
    """``positions`` faces from the one to the other, by way of noise level ``strength`` (thesis 4.3.5).

    ``emotion`` labels both ends; "auto" gives each the one that it has. Each of ``etas`` makes a row: above 0, DDIM
    adds noise on the way back. ``fps`` is the videos'.
    """

    positions: int = Field(default=10, ge=2, le=1000)
    strength: int = Field(default=500, ge=1, le=1000)
    steps: int = Field(default=20, ge=1, le=1000)
    emotion: str = "auto"
    sampler: RoundTripName = "ddim"
    etas: tuple[float, ...] = Field(default=(0.0, 1.0), min_length=1)
    fps: int = Field(default=5, ge=1, le=60)
    detector: Literal["dlib", "fan"] = "dlib"

    @field_validator("emotion")
    @classmethod
    def _canonical_emotion(cls, value: str) -> str:
        return value if value == "auto" else parse_emotion(value)

    @model_validator(mode="after")
    def _check_combinations(self) -> InterpolateConfig:
        if self.steps > self.strength:
            raise ValueError(f"{self.steps} steps need a strength of {self.steps} or more")
        if len(set(self.etas)) != len(self.etas) or not all(0 <= eta <= 1 for eta in self.etas):
            raise ValueError("etas must be different numbers from 0 to 1")
        return self
