"""Settings of an import: the networks that a foreign checkpoint holds, in facediff's terms."""

from __future__ import annotations

from typing import Literal

from stages.common.config import StageConfig
from stages.models.denoiser import DenoiserConfig
from stages.models.first_stage import FirstStageConfig
from stages.models.schedule import ScheduleConfig

Weights = Literal["auto", "ema", "raw"]


class ConvertConfig(StageConfig):
    """Without ``denoiser`` the checkpoint is a first stage alone.

    ``scale_factor`` is what latents are multiplied by, unless the checkpoint holds its own. ``weights`` chooses between
    the averaged and the last weights; ``auto`` takes the averaged where there are some.
    """

    first_stage: FirstStageConfig = FirstStageConfig()
    denoiser: DenoiserConfig | None = None
    schedule: ScheduleConfig = ScheduleConfig()
    scale_factor: float = 1.0
    weights: Weights = "auto"
