"""Settings of tuning a denoiser towards one expression."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion
from stages.common.lora import LoraSettings
from stages.common.training.config import LoopConfig


class FinetuneConfig(StageConfig):
    """Defaults are the thesis's (4.5.2), but for the low-rank update; ``lora`` None tunes all weights.

    Loss = ``guide_weight`` guide + ``identity_weight`` identity + ``pixel_weight`` |edit - photo|^2 (a mean over
    pixels). ``guide`` "clip" is the directional loss, "classifier" the model's own emotion classifier; ``identity``
    names the network that tells faces apart.

    ``per_class`` pictures of each class but the target's make a pool, of which ``samples`` are tuned on. They are
    inverted to level ``strength`` (1 is clean and has no step back) in ``invert_steps`` under their own class, and
    sampled back in ``steps``.
    ``guidance`` None takes the model's own for the target; ``guided`` as in an edit.
    """

    target: str = "happy"
    guide: Literal["clip", "classifier"] = "clip"
    identity: Literal["arcface", "squeezenet", "none"] = "arcface"
    guide_weight: float = Field(default=2.0, ge=0)
    identity_weight: float = Field(default=1.0, ge=0)
    pixel_weight: float = Field(default=1.0, ge=0)
    guidance: float | None = Field(default=None, ge=0, le=50)
    guided: Literal["both", "back"] = "both"
    strength: int = Field(default=500, ge=2, le=1000)
    invert_steps: int = Field(default=40, ge=1)
    steps: int = Field(default=6, ge=1)
    per_class: int = Field(default=500, ge=1)
    samples: int = Field(default=1000, ge=1)
    validation_samples: int = Field(default=64, ge=1)
    lora: LoraSettings | None = LoraSettings()
    loop: LoopConfig = LoopConfig(steps=5000, batch_size=4, learning_rate=2e-6)
    weight_decay: float = Field(default=0.0, ge=0)

    @field_validator("target")
    @classmethod
    def _canonical_target(cls, value: str) -> str:
        return parse_emotion(value)

    @model_validator(mode="after")
    def _check_steps(self) -> FinetuneConfig:
        if max(self.steps, self.invert_steps) > self.strength:
            raise ValueError("there cannot be more steps than the strength")
        return self
