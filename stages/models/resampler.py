"""Differentiable DDIM sampling in little memory, for tuning a denoiser by what it makes (thesis 4.5.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stages.models.denoiser import Denoiser
from stages.models.guidance import classifier_free_guidance
from stages.models.process import ForwardProcess
from stages.models.samplers import Predict, ddim_move
from stages.models.samplers.levels import descending


class Resampler(nn.Module):
    """``ddim_sample`` (eta 0) with gradients, from the last to the first of ascending ``timesteps``.

    Of each step only the latents at its start are kept; what the network computed is computed again on the way back
    (Chen et al. 2016). So the activations of one step, not of all, are in memory at once.
    """

    def __init__(self, denoiser: Denoiser, process: ForwardProcess, timesteps: Sequence[int]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = process
        self.timesteps = tuple(timesteps)

    def forward(self, z_BCHW: Tensor, labels_B: Tensor, guidance_scale_B: Tensor) -> Tensor:
        """Clean latents (B, C, H, W) from noisy ones at the last of the timesteps."""
        context_BD = self.denoiser.context(labels_B)
        predict = classifier_free_guidance(self.denoiser, self.process, context_BD, guidance_scale_B)
        return resample(predict, z_BCHW, self.timesteps, self.process.abar_T)


def resample(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """What a ``Resampler`` does, for any network."""
    for now, after in descending(timesteps):
        z_BCHW = checkpoint(_move, predict, z_BCHW, now, abar_T[after], use_reentrant=False, preserve_rng_state=False)
    return z_BCHW


def _move(predict: Predict, z_BCHW: Tensor, now: int, abar_to: Tensor) -> Tensor:
    return ddim_move(predict(z_BCHW, now), abar_to)
