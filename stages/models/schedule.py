"""The noise schedule: betas of the forward process and their cumulative product (DDPM, Ho et al. 2020)."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import DDIMScheduler
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class ScheduleConfig(BaseModel):
    """Defaults are the thesis's: betas = linspace(sqrt(0.0015), sqrt(0.0205), 1000)^2, diffusers' scaled_linear."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_train_timesteps: int = Field(default=1000, ge=2)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    beta_start: float = 0.0015
    beta_end: float = 0.0205


def build_scheduler(config: ScheduleConfig) -> DDIMScheduler:
    """diffusers' scheduler of this schedule: the one that computes abar, and the file that ships with a model."""
    return DDIMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_schedule=config.beta_schedule,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def alphas_cumprod(scheduler: DDIMScheduler) -> Tensor:
    """abar_t for t = 0 .. T-1, float32 (T,)."""
    abar: Tensor = scheduler.alphas_cumprod
    return abar.to(torch.float32)
