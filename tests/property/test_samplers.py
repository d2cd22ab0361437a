"""Solvers against the exact probability flow of Gaussian data, and against diffusers stepped by hand."""

import itertools
from functools import partial

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, PNDMScheduler, UniPCMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic import from_eps

from stages.models.process import forward_process
from stages.models.samplers import (
    ROUND_TRIPS,
    SampleNoise,
    ddim_invert,
    ddim_invert_implicit,
    ddim_sample,
    dpmpp_2m_invert,
    dpmpp_2m_sample,
    edit_timesteps,
    generation_timesteps,
    log_snr_timesteps,
    plms_sample,
    sample,
    sampler_timesteps,
    thesis_timesteps,
    unipc_sample,
)
from stages.models.schedule import ScheduleConfig

CONFIG = ScheduleConfig()
ABAR = forward_process(CONFIG).abar_T.double()
SHARED = {"beta_start": CONFIG.beta_start, "beta_end": CONFIG.beta_end, "beta_schedule": CONFIG.beta_schedule}
EVEN = [0, *range(1, 1000, 20)]
"""The levels of diffusers' "leading" spacing with an offset of 1, and its last level."""

NUMPY_2 = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""diffusers' set_timesteps makes arrays in a way that NumPy 2 warns of."""


def gaussian_eps(z, t, spread=0.7):
    """E[eps | z_t] of data from N(0, spread^2)."""
    return (1 - ABAR[t]).sqrt() * z / (ABAR[t] * spread**2 + 1 - ABAR[t])


GAUSSIAN = from_eps(gaussian_eps, ABAR)


def deviation(t, spread=0.7):
    return (ABAR[t] * spread**2 + 1 - ABAR[t]).sqrt()


