"""DDIM: which levels are visited, and what one step does."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.analytic import from_eps

from stages.models.process import Estimate
from stages.models.samplers import ddim_invert, ddim_move, ddim_sample, edit_timesteps, edit_timesteps_of_each

ABAR = torch.linspace(0.99, 0.01, 1000, dtype=torch.float64)


def test_levels_run_evenly_from_one_to_the_strength():
    levels = edit_timesteps(500, 40)
    assert len(levels) == 41
    assert (levels[0], levels[-1]) == (1, 500)
    assert {b - a for a, b in itertools.pairwise(levels)} <= {11, 12, 13}


@pytest.mark.parametrize(
    ("strength", "steps", "levels"),
    [
        (5, 40, [1, 2, 3, 4, 5]),
        (4, 2, [1, 2, 4]),
        (1, 1, [1]),
        (1, 10, [1]),
        (1000, 1, [1, 999]),
        (999, 1, [1, 999]),
    ],
)
def test_levels_by_hand(strength, steps, levels):
    assert edit_timesteps(strength, steps) == levels


@given(st.integers(1, 1000), st.integers(1, 1200))
def test_levels_always_ascend_from_one_to_the_strength(strength, steps):
    levels = edit_timesteps(strength, steps)
    assert levels[0] == 1
    assert levels[-1] == min(strength, 999)
    assert all(a < b for a, b in itertools.pairwise(levels))
    assert len(levels) <= steps + 1
    if 2 * steps <= min(strength, 999):
        assert len(levels) == steps + 1


@pytest.mark.parametrize(("strength", "steps"), [(0, 10), (-1, 10), (1001, 10), (500, 0), (500, -1)])
def test_impossible_levels_are_errors(strength, steps):
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        edit_timesteps(strength, steps)


def test_one_step_by_hand():
    moved = ddim_move(Estimate(x0=torch.tensor([2.0]), eps=torch.tensor([0.5])), torch.tensor(0.36))
    torch.testing.assert_close(moved, torch.tensor([0.6 * 2.0 + 0.8 * 0.5]))


def test_a_step_to_the_same_level_is_none():
    z, eps = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(ddim_move(from_eps(lambda _z, _t: eps, ABAR)(z, 7), ABAR[7]), z)


def test_the_network_is_asked_once_a_step_at_the_level_where_the_latents_are():
    asked = []

    def predict_eps(z, t):
        asked.append(t)
        return torch.zeros_like(z)

    z = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    noisy = ddim_invert(from_eps(predict_eps, ABAR), z, [1, 5, 9], ABAR)
    assert asked == [1, 5]
    torch.testing.assert_close(noisy, z * (ABAR[9] / ABAR[1]).sqrt())
    asked.clear()
    torch.testing.assert_close(ddim_sample(from_eps(predict_eps, ABAR), noisy, [1, 5, 9], ABAR), z)
    assert asked == [9, 5]


def test_no_gradients_are_kept():
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    z = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for move in (ddim_invert, ddim_sample):
        assert not move(from_eps(lambda z, t: weight * z, ABAR), z, [1, 5], ABAR).requires_grad


def test_levels_of_each_sample_are_those_of_an_edit_of_its_strength():
    strengths = [2, 3, 40, 500, 999, 1000]
    levels = edit_timesteps_of_each(torch.tensor(strengths), 6)
    assert levels.shape == (7, 6)
    assert [sorted(set(column.tolist())) for column in levels.T] == [edit_timesteps(s, 6) for s in strengths]
    assert (levels.diff(dim=0) >= 0).all()
    assert (levels[-1] > levels[0]).all()
