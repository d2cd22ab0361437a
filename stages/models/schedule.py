"""The noise schedule: betas of the forward process and their cumulative product (DDPM, Ho et al. 2020)."""

from __future__ import annotations

from typing import Literal, Self

from diffusers import DDIMScheduler
from pydantic import BaseModel, ConfigDict, Field, model_validator

PredictionType = Literal["epsilon", "sample", "v_prediction"]


class ScheduleConfig(BaseModel):
    """Defaults are the thesis's: betas = linspace(sqrt(0.0015), sqrt(0.0205), 1000)^2, diffusers' scaled_linear.

    ``squaredcos_cap_v2`` is the cosine schedule (Nichol and Dhariwal 2021). ``rescale_betas_zero_snr`` lets the last
    step hold no signal at all (Lin et al. 2023), about which a network that predicts eps can say nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_train_timesteps: int = Field(default=1000, ge=2)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    beta_start: float = 0.0015
    beta_end: float = 0.0205
    prediction_type: PredictionType = "epsilon"
    rescale_betas_zero_snr: bool = False

    @model_validator(mode="after")
    def _can_predict_at_the_last_step(self) -> Self:
        if self.rescale_betas_zero_snr and self.prediction_type == "epsilon":
            raise ValueError("rescale_betas_zero_snr needs prediction_type v_prediction or sample")
        return self


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
        prediction_type=config.prediction_type,
        rescale_betas_zero_snr=config.rescale_betas_zero_snr,
    )
