"""Slerp: ends, angles and lengths."""

import pytest
import torch

from stages.models.interpolation import slerp


def test_right_angles_by_hand():
    a, b = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 2.0]]])
    middle = slerp(a, b, torch.tensor([0.0, 0.5, 1.0])).squeeze()
    torch.testing.assert_close(middle, torch.tensor([[2.0, 0.0], [2**0.5, 2**0.5], [0.0, 2.0]]))


def test_equal_weights_are_equal_angles_and_lengths_stay():
    a, b = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    b = b * a.norm() / b.norm()
    way = slerp(a, b, torch.linspace(0, 1, 6)).flatten(1)
    torch.testing.assert_close(way.norm(dim=1), a.norm().expand(6))
    angles = torch.acos((way[1:] * way[:-1]).sum(dim=1) / a.norm() ** 2)
    torch.testing.assert_close(angles, angles[:1].expand(5), rtol=1e-3, atol=0)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_parallel_latents_are_mixed_on_a_line(factor):
    a = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(slerp(a, factor * a, torch.tensor([0.5]))[0], (1 + factor) / 2 * a)
