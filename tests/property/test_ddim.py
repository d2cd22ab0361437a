"""DDIM inversion and sampling where the answer is known: constant and linear estimates, and diffusers."""

import itertools

import pytest
import torch
from diffusers import DDIMInverseScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic import from_eps

from stages.models.process import forward_process
from stages.models.samplers import ddim_invert, ddim_sample, edit_timesteps
from stages.models.schedule import ScheduleConfig, build_scheduler

SCHEDULER = build_scheduler(ScheduleConfig())
ABAR = forward_process(ScheduleConfig()).abar_T.double()
LEVELS = st.tuples(st.integers(1, 1000), st.integers(1, 60))


def gaussian_eps(spread):
    """The exact noise estimate of data from N(0, spread^2): E[eps | z_t]."""
    return lambda z, t: (1 - ABAR[t]).sqrt() * z / (ABAR[t] * spread**2 + 1 - ABAR[t])


def gaussian(spread):
    return from_eps(gaussian_eps(spread), ABAR)


def draw(seed, shape=(2, 3, 4, 4), dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@settings(max_examples=40)
@given(LEVELS, st.integers(0, 10**6))
def test_with_a_constant_estimate_the_round_trip_is_exact(levels, seed):
    timesteps, z, eps = edit_timesteps(*levels), draw(seed), draw(seed + 1)
    noisy = ddim_invert(from_eps(lambda _z, _t: eps, ABAR), z, timesteps, ABAR)
    assert error(ddim_sample(from_eps(lambda _z, _t: eps, ABAR), noisy, timesteps, ABAR), z) < 1e-9
    # All the steps together are one step from the first to the last level.
    x0 = (z - (1 - ABAR[1]).sqrt() * eps) / ABAR[1].sqrt()
    last = ABAR[timesteps[-1]]
    assert error(noisy, last.sqrt() * x0 + (1 - last).sqrt() * eps) < 1e-9


@settings(max_examples=25)
@given(LEVELS, st.floats(0.2, 3), st.floats(-2, 2), st.integers(0, 10**6))
def test_a_linear_estimate_makes_a_linear_map(levels, spread, factor, seed):
    timesteps, eps, (a, b) = edit_timesteps(*levels), gaussian_eps(spread), draw(seed, (2, 1, 3, 4, 4))
    predict = from_eps(eps, ABAR)
    for move in (ddim_invert, ddim_sample):
        together = move(predict, a + factor * b, timesteps, ABAR)
        assert error(move(predict, a, timesteps, ABAR) + factor * move(predict, b, timesteps, ABAR), together) < 1e-9


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_inversion_converges_to_the_probability_flow(spread):
    """The flow keeps every sample at its quantile: z_t / z_1 is the ratio of the standard deviations."""
    z = draw(0)
    deviation = (ABAR * spread**2 + 1 - ABAR).sqrt()
    exact = z * deviation[500] / deviation[1]
    errors = [
        error(ddim_invert(gaussian(spread), z, edit_timesteps(500, steps), ABAR), exact) for steps in (10, 40, 160)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.012


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_the_round_trip_converges_as_steps_grow(spread):
    z = draw(1)
    errors = []
    for steps in (5, 20, 80, 320):
        timesteps = edit_timesteps(500, steps)
        noisy = ddim_invert(gaussian(spread), z, timesteps, ABAR)
        errors.append(error(ddim_sample(gaussian(spread), noisy, timesteps, ABAR), z))
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.2
    assert errors[3] < 0.02


def test_sampling_is_diffusers_ddim_with_eta_zero():
    scheduler = build_scheduler(ScheduleConfig())
    scheduler.set_timesteps(50)
    timesteps = list(range(1, 1000, 20))
    eps, z = gaussian_eps(0.7), draw(2)
    theirs = z
    for t in reversed(timesteps[1:]):
        theirs = scheduler.step(eps(theirs, t), t, theirs, eta=0.0).prev_sample
    assert error(ddim_sample(from_eps(eps, ABAR), z, timesteps, ABAR), theirs) < 1e-5


def test_inversion_is_diffusers_inverse_ddim():
    scheduler = DDIMInverseScheduler.from_config(SCHEDULER.config)
    scheduler.set_timesteps(50)
    timesteps = list(range(1, 1000, 20))
    eps, z = gaussian_eps(0.7), draw(3)
    theirs = z
    for now, after in itertools.pairwise(timesteps):
        theirs = scheduler.step(eps(theirs, now), after, theirs).prev_sample
    assert error(ddim_invert(from_eps(eps, ABAR), z, timesteps, ABAR), theirs) < 1e-5
