"""Classifier guidance (Dhariwal and Nichol 2021; thesis 3.3.1): sampling follows a classifier of noisy latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.process import Estimate, ForwardProcess
from stages.models.samplers import Predict


def classifier_guidance(
    predict: Predict, classifier: nn.Module, process: ForwardProcess, labels_B: Tensor, scale: float
) -> Predict:
    """eps - scale sqrt(1 - abar_t) grad_z log p(y | z_t), on top of any other ``predict``.

    ``classifier`` gives logits (B, classes) of noisy latents and timesteps. Where nothing of the signal is left
    (abar_t = 0) it has nothing to say, and ``predict`` stands.
    """

    def guided(z_BCHW: Tensor, t: int) -> Estimate:
        estimate = predict(z_BCHW, t)
        abar = process.abar_T[t]
        if abar == 0:
            return estimate
        shift = scale * (1 - abar) * _log_likelihood_gradient(classifier, z_BCHW, t, labels_B)
        x0 = estimate.x0 + shift / abar.sqrt()
        return Estimate(x0, estimate.eps - shift / (1 - abar).sqrt(), estimate.variance_fraction)

    return guided


def _log_likelihood_gradient(classifier: nn.Module, z_BCHW: Tensor, t: int, labels_B: Tensor) -> Tensor:
    with torch.enable_grad():
        z = z_BCHW.detach().requires_grad_(True)
        timesteps_B = torch.full((len(z),), t, device=z.device)
        log_likelihood = -F.cross_entropy(classifier(z, timesteps_B).float(), labels_B, reduction="sum")
        (gradient,) = torch.autograd.grad(log_likelihood, z)
    return gradient
