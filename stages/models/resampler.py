"""Differentiable DDIM sampling in little memory, for tuning a denoiser by what it makes (thesis 4.5.2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stages.models.denoiser import Denoiser
from stages.models.guidance import classifier_free_guidance
from stages.models.process import Estimate, ForwardProcess
from stages.models.samplers import ddim_move
from stages.models.samplers.levels import descending

PredictEach = Callable[[Tensor, Tensor], Estimate]
"""As ``Predict``, with a level for each sample (B,)."""
LevelT = TypeVar("LevelT", int, Tensor)


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
        for now, after in descending(self.timesteps):
            abar_to = self.process.abar_T[after]
            z_BCHW = checkpoint(_move, predict, z_BCHW, now, abar_to, use_reentrant=False, preserve_rng_state=False)
        return z_BCHW


def resample_each(predict: PredictEach, z_BCHW: Tensor, timesteps_SB: Tensor, abar_T: Tensor) -> Tensor:
    """What a ``Resampler`` does for any network, where each sample has levels of its own (S + 1, B), ascending."""
    for now_B, after_B in itertools.pairwise(timesteps_SB.flip(0)):
        abar_B111 = abar_T[after_B].view(-1, 1, 1, 1)
        z_BCHW = checkpoint(_move, predict, z_BCHW, now_B, abar_B111, use_reentrant=False, preserve_rng_state=False)
    return z_BCHW


def decode_in_pieces(decode: Callable[[Tensor], Tensor], z_BCHW: Tensor, size: int) -> Tensor:
    """The pictures of latents, ``size`` at a time; of each piece only its latents are kept for the way back."""
    pieces = [checkpoint(decode, z, use_reentrant=False, preserve_rng_state=False) for z in z_BCHW.split(size)]
    return torch.cat(pieces)


def _move(predict: Callable[[Tensor, LevelT], Estimate], z_BCHW: Tensor, now: LevelT, abar_to: Tensor) -> Tensor:
    return ddim_move(predict(z_BCHW, now), abar_to)
