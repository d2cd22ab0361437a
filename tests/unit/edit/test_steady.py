"""Noise that changes less than the face does."""

import torch

from stages.edit.steady import SteadyNoise


def test_steadied_noise_changes_less_and_keeps_its_spread():
    eps = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    steady = SteadyNoise(0.6)
    tracks = [0, 1] * 6
    smoothed = torch.cat([steady.for_tracks(tracks[:6])(eps[:6]), steady.for_tracks(tracks[6:])(eps[6:])])
    torch.testing.assert_close(smoothed[:2], eps[:2])
    torch.testing.assert_close(smoothed.std(dim=(1, 2, 3)), eps.std(dim=(1, 2, 3)))
    assert (smoothed[2:] - smoothed[:-2]).abs().mean() < 0.8 * (eps[2:] - eps[:-2]).abs().mean()
    torch.testing.assert_close(SteadyNoise(0.0).for_tracks(tracks)(eps), eps)
