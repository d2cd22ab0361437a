"""The classifier of noisy latents that guides sampling (Dhariwal and Nichol 2021): half a U-Net with a class head."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, get_down_block
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class NoisyClassifierConfig(BaseModel):
    """The network. ``attention_levels`` says for each resolution, finest first, whether it has attention."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_size: int = 32
    latent_channels: int = 3
    block_out_channels: tuple[int, ...] = (64, 128, 256)
    attention_levels: tuple[bool, ...] = (False, True, True)
    layers_per_block: int = 2
    channels_per_head: int = 32
    norm_num_groups: int = 32
    num_classes: int = 8


class NoisyClassifier(nn.Module):
    """log p(y | z_t) of noisy latents, from the same blocks as the denoiser's encoder."""

    def __init__(self, config: NoisyClassifierConfig) -> None:
        super().__init__()
        self.config = config
        widths, groups = config.block_out_channels, config.norm_num_groups
        time_channels = 4 * widths[0]
        self.time_features = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], time_channels)
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            get_down_block(
                "AttnDownBlock2D" if attention else "DownBlock2D",
                num_layers=config.layers_per_block,
                in_channels=widths[max(0, level - 1)],
                out_channels=widths[level],
                temb_channels=time_channels,
                add_downsample=level < len(widths) - 1,
                resnet_eps=1e-5,
                resnet_act_fn="silu",
                resnet_groups=groups,
                attention_head_dim=config.channels_per_head,
                downsample_padding=1,
            )
            for level, attention in enumerate(config.attention_levels)
        )
        self.mid_block = UNetMidBlock2D(
            in_channels=widths[-1],
            temb_channels=time_channels,
            attention_head_dim=config.channels_per_head,
            resnet_groups=groups,
        )
        self.norm = nn.GroupNorm(groups, widths[-1])
        self.head = nn.Linear(widths[-1], config.num_classes)

    def forward(self, z_BCHW: Tensor, timesteps_B: Tensor) -> Tensor:
        """Logits (B, num_classes) of latents at integer ``timesteps_B``."""
        time = self.time_embedding(self.time_features(timesteps_B).to(z_BCHW.dtype))
        features = self.conv_in(z_BCHW)
        for block in self.down_blocks:
            features, _ = block(features, time)
        features = F.silu(self.norm(self.mid_block(features, time)))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits
