"""The variational bound and learned variances (DDPM, Ho et al. 2020; Nichol and Dhariwal 2021).

Shapes: (B, C, H, W) latents or pictures, (B,) timesteps, (T,) cumulative products abar. Logarithms are natural.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stages.models.process import Estimate, ForwardProcess

_BITS = 1 / math.log(2)
_LOG_ROOT_2_PI = 0.5 * math.log(2 * math.pi)
_SMALLEST = 1e-20
_SMALLEST_PROBABILITY = 1e-12


class ReverseProcess:
    """q(z_{t-1} | z_t, z_0) and the model's p(z_{t-1} | z_t) of one forward process.

    ``bin_width`` is the distance of neighbouring values in data of finite precision (2 / 255 for 8-bit pictures in
    -1..1), over which the likelihood of step 0 is summed; None takes the density, as is fit for latents.
    """

    def __init__(self, process: ForwardProcess, bin_width: float | None = None) -> None:
        self.process = process
        self.bin_width = bin_width
        abar_T = process.abar_T.double()
        before_T = torch.cat([abar_T.new_ones(1), abar_T[:-1]])
        beta_T = 1 - abar_T / before_T
        posterior_T = beta_T * (1 - before_T) / (1 - abar_T)
        # The posterior of step 0 has no variance; the next step's stands in where its logarithm is needed.
        posterior_T = torch.cat([posterior_T[1:2], posterior_T[1:]])
        self._log_beta_T = beta_T.clamp(min=_SMALLEST).log().float()
        self._log_posterior_T = posterior_T.clamp(min=_SMALLEST).log().float()
        self._of_z0_T = (before_T.sqrt() * beta_T / (1 - abar_T)).float()
        self._of_zt_T = ((1 - beta_T).sqrt() * (1 - before_T) / (1 - abar_T)).float()

    def mean(self, z0: Tensor, z_t: Tensor, timesteps_B: Tensor) -> Tensor:
        """The mean of q(z_{t-1} | z_t, z_0) (DDPM, eq. 7)."""
        return _at(self._of_z0_T, timesteps_B) * z0 + _at(self._of_zt_T, timesteps_B) * z_t

    def log_variance(self, fraction: Tensor | None, timesteps_B: Tensor) -> Tensor:
        """log of v beta_t + (1 - v) beta~_t, mixed in logarithms by a network's v (eq. 15); v = 0 without one."""
        low = _at(self._log_posterior_T, timesteps_B)
        return low if fraction is None else low + fraction * (_at(self._log_beta_T, timesteps_B) - low)

    def bound_terms(self, estimate: Estimate, z0: Tensor, z_t: Tensor, timesteps_B: Tensor) -> Tensor:
        """L_{t-1} of each sample (B,), in bits a dimension: the sum over all t is the bound but for its constant.

        KL(q(z_{t-1} | z_t, z_0) || p(z_{t-1} | z_t)) for t > 0, -log p(z_0 | z_1) for t = 0 (DDPM, eq. 5 and 13).
        """
        true_mean, mean = (self.mean(z, z_t, timesteps_B) for z in (z0, estimate.x0))
        true_log_variance = self.log_variance(None, timesteps_B).expand_as(z0)
        log_variance = self.log_variance(estimate.variance_fraction, timesteps_B).expand_as(z0)
        kl = _gaussian_kl(true_mean, true_log_variance, mean, log_variance)
        first = -self._log_likelihood(z0, mean, log_variance)
        terms = torch.where((timesteps_B == 0).view(-1, 1, 1, 1), first, kl)
        return terms.flatten(1).mean(dim=1) * _BITS

    def _log_likelihood(self, z0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        spread = (0.5 * log_variance).exp()
        if self.bin_width is None:
            return -0.5 * ((z0 - mean) / spread).square() - torch.log(spread) - _LOG_ROOT_2_PI
        half = self.bin_width / 2
        above = torch.where(z0 > 1 - half, torch.ones_like(z0), torch.special.ndtr((z0 + half - mean) / spread))
        below = torch.where(z0 < half - 1, torch.zeros_like(z0), torch.special.ndtr((z0 - half - mean) / spread))
        return (above - below).clamp(min=_SMALLEST_PROBABILITY).log()


def _gaussian_kl(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(other_mean, other_variance)), element by element."""
    difference = log_variance - other_log_variance
    return 0.5 * (difference.exp() - 1 - difference + (mean - other_mean).square() * (-other_log_variance).exp())


def _at(values_T: Tensor, timesteps_B: Tensor) -> Tensor:
    return values_T.to(timesteps_B.device)[timesteps_B].view(-1, 1, 1, 1)
