"""The noise schedule: the thesis's formula, and diffusers' numbers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from pydantic import ValidationError

from stages.models.schedule import ScheduleConfig, alphas_cumprod, build_scheduler


def test_defaults_are_the_betas_of_the_thesis():
    betas = np.linspace(np.sqrt(0.0015), np.sqrt(0.0205), 1000) ** 2
    scheduler = build_scheduler(ScheduleConfig())
    np.testing.assert_allclose(scheduler.betas.numpy(), betas, rtol=1e-5)
    abar = alphas_cumprod(scheduler)
    assert abar.shape == (1000,)
    assert abar.dtype is torch.float32
    np.testing.assert_allclose(abar.numpy(), np.cumprod(1 - betas), rtol=1e-4)


def test_abar_is_diffusers_own():
    reference = DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0205
    )
    assert torch.equal(alphas_cumprod(build_scheduler(ScheduleConfig())), reference.alphas_cumprod)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_every_schedule_destroys_the_signal_step_by_step(name):
    abar = alphas_cumprod(build_scheduler(ScheduleConfig(beta_schedule=name, num_train_timesteps=50)))
    assert len(abar) == 50
    assert (abar.diff() < 0).all()
    assert 0 <= abar[-1] < abar[0] < 1


def test_unknown_schedules_are_refused():
    with pytest.raises(ValidationError):
        ScheduleConfig(beta_schedule="cosine")
