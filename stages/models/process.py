"""The forward process, and what a network's output says of the clean latents and the noise in them.

Shapes: (B, C, H, W) latents, (B,) timesteps, (T,) cumulative products abar of a noise schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stages.models.schedule import PredictionType, ScheduleConfig, build_scheduler


class Estimate(NamedTuple):
    """The clean latents and the noise that a network sees in z_t = sqrt(abar) x0 + sqrt(1 - abar) eps.

    ``variance_fraction`` v, where a network has learned it: 0 stands for the posterior's variance, 1 for beta_t.
    """

    x0: Tensor
    eps: Tensor
    variance_fraction: Tensor | None = None


@dataclass(frozen=True)
class ForwardProcess:
    """abar_t for t = 0 .. T-1, and which quantity a network predicts: eps, x0 ("sample") or v."""

    abar_T: Tensor
    prediction_type: PredictionType = "epsilon"

    def add_noise(self, z0: Tensor, noise: Tensor, timesteps_B: Tensor) -> Tensor:
        """z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps (DDPM, Ho et al. 2020, eq. 4)."""
        signal, sigma = self._scales(timesteps_B)
        return signal * z0 + sigma * noise

    def target(self, z0: Tensor, noise: Tensor, timesteps_B: Tensor) -> Tensor:
        """What the network should say: eps, x0, or v = sqrt(abar) eps - sqrt(1 - abar) x0 (Salimans and Ho 2022)."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "sample":
            return z0
        signal, sigma = self._scales(timesteps_B)
        return signal * noise - sigma * z0

    def estimate(self, output: Tensor, z_t: Tensor, timesteps_B: Tensor) -> Estimate:
        """Both unknowns of z_t, from what the network said of it.

        Twice the channels of z_t hold the prediction, then the variance's fraction as a number in -1..1.
        """
        fraction = None
        if output.shape[1] == 2 * z_t.shape[1]:
            output, spread = output.chunk(2, dim=1)
            fraction = (spread + 1) / 2
        signal, sigma = self._scales(timesteps_B)
        if self.prediction_type == "epsilon":
            return Estimate((z_t - sigma * output) / signal, output, fraction)
        if self.prediction_type == "sample":
            return Estimate(output, (z_t - signal * output) / sigma, fraction)
        return Estimate(signal * z_t - sigma * output, signal * output + sigma * z_t, fraction)

    def min_snr_weight(self, timesteps_B: Tensor, gamma: float) -> Tensor:
        """Weight (B,) of each sample's loss: min(SNR, gamma) on x0's error, SNR = abar / (1 - abar).

        The error of eps is SNR times that of x0, and of v SNR + 1 times (Hang et al. 2023, eq. 7 to 9).
        """
        abar_B = self.abar_T[timesteps_B]
        snr_B = abar_B / (1 - abar_B)
        clamped_B = snr_B.clamp(max=gamma)
        if self.prediction_type == "epsilon":
            return clamped_B / snr_B
        return clamped_B if self.prediction_type == "sample" else clamped_B / (snr_B + 1)

    def to(self, device: str) -> ForwardProcess:
        return ForwardProcess(self.abar_T.to(device), self.prediction_type)

    def _scales(self, timesteps_B: Tensor) -> tuple[Tensor, Tensor]:
        abar = self.abar_T[timesteps_B].view(-1, 1, 1, 1)
        return abar.sqrt(), (1 - abar).sqrt()


def forward_process(config: ScheduleConfig) -> ForwardProcess:
    """The process of a schedule, with diffusers' own abar as float32."""
    abar_T: Tensor = build_scheduler(config).alphas_cumprod
    return ForwardProcess(abar_T.to(torch.float32), config.prediction_type)
