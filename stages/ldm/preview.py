"""A quick look at what a denoiser makes while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.tensors import to_grid
from stages.models.denoiser import Denoiser
from stages.models.guidance import classifier_free_guidance
from stages.models.latent_space import LatentSpace
from stages.models.process import ForwardProcess
from stages.models.samplers import ddim_sample, edit_timesteps

_PER_CLASS = 4
_STEPS = 20
_SEED = 0


@torch.no_grad()
def sample_grid(
    denoiser: Denoiser, first_stage: LatentSpace, process: ForwardProcess, classes: Sequence[int]
) -> NDArray[np.uint8]:
    """An RGB grid (H, W, 3), four samples a row, a row a class, from the same noise every time (DDIM, 20 steps)."""
    size = denoiser.config.latent_size
    random = torch.Generator().manual_seed(_SEED)
    device = process.abar_T.device
    noise = torch.randn(_PER_CLASS, denoiser.config.latent_channels, size, size, generator=random)
    z_T = noise.repeat(len(classes), 1, 1, 1).to(device)
    labels_B = torch.tensor(list(classes)).repeat_interleave(_PER_CLASS).to(device)
    scale_B = torch.ones(len(labels_B), device=device)
    predict = classifier_free_guidance(denoiser, process, denoiser.context(labels_B), scale_B)
    z0 = ddim_sample(predict, z_T, edit_timesteps(len(process.abar_T), _STEPS), process.abar_T)
    return to_grid(first_stage.decode(z0), columns=_PER_CLASS)
