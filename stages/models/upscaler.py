"""Enlarge decoded faces: a small residual network over bicubic interpolation (EDSR, Lim et al. 2017, without its size).

Shapes: B batch, C = 3, H, W of the input, F the factor.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class UpscalerConfig(BaseModel):
    """``channels`` of the ``blocks`` at the input's resolution; each of ``doublings`` enlarges by 2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=48, ge=1)
    blocks: int = Field(default=6, ge=1)
    doublings: int = Field(default=2, ge=1, le=3)

    @property
    def factor(self) -> int:
        return int(2**self.doublings)


class Upscaler(nn.Module):
    """RGB pictures in -1..1 (B, 3, H, W) of any size to (B, 3, F H, F W), within -1..1 in eval mode."""

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(_Block(width) for _ in range(config.blocks)), nn.Conv2d(width, width, 3, padding=1))
        steps: list[nn.Module] = []
        for _ in range(config.doublings):
            narrow = max(8, width * 2 // 3 // 8 * 8)
            steps += [nn.Conv2d(width, 4 * narrow, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(0.1)]
            width = narrow
        self.rise = nn.Sequential(*steps)
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        # An untrained network is bicubic interpolation.
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        features = self.head(x_BCHW)
        features = self.rise(features + self.body(features))
        base = F.interpolate(x_BCHW.float(), scale_factor=self.config.factor, mode="bicubic", align_corners=False)
        enlarged: Tensor = base + self.out(features).float()
        return enlarged if self.training else enlarged.clamp(-1, 1)


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, without normalisation: it would lose the picture's contrast."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.second.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.second(F.leaky_relu(self.first(x), 0.1))
        return changed
