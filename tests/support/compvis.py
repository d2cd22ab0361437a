"""A small twin of CompVis's latent diffusion, under its parameter names: what an import has to reproduce.

Written from the description of the architecture (Rombach et al. 2022; Esser et al. 2021): only what the thesis uses.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class TwinResidual(nn.Module):
    """The U-Net's residual block."""

    def __init__(self, inner: int, outer: int, time: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, inner), nn.SiLU(), nn.Conv2d(inner, outer, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outer))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outer), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(outer, outer, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor, time: Tensor, _context: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class TwinCrossAttention(nn.Module):
    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels), nn.Dropout(0.0))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in map_all(self, x, context))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


def map_all(block: TwinCrossAttention, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return block.to_q(x), block.to_k(context), block.to_v(context)


class TwinGatedLinear(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class TwinFeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        self.net = nn.Sequential(TwinGatedLinear(channels, inner), nn.Dropout(0.0), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TwinTransformerBlock(nn.Module):
    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.attn1 = TwinCrossAttention(channels, channels, heads)
        self.attn2 = TwinCrossAttention(channels, context, heads)
        self.ff = TwinFeedForward(channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class TwinSpatialTransformer(nn.Module):
    def __init__(self, channels: int, context: int, head_channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TwinTransformerBlock(channels, context, channels // head_channels)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, _time: Tensor, context: Tensor) -> Tensor:
        h = self.proj_in(self.norm(x))
        tokens = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), context)
        return x + self.proj_out(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))


class TwinShrink(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, _time: Tensor, _context: Tensor) -> Tensor:
        return self.op(x)


class TwinGrow(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, *_unused: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class TwinUNet(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.base = base = config["model_channels"]
        time, context, per_head = 4 * base, config["context_dim"], config["num_head_channels"]
        levels = list(enumerate(config["channel_mult"]))
        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))

        def attention(level: int, channels: int) -> list[nn.Module]:
            wanted = 2**level in config["attention_resolutions"]
            return [TwinSpatialTransformer(channels, context, per_head)] if wanted else []

        now, skips = base, [base]
        blocks = [nn.ModuleList([nn.Conv2d(config["in_channels"], base, 3, padding=1)])]
        for level, factor in levels:
            for _ in range(config["num_res_blocks"]):
                block = TwinResidual(now, factor * base, time)
                now = factor * base
                blocks.append(nn.ModuleList([block, *attention(level, now)]))
                skips.append(now)
            if level < len(levels) - 1:
                blocks.append(nn.ModuleList([TwinShrink(now)]))
                skips.append(now)
        self.input_blocks = nn.ModuleList(blocks)
        self.middle_block = nn.ModuleList(
            [
                TwinResidual(now, now, time),
                TwinSpatialTransformer(now, context, per_head),
                TwinResidual(now, now, time),
            ]
        )
        blocks = []
        for level, factor in reversed(levels):
            for number in range(config["num_res_blocks"] + 1):
                block = TwinResidual(now + skips.pop(), factor * base, time)
                now = factor * base
                grow = [TwinGrow(now)] if level and number == config["num_res_blocks"] else []
                blocks.append(nn.ModuleList([block, *attention(level, now), *grow]))
        self.output_blocks = nn.ModuleList(blocks)
        self.out = nn.Sequential(nn.GroupNorm(32, now), nn.SiLU(), nn.Conv2d(now, config["out_channels"], 3, padding=1))

    def forward(self, z: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        half = self.base // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
        angles = timesteps[:, None].float() * frequencies
        time = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        h, skips = self.input_blocks[0][0](z), []
        skips.append(h)
        for block in self.input_blocks[1:]:
            h = run_all(block, h, time, context)
            skips.append(h)
        h = run_all(self.middle_block, h, time, context)
        for block in self.output_blocks:
            h = run_all(block, torch.cat([h, skips.pop()], dim=1), time, context)
        return self.out(h)


def run_all(layers: Any, h: Tensor, *conditions: Tensor) -> Tensor:
    for layer in layers:
        h = layer(h, *conditions)
    return h


class TwinPlainResidual(nn.Module):
    """The autoencoder's residual block."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, inner, eps=1e-6), nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(32, outer, eps=1e-6), nn.Conv2d(outer, outer, 3, padding=1)
        if inner != outer:
            self.nin_shortcut = nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class TwinPlainAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k / math.sqrt(x.shape[1])).softmax(-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).unflatten(2, x.shape[2:]))


class TwinHalve(nn.Module):
    """Stride 2 with padding on the right and below alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def make_level(inner: int, outer: int, blocks: int, attends: bool) -> nn.Module:
    level = nn.Module()
    level.block = nn.ModuleList([TwinPlainResidual(inner if n == 0 else outer, outer) for n in range(blocks)])
    level.attn = nn.ModuleList([TwinPlainAttention(outer) for _ in range(blocks if attends else 0)])
    return level


def make_middle(channels: int) -> nn.Module:
    middle = nn.Module()
    middle.block_1, middle.block_2 = TwinPlainResidual(channels, channels), TwinPlainResidual(channels, channels)
    middle.attn_1 = TwinPlainAttention(channels)
    return middle


def run_level(level: Any, h: Tensor) -> Tensor:
    for number, block in enumerate(level.block):
        h = block(h)
        h = level.attn[number](h) if len(level.attn) else h
    return h


def run_middle(middle: Any, h: Tensor) -> Tensor:
    return middle.block_2(middle.attn_1(middle.block_1(h)))


class TwinEncoder(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        widths = [config["ch"] * factor for factor in config["ch_mult"]]
        self.conv_in = nn.Conv2d(3, config["ch"], 3, padding=1)
        self.down = nn.ModuleList()
        for number, (inner, outer) in enumerate(zip([config["ch"], *widths], widths, strict=False)):
            attends = config["resolution"] // 2**number in config["attn_resolutions"]
            level = make_level(inner, outer, config["num_res_blocks"], attends)
            if number < len(widths) - 1:
                level.downsample = TwinHalve(outer)
            self.down.append(level)
        self.mid = make_middle(widths[-1])
        self.norm_out = nn.GroupNorm(32, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config["z_channels"], 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            h = run_level(level, h)
            h = level.downsample(h) if hasattr(level, "downsample") else h
        return self.conv_out(F.silu(self.norm_out(run_middle(self.mid, h))))


class TwinDecoder(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        widths = [config["ch"] * factor for factor in config["ch_mult"]]
        self.conv_in = nn.Conv2d(config["z_channels"], widths[-1], 3, padding=1)
        self.mid = make_middle(widths[-1])
        levels = []
        for number, (inner, outer) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True)):
            attends = config["resolution"] // 2**number in config["attn_resolutions"]
            level = make_level(inner, outer, config["num_res_blocks"] + 1, attends)
            if number:
                level.upsample = TwinGrow(outer)
            levels.append(level)
        self.up = nn.ModuleList(levels)
        self.norm_out = nn.GroupNorm(32, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = run_middle(self.mid, self.conv_in(z))
        for level in reversed(self.up):
            h = run_level(level, h)
            h = level.upsample(h) if hasattr(level, "upsample") else h
        return self.conv_out(F.silu(self.norm_out(h)))


class TwinFirstStage(nn.Module):
    """As ``VQModelInterface``: latents are what comes before quantisation, and decoding quantises."""

    def __init__(self, config: dict[str, Any], codes: int) -> None:
        super().__init__()
        channels = config["z_channels"]
        self.encoder, self.decoder = TwinEncoder(config), TwinDecoder(config)
        self.quantize = nn.Module()
        self.quantize.embedding = nn.Embedding(codes, channels)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        codes = self.quantize.embedding.weight
        distances = (z.permute(0, 2, 3, 1)[..., None, :] - codes).square().sum(-1)
        return self.decoder(self.post_quant_conv(codes[distances.argmin(-1)].permute(0, 3, 1, 2)))


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
