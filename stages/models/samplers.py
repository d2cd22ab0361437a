"""Deterministic DDIM, forwards in noise (inversion) and back (Song et al. 2021; thesis 3.2, 4.4).

``predict(z_BCHW, t)`` is the network under its condition and guidance; every function calls it once for each step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stages.models.process import Estimate

Predict = Callable[[Tensor, int], Estimate]


def edit_timesteps(strength: int, steps: int) -> list[int]:
    """``steps`` + 1 ascending levels from 1, where clean latents are taken to be, to ``strength``, evenly spaced.

    Levels that round to the same number are merged, so fewer remain as ``steps`` comes near ``strength``; strength 1000
    ends at 999, the last level there is.
    Raises ``ValueError`` unless 1 <= strength <= 1000 and steps > 0.
    """
    if not 1 <= strength <= 1000 or steps < 1:
        raise ValueError("strength must be in 1..1000 and steps positive")
    levels = torch.linspace(0, 1, steps + 1, dtype=torch.float64) * min(strength, 999)
    return sorted({max(1, round(float(level))) for level in levels})


def ddim_move(estimate: Estimate, abar_to: Tensor) -> Tensor:
    """A deterministic step to another noise level: sqrt(abar') x0 + sqrt(1 - abar') eps (DDIM, eq. 12, sigma = 0)."""
    return abar_to.sqrt() * estimate.x0 + (1 - abar_to).sqrt() * estimate.eps


@torch.no_grad()
def ddim_invert(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Noise ``z_BCHW`` from the first to the last of ascending ``timesteps``, by the estimate at each step's start."""
    for now, after in itertools.pairwise(timesteps):
        z_BCHW = ddim_move(predict(z_BCHW, now), abar_T[after])
    return z_BCHW


@torch.no_grad()
def ddim_sample(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Denoise ``z_BCHW`` from the last to the first of ascending ``timesteps`` (eta 0)."""
    for now, after in zip(reversed(timesteps[1:]), reversed(timesteps[:-1]), strict=True):
        z_BCHW = ddim_move(predict(z_BCHW, now), abar_T[after])
    return z_BCHW
