"""The forward process and the three things that a network may predict, against diffusers and by hand."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from stages.models.process import ForwardProcess, forward_process
from stages.models.schedule import ScheduleConfig

PREDICTIONS = ["epsilon", "sample", "v_prediction"]
TIMESTEPS = torch.tensor([0, 10, 500, 999])


@pytest.fixture
def latents():
    return torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def reference():
    return DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0205)


def test_noise_is_mixed_by_the_cumulative_product_of_each_sample():
    z0, noise = torch.full((3, 1, 2, 2), 2.0), torch.full((3, 1, 2, 2), -1.0)
    noisy = ForwardProcess(torch.tensor([1.0, 0.0, 0.64])).add_noise(z0, noise, torch.arange(3))
    torch.testing.assert_close(noisy[:, 0, 0, 0], torch.tensor([2.0, -1.0, 0.8 * 2 - 0.6]))


def test_noise_and_velocity_are_diffusers_own(latents, reference):
    z0, noise = latents
    process = forward_process(ScheduleConfig(prediction_type="v_prediction"))
    torch.testing.assert_close(
        process.add_noise(z0, noise, TIMESTEPS), reference.add_noise(z0, noise, TIMESTEPS), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        process.target(z0, noise, TIMESTEPS), reference.get_velocity(z0, noise, TIMESTEPS), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_a_perfect_network_finds_both_unknowns(latents, prediction_type):
    z0, noise = latents.double()
    process = ForwardProcess(forward_process(ScheduleConfig()).abar_T.double(), prediction_type)
    z_t = process.add_noise(z0, noise, TIMESTEPS)
    x0, eps, _ = process.estimate(process.target(z0, noise, TIMESTEPS), z_t, TIMESTEPS)
    torch.testing.assert_close(x0, z0)
    torch.testing.assert_close(eps, noise)


def test_v_says_what_pure_noise_hides(latents):
    z0, noise = latents
    process = forward_process(ScheduleConfig(prediction_type="v_prediction", rescale_betas_zero_snr=True))
    last = torch.full((4,), 999)
    z_t = process.add_noise(z0, noise, last)
    assert torch.equal(z_t, noise)
    torch.testing.assert_close(process.estimate(process.target(z0, noise, last), z_t, last).x0, z0)
    assert process.min_snr_weight(last, 5.0).eq(0).all()


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_min_snr_weighs_the_error_of_x0_alike_whatever_is_predicted(latents, reference, prediction_type):
    z0, noise = latents.double()
    process = ForwardProcess(forward_process(ScheduleConfig()).abar_T.double(), prediction_type)
    z_t, right = process.add_noise(z0, noise, TIMESTEPS), process.target(z0, noise, TIMESTEPS)
    wrong = right + 0.01
    error_B = (process.estimate(wrong, z_t, TIMESTEPS).x0 - z0).square().mean(dim=(1, 2, 3))
    weighted_B = process.min_snr_weight(TIMESTEPS, 5.0) * (wrong - right).square().mean(dim=(1, 2, 3))
    snr_B = compute_snr(reference, TIMESTEPS).double()
    torch.testing.assert_close(weighted_B, snr_B.clamp(max=5.0) * error_B, rtol=1e-3, atol=0)
