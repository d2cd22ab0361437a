"""DDIM inversion that the way back undoes: each step solves for the latents that sampling would start from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from stages.models.samplers.ddim import ddim_carry
from stages.models.samplers.levels import Predict


@torch.no_grad()
def ddim_invert_implicit(
    predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor, *, iterations: int
) -> Tensor:
    """Noise ``z_BCHW`` so that ``ddim_sample`` over the same levels gives it back, up to what iterating leaves.

    A step wants z' with z = move(z', eps(z', t')), and iterates z' <- move(z, eps(z', t')) from z' = z, ``iterations``
    evaluations a step (a fixed number, so that no sample depends on its batch). It converges where eps changes little
    over a step (Pan et al. 2023, AIDI); a large guidance scale may prevent that. One iteration is what the thesis's
    published code does: the noise that the network sees at the arriving level in the latents of the level before.
    """
    for now, after in itertools.pairwise(timesteps):
        arrived = z_BCHW
        for _ in range(iterations):
            arrived = ddim_carry(z_BCHW, predict(arrived, after).eps, abar_T[now], abar_T[after])
        z_BCHW = arrived
    return z_BCHW
