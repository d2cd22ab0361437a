"""The U-Net of all denoisers: diffusers' ``UNet2DConditionModel`` in the sizes that facediff names."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from pydantic import BaseModel, ConfigDict


class UNetConfig(BaseModel):
    """The sizes. Defaults are the thesis's for 32x32x3 latents.

    ``attention_levels`` says for each resolution, finest first, whether it has transformer blocks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_size: int = 32
    latent_channels: int = 3
    block_out_channels: tuple[int, ...] = (160, 320, 640)
    attention_levels: tuple[bool, ...] = (True, True, True)
    layers_per_block: int = 2
    channels_per_head: int = 32
    norm_num_groups: int = 32


def build_unet(
    config: UNetConfig, *, in_channels: int, out_channels: int, context_dim: int, context_in_blocks: bool = False
) -> UNet2DConditionModel:
    """A randomly initialised U-Net over contexts of ``context_dim``.

    With ``context_in_blocks`` it takes one context as ``class_labels`` too: added to the embedding of the time step,
    it scales and shifts the channels of every residual block.
    """
    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in config.attention_levels]
    up = ["CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(config.attention_levels)]
    return UNet2DConditionModel(
        sample_size=config.latent_size,
        in_channels=in_channels,
        out_channels=out_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        cross_attention_dim=context_dim,
        attention_head_dim=tuple(max(1, c // config.channels_per_head) for c in config.block_out_channels),
        norm_num_groups=config.norm_num_groups,
        class_embed_type="projection" if context_in_blocks else None,
        projection_class_embeddings_input_dim=context_dim if context_in_blocks else None,
        resnet_time_scale_shift="scale_shift" if context_in_blocks else "default",
    )
