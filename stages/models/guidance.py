"""Classifier-free guidance (Ho and Salimans 2021), in the thesis's convention."""

from __future__ import annotations

import torch
from torch import Tensor

from stages.models.denoiser import Denoiser
from stages.models.process import Estimate, ForwardProcess
from stages.models.samplers import Predict


def classifier_free_guidance(
    denoiser: Denoiser, process: ForwardProcess, labels_B: Tensor, guidance_scale_B: Tensor
) -> Predict:
    """eps = (1 - g) eps(null) + g eps(y), with a class and a scale for each sample; g = 1 is the conditional model.

    Outputs that stand for x0 or v are mixed alike: at one step all three are linear in one another. Where every g is 1
    the null branch is not evaluated.
    """
    null_B = torch.full_like(labels_B, denoiser.null_class)
    scale = guidance_scale_B.view(-1, 1, 1, 1)
    plain = bool((guidance_scale_B == 1).all())

    def predict(z_BCHW: Tensor, t: int) -> Estimate:
        timesteps_B = torch.full((len(z_BCHW),), t, device=z_BCHW.device)
        if plain:
            return process.estimate(denoiser(z_BCHW, timesteps_B, labels_B), z_BCHW, timesteps_B)
        both: Tensor = denoiser(z_BCHW.repeat(2, 1, 1, 1), timesteps_B.repeat(2), torch.cat([null_B, labels_B]))
        null, conditional = both.chunk(2)
        return process.estimate((1 - scale) * null + scale * conditional, z_BCHW, timesteps_B)

    return predict
