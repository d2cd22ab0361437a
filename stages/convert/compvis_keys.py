"""From CompVis's parameter names to diffusers'.

diffusers' own conversion does the U-Net, and of the autoencoder all but two things: the codebook, and attention within
a level (it knows only the attention in the middle).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    update_vae_attentions_ldm_to_diffusers,
)
from torch import Tensor

from stages.common.errors import BadInputError

_UNET = "model.diffusion_model."
_EMA = "model_ema."
_AUTOENCODER = ("encoder.", "decoder.", "quantize.embedding.", "quant_conv.", "post_quant_conv.")
_CODEBOOK = "quantize.embedding.weight"


def has_ema(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(_EMA) for name in state)


def unet_weights(state: Mapping[str, Tensor], layers_per_block: int, *, ema: bool) -> dict[str, Tensor]:
    """The U-Net of a ``LatentDiffusion`` checkpoint as ``UNet2DConditionModel`` names it."""
    names = [name for name in state if name.startswith(_UNET)]
    chosen = {name: _averaged(state, name.removeprefix("model.")) if ema else state[name] for name in names}
    converted: dict[str, Tensor] = convert_ldm_unet_checkpoint(chosen, {"layers_per_block": layers_per_block})
    _check_none_lost("U-Net", len(chosen), len(converted))
    return converted


def embedding_weights(state: Mapping[str, Tensor]) -> Tensor:
    """The embedding of the classes, and as its last row the one that stands for "no class": (classes + 1, context)."""
    try:
        classes, null = (state[f"cond_stage_model.{part}.weight"] for part in ("embedding", "uncond_embedding"))
    except KeyError as error:
        raise BadInputError(
            f"the checkpoint has no {error.args[0]}", "Guidance needs a class and a null embedding"
        ) from error
    return torch.cat([classes, null])


def autoencoder_weights(
    state: Mapping[str, Tensor], levels: int, *, prefix: str = "", ema: bool = False
) -> dict[str, Tensor]:
    """The VQ autoencoder below ``prefix`` as ``VQModel`` names it; losses and other company are left out."""
    names = [n.removeprefix(prefix) for n in state if n.startswith(tuple(prefix + part for part in _AUTOENCODER))]
    chosen = {name: _averaged(state, name) if ema else state[prefix + name] for name in names}
    attention = {name: chosen.pop(name) for name in names if ".attn." in name}
    try:
        converted: dict[str, Tensor] = convert_ldm_vae_checkpoint(
            chosen, {"down_block_types": range(levels), "up_block_types": range(levels)}
        )
        converted[_CODEBOOK] = chosen[_CODEBOOK]
    except KeyError as error:
        raise BadInputError(f"the checkpoint has no VQ first stage: {error.args[0]} is missing") from error
    for level in range(levels):
        for side, old, new in (
            ("encoder", f"down.{level}.attn", f"down_blocks.{level}.attentions"),
            ("decoder", f"up.{level}.attn", f"up_blocks.{levels - 1 - level}.attentions"),
        ):
            here = [name for name in attention if name.startswith(f"{side}.{old}.")]
            update_vae_attentions_ldm_to_diffusers(here, converted, attention, {"old": old, "new": new})
    _check_none_lost("first stage", len(names), len(converted))
    return converted


def _averaged(state: Mapping[str, Tensor], name: str) -> Tensor:
    """CompVis keeps averages as buffers, whose names may hold no dots."""
    try:
        return state[_EMA + name.replace(".", "")]
    except KeyError as error:
        raise BadInputError(f"the checkpoint has no averaged {name}", "Import its last weights with --raw") from error


def _check_none_lost(what: str, found: int, converted: int) -> None:
    if found != converted:
        raise BadInputError(f"the checkpoint's {what} has {found} arrays, of which {converted} are known")
