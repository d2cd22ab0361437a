"""The emotion classifier of clean face crops: a small residual network."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class EmotionClassifierConfig(BaseModel):
    """``channels`` of the stages, each halving the resolution; the input is resized to ``size_px``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 192)
    num_classes: int = 8
    dropout: float = 0.2


class EmotionClassifier(nn.Module):
    """RGB crops in -1..1 (B, 3, H, W) of any size to logits (B, num_classes) in the order of the emotions."""

    def __init__(self, config: EmotionClassifierConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.channels[0], *config.channels)
        self.stem = _normalised(nn.Conv2d(3, widths[0], 3, padding=1, bias=False))
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in itertools.pairwise(widths)))
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(widths[-1], config.num_classes))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        size = (self.config.size_px, self.config.size_px)
        x = F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)
        features = self.blocks(F.relu(self.stem(x))).mean(dim=(2, 3))
        logits: Tensor = self.head(features)
        return logits


class _Block(nn.Module):
    """Two 3x3 convolutions, the first with stride 2, and a 1x1 shortcut (ResNet, He et al. 2016)."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.first = _normalised(nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False))
        self.second = _normalised(nn.Conv2d(wide, wide, 3, padding=1, bias=False))
        self.shortcut = _normalised(nn.Conv2d(narrow, wide, 1, stride=2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))