def draw(seed, shape=(2, 3, 4, 4)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def counted(predict):
    asked = []

    def wrapped(z, t):
        asked.append(t)
        return predict(z, t)

    return wrapped, asked


@pytest.mark.parametrize(("name", "share"), [("dpmpp-2m", 0.3), ("unipc", 0.1), ("plms", 0.3)])
@pytest.mark.parametrize("steps", [20, 40])
def test_higher_order_is_nearer_to_the_flow_at_the_same_evaluations(name, share, steps):
    timesteps, z = sampler_timesteps(name, steps, ABAR), draw(0)
    exact = z * deviation(0) / deviation(999)
    predict, asked = counted(GAUSSIAN)
    found = sample(name, predict, z, timesteps, ABAR)
    assert len(asked) == len(timesteps) - 1 + (name == "plms")
    reference = ddim_sample(GAUSSIAN, z, generation_timesteps(len(asked)), ABAR)
    assert error(found, exact) < share * error(reference, exact)


@given(st.integers(1, 1000), st.integers(1, 300))
def test_levels_in_log_snr_ascend_from_one_to_the_strength(strength, steps):
    levels = log_snr_timesteps(strength, steps, ABAR)
    assert (levels[0], levels[-1]) == (1, min(strength, 999))
    assert all(a < b for a, b in itertools.pairwise(levels))
    assert len(levels) <= steps + 1


def test_levels_in_log_snr_are_even_in_it():
    lambda_T = 0.5 * torch.log(ABAR / (1 - ABAR))
    gaps = -lambda_T[log_snr_timesteps(500, 10, ABAR)].diff()
    assert len(gaps) == 10
    assert gaps.max() < 1.6 * gaps.min()


def order_of(solver, ends):
    """The order seen when steps even in lambda become a quarter: half the log2 of what that gains."""
    z, (clean, noisy) = draw(1), ends
    exact = z * deviation(clean) / deviation(noisy)
    lambda_T = 0.5 * torch.log(ABAR / (1 - ABAR))

    def lost(steps):
        wanted = torch.linspace(lambda_T[clean], lambda_T[noisy], steps + 1, dtype=torch.float64)
        levels = sorted(int((lambda_T - value).abs().argmin()) for value in wanted)
        return error(solver(GAUSSIAN, z, levels, ABAR), exact)

    return torch.tensor(lost(10) / lost(40)).log2().item() / 2


@pytest.mark.parametrize(("solver", "least", "most"), [(ddim_sample, 0.8, 1.3), (dpmpp_2m_sample, 1.6, 3.0)])
def test_orders_of_convergence(solver, least, most):
    assert least < order_of(solver, (150, 800)) < most


def test_the_second_order_inversion_is_nearer_to_the_flow_than_ddims():
    z, timesteps = draw(2), edit_timesteps(500, 20)
    exact = z * deviation(500) / deviation(1)
    second = error(dpmpp_2m_invert(GAUSSIAN, z, timesteps, ABAR), exact)
    assert second < 0.5 * error(ddim_invert(GAUSSIAN, z, timesteps, ABAR), exact)


@settings(max_examples=20)
@given(st.sampled_from(sorted(ROUND_TRIPS)), st.integers(20, 60), st.integers(0, 10**6))
def test_round_trips_come_back(name, steps, seed):
    way, z = ROUND_TRIPS[name], draw(seed)
    timesteps = way.timesteps(500, steps, ABAR)
    back = way.sample(GAUSSIAN, way.invert(GAUSSIAN, z, timesteps, ABAR), timesteps, ABAR)
    assert error(back, z) < {"ddim": 0.2, "thesis": 0.2, "dpmpp-2m": 0.05, "exact": 0.005}[name]


def test_the_second_order_round_trip_with_20_evaluations_beats_ddim_with_40():
    def lost(way, steps):
        z, timesteps = draw(3), way.timesteps(500, steps, ABAR)
        return error(way.sample(GAUSSIAN, way.invert(GAUSSIAN, z, timesteps, ABAR), timesteps, ABAR), z)

    assert lost(ROUND_TRIPS["dpmpp-2m"], 20) < lost(ROUND_TRIPS["ddim"], 40)


def test_more_iterations_bring_the_round_trip_to_the_exact_one():
    timesteps, z = edit_timesteps(500, 20), draw(4)
    errors = []
    for iterations in (1, 2, 4, 8, 32):
        noisy = ddim_invert_implicit(GAUSSIAN, z, timesteps, ABAR, iterations=iterations)
        errors.append(error(ddim_sample(GAUSSIAN, noisy, timesteps, ABAR), z))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9


def test_the_thesis_asks_at_the_arriving_level_with_the_latents_of_the_one_before():
    levels, z = thesis_timesteps(500, 6), draw(5)
    assert levels == [0, 1, 100, 200, 300, 400, 500]
    predict, asked = counted(GAUSSIAN)
    found = ROUND_TRIPS["thesis"].invert(predict, z, levels, ABAR)
    assert asked == levels[1:]
    for now, after in itertools.pairwise(levels):
        eps = gaussian_eps(z, after)
        x0 = (z - (1 - ABAR[now]).sqrt() * eps) / ABAR[now].sqrt()
        z = ABAR[after].sqrt() * x0 + (1 - ABAR[after]).sqrt() * eps
    assert error(found, z) < 1e-12


def test_generation_levels_are_the_thesis_ones_at_500_steps():
    assert generation_timesteps(500) == [0, *range(1, 1000, 2)]
    assert generation_timesteps(1) == [0, 999]
    assert generation_timesteps(3) == [0, 1, 500, 999]
    for steps in (0, 1000):
        with pytest.raises(ValueError, match=r"1\.\.999"):
            generation_timesteps(steps)


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_ancestral_samples_have_the_data_deviation(name):
    """From pure noise over all levels, the samples' deviation is that of the data at level 0."""
    z, random = draw(6, (2000, 1, 2, 2)), torch.Generator().manual_seed(1)
    noise = partial(torch.randn, z.shape, generator=random, dtype=torch.float64)
    found = sample(name, GAUSSIAN, z, generation_timesteps(999), ABAR, eta=1.0, noise=noise)
    assert abs(found.std().item() / deviation(0).item() - 1) < 0.02
    assert abs(found.mean().item()) < 0.02


def test_eta_one_over_all_levels_is_diffusers_ddpm():
    scheduler = DDPMScheduler(**SHARED, clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(1000)
    z, drawn = draw(7), []

    def noise():
        drawn.append(draw(100 + len(drawn)))
        return drawn[-1]

    timesteps = list(range(300, 341))
    found = ddim_sample(GAUSSIAN, z, timesteps, ABAR, eta=1.0, noise=noise)
    theirs = z
    for t, added in zip(range(340, 300, -1), drawn, strict=True):
        mean = scheduler.step(
            gaussian_eps(theirs, t), t, theirs, generator=torch.Generator().manual_seed(0)
        ).prev_sample
        taken = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        theirs = mean + scheduler._get_variance(t).sqrt() * (added - taken)
    assert error(found, theirs) < 1e-5


def test_plms_is_diffusers_pndm_without_runge_kutta():
    scheduler = PNDMScheduler(**SHARED, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(50)
    z = theirs = draw(8)
    for t in scheduler.timesteps.tolist():
        theirs = scheduler.step(gaussian_eps(theirs, t), t, theirs).prev_sample
    assert error(plms_sample(GAUSSIAN, z, EVEN, ABAR), theirs) < 1e-5


@NUMPY_2
def test_2m_is_diffusers_dpm_solver():
    scheduler = DPMSolverMultistepScheduler(**SHARED, final_sigmas_type="sigma_min", lower_order_final=False)
    scheduler.set_timesteps(timesteps=EVEN[:0:-1])
    z = theirs = draw(9)
    for t in scheduler.timesteps.tolist():
        theirs = scheduler.step(gaussian_eps(theirs, t), t, theirs).prev_sample
    assert error(dpmpp_2m_sample(GAUSSIAN, z, EVEN, ABAR), theirs) < 1e-4


@NUMPY_2
def test_unipc_is_diffusers_own_to_the_same_last_level():
    scheduler = UniPCMultistepScheduler(
        **SHARED, timestep_spacing="leading", steps_offset=1, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(50)
    levels = [0, *reversed(scheduler.timesteps.tolist())]
    z = theirs = draw(10)
    for t in scheduler.timesteps.tolist():
        theirs = scheduler.step(gaussian_eps(theirs, t), t, theirs).prev_sample
    assert error(unipc_sample(GAUSSIAN, z, levels, ABAR), theirs) < 1e-4


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True))
def test_a_samples_noise_is_its_own_in_any_batch(seed, numbers):
    together = SampleNoise(seed, numbers, (1, 2, 2))
    first, second = together(), together()
    for i, number in enumerate(numbers):
        alone = SampleNoise(seed, [number], (1, 2, 2))
        assert torch.equal(alone()[0], first[i])
        assert torch.equal(alone()[0], second[i])
    assert not torch.equal(first, second)
    assert not torch.equal(SampleNoise(seed + 1, numbers, (1, 2, 2))(), first)


def test_noise_is_needed_for_eta():
    with pytest.raises(ValueError, match="needs noise"):
        ddim_sample(GAUSSIAN, draw(0), [0, 1], ABAR, eta=0.5)


def test_a_schedule_without_any_signal_at_its_end_stays_finite():
    config = ScheduleConfig(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    process = forward_process(config)
    z = draw(11).float()

    def predict(z, t):
        return process.estimate(0.1 * z, z, torch.full((len(z),), t))

    for name in ("ddim", "dpmpp-2m", "unipc"):
        assert sample(name, predict, z, sampler_timesteps(name, 10, process.abar_T), process.abar_T).isfinite().all(), (
            name
        )
