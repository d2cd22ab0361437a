"""A first stage without a codebook: principal components of patches, and a decoder that mends what they leave out.

Patches of natural pictures are nearly a linear matter: 16 components of 8x8 pixels keep more of a face than a small
convolutional encoder learns in hours. Shapes: B batch, H W pixels, h w = H / patch_px latent cells, K components,
D = 3 patch_px^2 values of a patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

_WORK_PX = 4
"""The decoder's convolutions see this many pixels' square as channels."""


class PatchAutoencoderConfig(BaseModel):
    """The sizes: ``components`` of each square of ``patch_px`` pixels; ``width`` and ``blocks`` of the decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: int = 128
    patch_px: int = Field(default=8, ge=1)
    components: int = Field(default=16, ge=1)
    whitening: float = Field(default=0.5, ge=0, le=1)
    """From 0, where components vary as they do in faces, to 1, where all vary alike."""
    width: int = 96
    blocks: int = 4

    @property
    def folded_latent_channels(self) -> int:
        return self.components

    @property
    def latent_size(self) -> int:
        return self.size_px // self.patch_px


class PatchAutoencoder(nn.Module):
    """Pictures are RGB in -1..1, (B, 3, H, W); latents (B, K, h, w) have unit mean square over training faces."""

    mean_D: Tensor
    components_DK: Tensor
    scale_K: Tensor

    def __init__(self, config: PatchAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        size = 3 * config.patch_px**2
        self.register_buffer("mean_D", torch.zeros(size))
        self.register_buffer("components_DK", torch.eye(size)[:, : config.components].contiguous())
        self.register_buffer("scale_K", torch.ones(config.components))
        channels = 3 * _WORK_PX**2
        self.enter = nn.Conv2d(channels, config.width, 3, padding=1)
        self.body = nn.Sequential(*(_Block(config.width) for _ in range(config.blocks)))
        self.leave = nn.Conv2d(config.width, channels, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def encode(self, x_BCHW: Tensor) -> Tensor:
        """The scaled principal components of each patch."""
        patches = F.pixel_unshuffle(x_BCHW, self.config.patch_px) - self.mean_D.view(1, -1, 1, 1)
        return torch.einsum("bdhw,dk->bkhw", patches, self.components_DK / self.scale_K)

    def project(self, z_BKhw: Tensor) -> Tensor:
        """The pictures that the components alone stand for."""
        patches = torch.einsum("bkhw,dk->bdhw", z_BKhw, self.components_DK * self.scale_K)
        return F.pixel_shuffle(patches + self.mean_D.view(1, -1, 1, 1), self.config.patch_px)

    def decode(self, z_BKhw: Tensor) -> Tensor:
        """Pictures without the seams of the patches, about within -1..1."""
        linear = self.project(z_BKhw)
        mended = self.leave(self.body(self.enter(F.pixel_unshuffle(linear, _WORK_PX))))
        return linear + F.pixel_shuffle(mended, _WORK_PX)

    @torch.no_grad()
    def fit(self, patches_ND: Tensor) -> None:
        """Set the components to the principal ones of patches, float64, by their covariance."""
        mean = patches_ND.mean(dim=0)
        variances, vectors = torch.linalg.eigh((patches_ND - mean).T.cov())
        kept = self.config.components
        variance_K, vectors_DK = variances.flip(0)[:kept], vectors.flip(1)[:, :kept]
        scale_K = variance_K.clamp(min=1e-12) ** (self.config.whitening / 2)
        scale_K = scale_K * (variance_K / scale_K**2).mean().sqrt()
        # An eigenvector's sign is arbitrary: its largest value is made positive, so that equal data give equal weights.
        signs = vectors_DK.gather(0, vectors_DK.abs().argmax(dim=0, keepdim=True)).sign()
        self.mean_D.copy_(mean)
        self.components_DK.copy_(vectors_DK * signs)
        self.scale_K.copy_(scale_K)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.second(F.silu(self.first(F.silu(x))))
        return output
