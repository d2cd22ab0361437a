"""UniPC (Zhao et al. 2023), as diffusers implements it, over our noise levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor

from stages.models.samplers.levels import LEAST_ABAR, Predict


@torch.no_grad()
def unipc_sample(predict: Predict, z_BCHW: Tensor, timesteps: Sequence[int], abar_T: Tensor) -> Tensor:
    """Denoise from the last to the first of ascending ``timesteps``: predictor and corrector, one evaluation a step."""
    levels = list(reversed(timesteps))
    scheduler = UniPCMultistepScheduler(prediction_type="sample", solver_order=2)
    abar = abar_T[levels].cpu().double().clamp(min=LEAST_ABAR)
    # Its set_timesteps knows even spacings alone, and ends at no level of ours.
    scheduler.num_inference_steps = len(levels) - 1
    scheduler.timesteps, scheduler.sigmas = torch.tensor(levels[:-1]), ((1 - abar) / abar).sqrt()
    for now in levels[:-1]:
        z_BCHW = scheduler.step(predict(z_BCHW, now).x0, now, z_BCHW).prev_sample
    return z_BCHW
