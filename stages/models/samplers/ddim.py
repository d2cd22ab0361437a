"""DDIM, forwards in noise (inversion) and back (Song et al. 2021; thesis 3.2, 4.4). One evaluation a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stages.models.process import Estimate
from stages.models.samplers.levels import Predict, descending


def ddim_move(estimate: Estimate, abar_to: Tensor) -> Tensor:
    """A deterministic step to another noise level: sqrt(abar') x0 + sqrt(1 - abar') eps (DDIM, eq. 12, sigma = 0)."""
    return abar_to.sqrt() * estimate.x0 + (1 - abar_to).sqrt() * estimate.eps


def ddim_carry(z_BCHW: Tensor, eps_BCHW: Tensor, abar: Tensor, abar_to: Tensor) -> Tensor:
    """The same step of latents at level ``abar`` by any noise, not only by what the network sees in them."""
    return ddim_move(Estimate((z_BCHW - (1 - abar).sqrt() * eps_BCHW) / abar.sqrt(), eps_BCHW), abar_to)


@torch.no_grad()
def ddim_invert(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Noise ``z_BCHW`` from the first to the last of ascending ``timesteps``, by the estimate at each step's start."""
    for now, after in itertools.pairwise(timesteps):
        z_BCHW = ddim_move(predict(z_BCHW, now), abar_T[after])
    return z_BCHW


@torch.no_grad()
def ddim_sample(
    predict: Predict,
    z_BCHW: Tensor,
    timesteps: Sequence[int],
    abar_T: Tensor,
    *,
    eta: float = 0.0,
    noise: Callable[[], Tensor] | None = None,
) -> Tensor:
    """Denoise ``z_BCHW`` from the last to the first of ascending ``timesteps``.

    ``eta`` > 0 adds, each step, sigma = eta sqrt((1 - abar') / (1 - abar)) sqrt(1 - abar / abar') of ``noise()`` (eq.
    16); eta 1 is the ancestral sampling of DDPM over these levels, where a learned variance takes sigma's place in the
    noise alone (Nichol and Dhariwal 2021, section 4). Raises ``ValueError`` where eta > 0 has no noise.
    """
    if eta > 0 and noise is None:
        raise ValueError("eta above 0 needs noise")
    for now, after in descending(timesteps):
        estimate = predict(z_BCHW, now)
        if eta == 0 or noise is None:
            z_BCHW = ddim_move(estimate, abar_T[after])
            continue
        abar, abar_to = abar_T[now], abar_T[after]
        sigma = eta * ((1 - abar_to) / (1 - abar) * (1 - abar / abar_to)).sqrt()
        direction = (1 - abar_to - sigma**2).clamp(min=0).sqrt()
        spread = sigma if eta < 1 else _learned_spread(estimate, sigma, 1 - abar / abar_to)
        z_BCHW = abar_to.sqrt() * estimate.x0 + direction * estimate.eps + spread * noise()
    return z_BCHW


def _learned_spread(estimate: Estimate, sigma: Tensor, beta: Tensor) -> Tensor:
    """The standard deviation between the posterior's ``sigma`` and sqrt(beta) that a network has learned, if it has."""
    if estimate.variance_fraction is None or sigma == 0:
        return sigma
    spread: Tensor = sigma * (beta.sqrt() / sigma) ** estimate.variance_fraction
    return spread
