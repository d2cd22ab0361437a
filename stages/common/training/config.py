"""Settings of the loop that all models share."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig


class LoopConfig(StageConfig):
    """How long and how fast to train. The rate rises over ``warmup_steps`` and, with ``decay``, falls as a cosine.

    A step takes ``batch_size`` samples on all processes together; each passes at most ``micro_batch_size`` of them at
    once through the network and adds up the gradients. fp16 needs CUDA. ``select`` says which weights the run writes:
    those of the last step, or those of the best validation. ``keep`` checkpoints stay while the run lasts.
    """

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    decay: bool = False
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    gradient_clip: float | None = Field(default=None, gt=0)
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    keep: int = Field(default=2, ge=1)
    select: Literal["last", "best"] = "last"


def learning_rate_at(step: int, config: LoopConfig) -> float:
    """The rate of step ``step`` (from 0): linear warm-up times cosine decay."""
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * step / config.steps)) if config.decay else 1.0
    return config.learning_rate * warm * cosine
