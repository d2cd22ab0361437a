"""Settings of tuning a talking face by what a lip reader sees."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from stages.common.config import StageConfig
from stages.common.lora import LoraSettings
from stages.common.training.config import LoopConfig


class LipTuningConfig(StageConfig):
    """Defaults are the thesis's (5.3), but for the low-rank update; ``lora`` None tunes all weights.

    Loss = ``lips_weight`` mean cosine distance of the reader's features + ``latent_weight`` |z0 - its estimate|^2 (a
    mean over latents). A sample is ``frames`` consecutive frames of a clip: a reader sees motion. They are noised to
    one random level, drawn for each sample, and sampled back in ``steps``. The identity frame is drawn between
    ``identity_frames`` (first and last, counted from the first of the frames).
    """

    lips_weight: float = Field(default=1.0, ge=0)
    latent_weight: float = Field(default=1.0, ge=0)
    frames: int = Field(default=8, ge=1)
    steps: int = Field(default=8, ge=1)
    identity_frames: tuple[int, int] = (-60, 60)
    validation_samples: int = Field(default=16, ge=1)
    lora: LoraSettings | None = LoraSettings()
    loop: LoopConfig = LoopConfig(steps=5000, batch_size=8, learning_rate=2e-6)
    weight_decay: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.identity_frames[0] > self.identity_frames[1]:
            raise ValueError("identity_frames must be first and last")
        return self
