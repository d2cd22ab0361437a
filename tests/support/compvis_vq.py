"""A twin of CompVis's VQ autoencoder, under its parameter names.

Written from the description of the architecture (Esser et al. 2021): only what the thesis uses.
"""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from support.compvis_unet import TwinGrow


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
