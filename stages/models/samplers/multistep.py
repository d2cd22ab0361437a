"""Linear multistep solvers, which reuse the estimates of earlier steps: DPM-Solver++ 2M both ways, and PLMS.

diffusers has both, but only towards less noise, over its own levels and to its own last level.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from stages.models.samplers.ddim import ddim_carry
from stages.models.samplers.levels import Predict, descending

_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the newest to the oldest estimate, by how many there are."""


def dpmpp_2m_sample(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Denoise ``z_BCHW`` from the last to the first of ascending ``timesteps``: one evaluation a step, second order."""
    return _dpmpp_2m(predict, z_BCHW, descending(timesteps), abar_T)


def dpmpp_2m_invert(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Noise ``z_BCHW`` from the first to the last of ascending ``timesteps``: the same solver, the other way."""
    return _dpmpp_2m(predict, z_BCHW, itertools.pairwise(timesteps), abar_T)


@torch.no_grad()
def _dpmpp_2m(predict: Predict, z: Tensor, steps: Iterable[tuple[int, int]], abar_T: Tensor) -> Tensor:
    """DPM-Solver++ 2M (Lu et al. 2022, algorithm 2), over h = lambda' - lambda, lambda = log sqrt(abar / (1 - abar)).

    x0 is extrapolated to the middle of the step along lambda: D = x0 + (x0 - x0_before) / (2 r), r = h_before / h; then
    z' = (sigma' / sigma) z - sqrt(abar') expm1(-h) D. The first step takes D = x0 and is DDIM's.
    """
    abar_T = abar_T.double()  # differences of lambda lose digits
    lambda_T, sigma_T = 0.5 * (abar_T.log() - (1 - abar_T).log()), (1 - abar_T).sqrt()
    before: tuple[Tensor, Tensor] | None = None
    for now, after in steps:
        x0, h = predict(z, now).x0, lambda_T[after] - lambda_T[now]
        middle = x0 if before is None else x0 + (x0 - before[0]) * (h / (2 * before[1]))
        before = x0, h
        z = sigma_T[after] / sigma_T[now] * z - abar_T[after].sqrt() * torch.expm1(-h) * middle
    return z


@torch.no_grad()
def plms_sample(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Denoise by pseudo linear multistep (PNDM without Runge-Kutta, Liu et al. 2022, eq. 12) over even ``timesteps``.

    DDIM's step by a fourth-order mean of the last eps; the first step looks ahead once, so there is one evaluation more
    than there are steps.
    """
    recent: list[Tensor] = []
    for now, after in descending(timesteps):
        recent = [predict(z_BCHW, now).eps, *recent[:3]]
        if len(recent) == 1:
            ahead = ddim_carry(z_BCHW, recent[0], abar_T[now], abar_T[after])
            eps = (recent[0] + predict(ahead, after).eps) / 2
        else:
            eps = torch.stack([w * e for w, e in zip(_ADAMS_BASHFORTH[len(recent) - 1], recent, strict=True)]).sum(0)
        z_BCHW = ddim_carry(z_BCHW, eps, abar_T[now], abar_T[after])
    return z_BCHW
