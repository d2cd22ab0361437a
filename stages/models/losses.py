"""Losses of the first stage (VQGAN, Esser et al. 2021) and of the denoiser (DDPM, Ho et al. 2020)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """0.5 (E[relu(1 - D(x))] + E[relu(1 + D(G(x)))])."""
    return 0.5 * (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())


def adaptive_adversarial_weight(
    reconstruction_loss: Tensor, adversarial_loss: Tensor, last_layer: Tensor, limit: float = 1e4
) -> Tensor:
    """lambda = |grad L_rec| / (|grad L_adv| + 1e-4) at the decoder's last layer (VQGAN, eq. 7), a detached scalar."""
    (rec_grad,) = torch.autograd.grad(reconstruction_loss, last_layer, retain_graph=True)
    (adv_grad,) = torch.autograd.grad(adversarial_loss, last_layer, retain_graph=True)
    weight: Tensor = rec_grad.norm() / (adv_grad.norm() + 1e-4)
    return weight.clamp(0, limit).detach()


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): pictures (B, 3, H, W) to logits (B, 1, h, w), each judging one patch."""

    def __init__(self, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [3, *(channels * min(2**i, 8) for i in range(layers + 1))]
        blocks: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(itertools.pairwise(widths)):
            blocks.append(nn.Conv2d(narrow, wide, 4, stride=2 if i < layers else 1, padding=1))
            if i > 0:
                blocks.append(nn.GroupNorm(min(32, wide // 4), wide))
            blocks.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        logits: Tensor = self.layers(x_BCHW)
        return logits


def simple_loss(
    predicted: Tensor, target: Tensor, weight_B: Tensor | None = None, weight_BCHW: Tensor | None = None
) -> Tensor:
    """L_simple (DDPM, eq. 14): the mean squared error of each sample, times its weight if given; a float32 scalar.

    ``weight_BCHW``, of any shape that broadcasts to the target's, makes it a weighted mean within each sample; one
    whose weights are all 0 has no error.
    """
    if weight_B is None and weight_BCHW is None:
        return F.mse_loss(predicted.float(), target)
    error = F.mse_loss(predicted.float(), target, reduction="none")
    if weight_BCHW is None:
        error_B = error.flatten(1).mean(dim=1)
    else:
        weights = weight_BCHW.expand_as(error)
        total_B = weights.flatten(1).sum(dim=1)
        error_B = (weights * error).flatten(1).sum(dim=1) / torch.where(total_B == 0, 1, total_B)
    return error_B.mean() if weight_B is None else (weight_B * error_B).mean()
