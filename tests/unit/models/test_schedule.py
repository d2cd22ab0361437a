"""The noise schedule: the thesis's formula, and diffusers' numbers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from pydantic import ValidationError

from stages.models.process import forward_process
from stages.models.schedule import ScheduleConfig, build_scheduler


def test_defaults_are_the_betas_of_the_thesis():
    betas = np.linspace(np.sqrt(0.0015), np.sqrt(0.0205), 1000) ** 2
    scheduler = build_scheduler(ScheduleConfig())
    np.testing.assert_allclose(scheduler.betas.numpy(), betas, rtol=1e-5)
    abar = forward_process(ScheduleConfig()).abar_T
    assert abar.shape == (1000,)
    assert abar.dtype is torch.float32
    np.testing.assert_allclose(abar.numpy(), np.cumprod(1 - betas), rtol=1e-4)


def test_abar_is_diffusers_own():
    reference = DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0205
    )
    assert torch.equal(forward_process(ScheduleConfig()).abar_T, reference.alphas_cumprod)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_every_schedule_destroys_the_signal_step_by_step(name):
    abar = forward_process(ScheduleConfig(beta_schedule=name, num_train_timesteps=50)).abar_T
    assert len(abar) == 50
    assert (abar.diff() < 0).all()
    assert 0 <= abar[-1] < abar[0] < 1


def test_unknown_schedules_are_refused():
    with pytest.raises(ValidationError):
        ScheduleConfig(beta_schedule="cosine")


def test_with_zero_terminal_snr_nothing_is_left_at_the_end():
    abar = forward_process(ScheduleConfig(rescale_betas_zero_snr=True, prediction_type="v_prediction")).abar_T
    assert abar[-1] == 0
    assert abar[-2] > 0
    with pytest.raises(ValidationError, match="v_prediction"):
        ScheduleConfig(rescale_betas_zero_snr=True)
