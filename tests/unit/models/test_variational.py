"""The bound and the learned variance, against diffusers, torch's distributions, and by hand."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from stages.models.process import Estimate, forward_process
from stages.models.schedule import ScheduleConfig
from stages.models.variational import ReverseProcess

TIMESTEPS = torch.tensor([1, 10, 500, 999])


@pytest.fixture
def process():
    return forward_process(ScheduleConfig())


@pytest.fixture
def latents():
    return torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def scheduler(variance_type):
    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.0015,
        beta_end=0.0205,
        variance_type=variance_type,
        prediction_type="sample",
        clip_sample=False,
    )


def test_the_mixed_variance_is_diffusers_learned_range(process, latents):
    spread = latents[0].clamp(-1, 1)
    ours = ReverseProcess(process).log_variance((spread + 1) / 2, TIMESTEPS)
    reference = scheduler("learned_range")
    theirs = [
        reference._get_variance(t, predicted_variance=spread[i : i + 1], variance_type="learned_range")
        for i, t in enumerate(TIMESTEPS.tolist())
    ]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=1e-4, atol=1e-4)


def test_the_posterior_mean_is_where_a_step_of_diffusers_goes(process, latents, monkeypatch):
    z0, z_t, _ = latents
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda shape, **_: torch.zeros(shape))
    reference = scheduler("fixed_small")
    ours = ReverseProcess(process).mean(z0, z_t, TIMESTEPS)
    for i, t in enumerate(TIMESTEPS.tolist()):
        theirs = reference.step(z0[i : i + 1], t, z_t[i : i + 1]).prev_sample
        torch.testing.assert_close(ours[i : i + 1], theirs, rtol=1e-4, atol=1e-5)


def test_a_perfect_estimate_costs_nothing_but_the_last_step(process, latents):
    z0, noise, _ = latents
    z_t = process.add_noise(z0, noise, TIMESTEPS)
    terms = ReverseProcess(process).bound_terms(Estimate(z0, noise), z0, z_t, TIMESTEPS)
    torch.testing.assert_close(terms, torch.zeros(4), rtol=0, atol=1e-6)


def test_a_term_is_the_divergence_of_the_two_gaussians_in_bits(process, latents):
    z0, noise, wrong = latents
    z_t = process.add_noise(z0, noise, TIMESTEPS)
    reverse = ReverseProcess(process)
    fraction = torch.full_like(z0, 0.3)
    terms = reverse.bound_terms(Estimate(wrong, noise, fraction), z0, z_t, TIMESTEPS)
    true, said = (
        torch.distributions.Normal(
            reverse.mean(z, z_t, TIMESTEPS), (0.5 * reverse.log_variance(f, TIMESTEPS)).exp().expand_as(z0)
        )
        for z, f in ((z0, None), (wrong, fraction))
    )
    expected = torch.distributions.kl_divergence(true, said).flatten(1).mean(dim=1) / math.log(2)
    torch.testing.assert_close(terms, expected, rtol=1e-3, atol=1e-5)


def test_the_first_step_of_pictures_is_a_probability_over_their_256_values(process):
    values = torch.linspace(-1, 1, 256).view(256, 1, 1, 1)
    first = torch.zeros(256, dtype=torch.long)
    reverse = ReverseProcess(process, bin_width=2 / 255)
    said = Estimate(torch.full_like(values, 0.37), torch.zeros_like(values), torch.ones_like(values))
    bits = reverse.bound_terms(said, values, torch.full_like(values, 0.36), first)
    assert torch.exp2(-bits).sum().item() == pytest.approx(1, abs=1e-4)


def test_the_first_step_of_latents_is_a_density(process, latents):
    z0, noise, _ = latents
    first = torch.zeros(4, dtype=torch.long)
    z_t = process.add_noise(z0, noise, first)
    reverse = ReverseProcess(process)
    bits = reverse.bound_terms(Estimate(z0 + 0.01, noise), z0, z_t, first)
    spread = (0.5 * reverse.log_variance(None, first)).exp()
    gaussian = torch.distributions.Normal(reverse.mean(z0 + 0.01, z_t, first), spread.expand_as(z0))
    torch.testing.assert_close(bits, -gaussian.log_prob(z0).flatten(1).mean(dim=1) / math.log(2))


def test_a_network_with_twice_the_channels_says_where_the_variance_lies(process, latents):
    z0, noise, spread = latents
    z_t = process.add_noise(z0, noise, TIMESTEPS)
    estimate = process.estimate(torch.cat([noise, spread], dim=1), z_t, TIMESTEPS)
    torch.testing.assert_close(estimate.variance_fraction, (spread + 1) / 2)
    torch.testing.assert_close(estimate.x0, process.estimate(noise, z_t, TIMESTEPS).x0)
    assert process.estimate(noise, z_t, TIMESTEPS).variance_fraction is None
