"""Settings of the classifier of noisy latents."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.noisy_classifier import NoisyClassifierConfig
from stages.models.schedule import ScheduleConfig


class ClassifierConfig(StageConfig):
    """``schedule`` is that of the denoiser to guide. ``class_balance`` as in ``SampleOrder``."""

    network: NoisyClassifierConfig = NoisyClassifierConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    loop: LoopConfig = LoopConfig(steps=100_000, batch_size=64, learning_rate=3e-4, warmup_steps=100, decay=True)
    class_balance: float = Field(default=0.5, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
