"""A twin of CompVis's U-Net with cross-attention, under its parameter names.

Written from the description of the architecture (Rombach et al. 2022): only what the thesis uses.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
