"""Noise that changes less from frame to frame than the face does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


class SteadyNoise:
    """Exponential smoothing of each track's inverted noise: eps' = (1 - memory) eps + memory eps'_before.

    The mean of two noises has less variance than either, so eps' is scaled to the standard deviation of eps.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._before: dict[int, torch.Tensor] = {}

    def for_tracks(self, tracks: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function of the noise (B, C, H, W) of faces with these tracks, in the order of time."""
        return lambda eps_BCHW: self._smooth(eps_BCHW, tracks)

    def _smooth(self, eps_BCHW: torch.Tensor, tracks: Sequence[int]) -> torch.Tensor:
        smoothed = []
        for eps, track in zip(eps_BCHW, tracks, strict=True):
            before = self._before.get(track, eps)
            mixed = (1 - self._memory) * eps + self._memory * before
            self._before[track] = mixed * (eps.std() / mixed.std())
            smoothed.append(self._before[track])
        self._before = {track: self._before[track] for track in set(tracks)}  # no more than are in the picture
        return torch.stack(smoothed)
