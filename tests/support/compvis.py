"""A small twin of CompVis's latent diffusion, under its parameter names: what an import has to reproduce."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from support.compvis_unet import TwinUNet
from support.compvis_vq import TwinFirstStage

SIZE_PX, CODES, CONTEXT = 16, 20, 24
AUTOENCODER = {
    "double_z": False,
    "z_channels": 3,
    "resolution": SIZE_PX,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [SIZE_PX // 2],
    "dropout": 0.0,
}
UNET = {
    "image_size": SIZE_PX // 2,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 32,
    "attention_resolutions": [2],
    "num_res_blocks": 2,
    "channel_mult": [1, 2, 2],
    "num_head_channels": 16,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "context_dim": CONTEXT,
}


def vqgan_yaml(target: str = "taming.models.vqgan.VQModel") -> dict[str, Any]:
    params = {
        "embed_dim": 3,
        "n_embed": CODES,
        "ckpt_path": "<CKPT_DIR>/epoch=000005.ckpt",
        "ddconfig": dict(AUTOENCODER),
        "lossconfig": {"target": "torch.nn.Identity"},
    }
    return {"model": {"base_learning_rate": 1e-6, "target": target, "params": params}}


def ldm_yaml() -> dict[str, Any]:
    params = {
        "linear_start": 0.0015,
        "linear_end": 0.0205,
        "timesteps": 1000,
        "image_size": SIZE_PX // 2,
        "conditioning_key": "crossattn",
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": dict(UNET)},
        "first_stage_config": vqgan_yaml("ldm.models.autoencoder.VQModelInterface")["model"],
        "cond_stage_config": {
            "target": "ldm.modules.encoders.modules.ClassEmbedder3",
            "params": {"embed_dim": CONTEXT, "n_classes": 8, "key": "class_label", "p_uncond": 0.2},
        },
    }
    return {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": params}, "data": {}}


class TwinEmbedder(nn.Module):
    """As ``ClassEmbedder3``: "no class" has an embedding of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.uncond_embedding = nn.Embedding(8, CONTEXT), nn.Embedding(1, CONTEXT)

    def forward(self, labels: Tensor) -> Tensor:
        known = self.embedding(labels.clamp(max=7))
        return torch.where((labels == 8)[:, None], self.uncond_embedding.weight, known)[:, None]


class TwinLatentDiffusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.diffusion_model = TwinUNet(UNET)
        self.first_stage_model = TwinFirstStage(AUTOENCODER, CODES)
        self.cond_stage_model = TwinEmbedder()

    def forward(self, z: Tensor, timesteps: Tensor, labels: Tensor) -> Tensor:
        return self.model.diffusion_model(z, timesteps, self.cond_stage_model(labels))


def make_twin(seed: int = 0) -> TwinLatentDiffusion:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TwinLatentDiffusion().eval()


def ldm_checkpoint(raw: TwinLatentDiffusion, averaged: TwinLatentDiffusion) -> dict[str, Any]:
    """What pytorch-lightning 1.4 wrote: the weights, the averages without dots, schedule buffers, the optimiser."""
    ema = {"model_ema." + name.replace(".", ""): value for name, value in averaged.model.state_dict().items()}
    buffers = {
        "betas": torch.zeros(1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(7),
    }
    return {
        "epoch": 25,
        "global_step": 3,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": {**buffers, **raw.state_dict(), **ema},
        "optimizer_states": [{"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": []}],
    }
