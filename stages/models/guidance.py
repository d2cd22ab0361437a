"""Classifier-free guidance (Ho and Salimans 2021), in the thesis's convention."""

from __future__ import annotations

import torch
from torch import Tensor

from stages.models.denoiser import Denoiser
from stages.models.samplers import PredictEps


def classifier_free_guidance(denoiser: Denoiser, labels_B: Tensor, guidance_scale_B: Tensor) -> PredictEps:
    """eps = (1 - g) eps(null) + g eps(y), with a class and a scale for each sample; g = 1 is the conditional model.

    Where every g is 1 the null branch is not evaluated.
    """
    null_B = torch.full_like(labels_B, denoiser.null_class)
    scale = guidance_scale_B.view(-1, 1, 1, 1)
    plain = bool((guidance_scale_B == 1).all())

    def predict_eps(z_BCHW: Tensor, t: int) -> Tensor:
        timesteps_B = torch.full((len(z_BCHW),), t, device=z_BCHW.device)
        if plain:
            eps: Tensor = denoiser(z_BCHW, timesteps_B, labels_B)
            return eps
        both: Tensor = denoiser(z_BCHW.repeat(2, 1, 1, 1), timesteps_B.repeat(2), torch.cat([null_B, labels_B]))
        eps_null, eps_label = both.chunk(2)
        return (1 - scale) * eps_null + scale * eps_label

    return predict_eps
