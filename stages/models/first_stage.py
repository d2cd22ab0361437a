"""The first stage: pictures to latents and back (VQGAN; Esser et al. 2021, thesis 3.4.1).

Shape legend: B batch, C channels, H W height and width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import VQModel
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class FirstStageConfig(BaseModel):
    """The network. Defaults are the thesis's (section 4.3.2): 128x128x3 to 32x32x3, 60,605,598 parameters.

    ``pixel_fold`` k turns k x k pixels into channels before the encoder and back after the decoder, ``latent_fold``
    does the same to the latents that the denoiser sees; 1 folds nothing. Folding moves no information and saves time.
    ``quantize`` false makes an autoencoder with a continuous bottleneck: the codebook is neither trained nor used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: int = 128
    pixel_fold: int = Field(default=1, ge=1)
    latent_fold: int = Field(default=1, ge=1)
    block_out_channels: tuple[int, ...] = (128, 256, 512)
    layers_per_block: int = 2
    attention: bool = True
    latent_channels: int = 3
    codebook_size: int = 16384
    quantize: bool = True
    norm_num_groups: int = 32

    @property
    def downsampling(self) -> int:
        """Pixels per latent cell that the denoiser sees, along one side."""
        return int(self.pixel_fold * 2 ** (len(self.block_out_channels) - 1) * self.latent_fold)

    @property
    def folded_latent_channels(self) -> int:
        return self.latent_channels * self.latent_fold**2

    @property
    def latent_size(self) -> int:
        return self.size_px // self.downsampling


class PixelsConfig(BaseModel):
    """Pictures of ``size_px`` that are denoised as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: int

    @property
    def folded_latent_channels(self) -> int:
        return 3

    @property
    def latent_size(self) -> int:
        return self.size_px


class Pixels(nn.Module):
    """In place of a first stage where there is none (DDPM in pixel space): latents are the pictures themselves."""

    def __init__(self, config: PixelsConfig) -> None:
        super().__init__()
        self.config = config

    def encode(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW

    def decode(self, z_BCHW: Tensor) -> Tensor:
        return z_BCHW


class Reconstruction(NamedTuple):
    """``pictures`` (B, 3, H, W), the two halves of the vector-quantisation loss, and the codes used (any shape, int64).

    Scalars, means over latents (VQ-VAE, van den Oord et al. 2017, eq. 3; thesis eq. 3.73): ``commitment`` is
    |z_e - sg[e]|^2, which draws the encoder to the codes, ``codebook`` |sg[z_e] - e|^2, which draws the codes to the
    encoder's outputs.
    """

    pictures: Tensor
    commitment: Tensor
    codebook: Tensor
    codes: Tensor


class FirstStage(nn.Module):
    """diffusers' ``VQModel`` with folds and a latent scale.

    Pictures are RGB in -1..1, (B, 3, H, W). Latents are what the denoiser sees: continuous (quantised, if at all, only
    when decoded, as in LDM), multiplied by ``vq.config.scaling_factor``, (B, C, H / downsampling, W / downsampling).
    """

    def __init__(self, config: FirstStageConfig, vq: VQModel) -> None:
        super().__init__()
        self.config = config
        self.vq = vq

    @property
    def scaling_factor(self) -> float:
        return float(self.vq.config.scaling_factor)

    def encode_features(self, x_BCHW: Tensor) -> Tensor:
        """Unscaled, unfolded encoder output."""
        features: Tensor = self.vq.encode(F.pixel_unshuffle(x_BCHW, self.config.pixel_fold)).latents
        return features

    def decode_features(self, features_BCHW: Tensor) -> Tensor:
        """Pictures from unfolded features that are already quantised (or deliberately not)."""
        decoded = self.vq.decode(features_BCHW, force_not_quantize=True).sample
        return F.pixel_shuffle(decoded, self.config.pixel_fold)

    def encode(self, x_BCHW: Tensor) -> Tensor:
        return F.pixel_unshuffle(self.encode_features(x_BCHW) * self.scaling_factor, self.config.latent_fold)

    def decode(self, z_BCHW: Tensor) -> Tensor:
        features = F.pixel_shuffle(z_BCHW, self.config.latent_fold) / self.scaling_factor
        if self.config.quantize:
            features, _, _ = self.vq.quantize(features)
        return self.decode_features(features)

    def forward(self, x_BCHW: Tensor, *, quantize: bool = True) -> Reconstruction:
        """Reconstruct; with ``quantize`` false the bottleneck stays continuous (the warm-up of the codebook)."""
        features = self.encode_features(x_BCHW)
        if not (quantize and self.config.quantize):
            none, no_codes = features.new_zeros(()), torch.empty(0, dtype=torch.long)
            return Reconstruction(self.decode_features(features), none, none, no_codes)
        features = features.float()
        # diffusers' own loss weighs the halves as an old mistake did, so they are computed here.
        quantized, _, (_, _, codes) = self.vq.quantize(features)
        chosen_BHWC, features_BHWC = self.vq.quantize.embedding(codes.flatten()), features.permute(0, 2, 3, 1)
        chosen_BHWC = chosen_BHWC.view_as(features_BHWC)
        return Reconstruction(
            self.decode_features(quantized),
            F.mse_loss(features_BHWC, chosen_BHWC.detach()),
            F.mse_loss(chosen_BHWC, features_BHWC.detach()),
            codes,
        )

    @torch.no_grad()
    def set_codebook(self, codes_NC: Tensor) -> None:
        """Replace the codebook, for instance by encoder outputs; ``codes_NC`` is (codebook_size, latent_channels)."""
        self.vq.quantize.embedding.weight.copy_(codes_NC)

    @torch.no_grad()
    def revive(self, unused_N: Tensor, replacements_NC: Tensor) -> None:
        """Overwrite the codes at indices ``unused_N``."""
        self.vq.quantize.embedding.weight[unused_N] = replacements_NC


def build_first_stage(config: FirstStageConfig) -> FirstStage:
    """A randomly initialised first stage."""
    levels = len(config.block_out_channels)
    down = ["DownEncoderBlock2D"] * levels
    up = ["UpDecoderBlock2D"] * levels
    if config.attention:
        down[-1] = "AttnDownEncoderBlock2D"
        up[0] = "AttnUpDecoderBlock2D"
    channels = 3 * config.pixel_fold**2
    vq = VQModel(
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        sample_size=config.size_px // config.pixel_fold,
        num_vq_embeddings=config.codebook_size,
        norm_num_groups=config.norm_num_groups,
        vq_embed_dim=config.latent_channels,
        scaling_factor=1.0,
        mid_block_add_attention=config.attention,
    )
    return FirstStage(config, vq)
