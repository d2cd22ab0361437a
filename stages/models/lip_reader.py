"""The lip reader: a 3-D convolution, a ResNet-18 a frame, a conformer over frames, and two readers of what it finds.

B clips, T frames, S px the side of a mouth, D channels, V = units + 2 classes: the blank (which only CTC has), the
units, and the start and end of a text (one class, the last). L units of a text.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from stages.models.conformer import Conformer, sinusoids

_EPS = 1e-12


class LipReaderSizes(BaseModel):
    """The defaults are those of Auto-AVSR (Ma et al., 2023)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trunk_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    shrink: int = Field(default=1, ge=1, le=4)
    """How many times smaller a mouth is made first: with 2 the trunk has a quarter of the work."""
    dim: int = Field(default=768, ge=2, multiple_of=2)
    heads: int = Field(default=12, ge=1)
    feedforward_dim: int = Field(default=3072, ge=1)
    encoder_layers: int = Field(default=12, ge=1)
    decoder_layers: int = Field(default=6, ge=1)
    kernel_size: int = Field(default=31, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fit(self) -> LipReaderSizes:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not a multiple of the {self.heads} heads")
        if self.kernel_size % 2 == 0:
            raise ValueError("kernel_size must be odd")
        return self


class LipReaderConfig(LipReaderSizes):
    """The sizes, and the ``units`` of text, which are characters or pieces of words."""

    units: tuple[str, ...] = Field(min_length=1)

    @property
    def edge(self) -> int:
        """The class of the start and of the end of a text."""
        return len(self.units) + 1


class LipReader(nn.Module):
    """Mouths to features, and features to logits: of CTC for each frame, of the decoder for each next unit."""

    def __init__(self, config: LipReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.front = FrontEnd(config.trunk_channels, config.shrink)
        self.project = nn.Linear(config.trunk_channels[-1], config.dim)
        self.encoder = Conformer(
            config.encoder_layers,
            dim=config.dim,
            heads=config.heads,
            feedforward_dim=config.feedforward_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
        )
        self.ctc = nn.Linear(config.dim, config.edge + 1)
        self.decoder = TextDecoder(config)

    def features(self, mouths_BTHW: Tensor, lengths_B: Tensor) -> Tensor:
        """Normalised mouths (B, T, S, S) of clips of ``lengths_B`` frames to (B, T, D)."""
        valid_BT = valid_frames(lengths_B, mouths_BTHW.shape[1])
        seen_ND = self.project(self.front(mouths_BTHW, valid_BT))
        x_BTD = seen_ND.new_zeros(*valid_BT.shape, self.config.dim)
        x_BTD[valid_BT] = seen_ND
        features: Tensor = self.encoder(x_BTD, valid_BT)
        return features

    def ctc_logits(self, features_BTD: Tensor) -> Tensor:
        """(B, T, V)."""
        logits: Tensor = self.ctc(features_BTD)
        return logits

    def next_logits(self, prefixes_BL: Tensor, features_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """What follows each start (the edge, then units) of texts (B, L): (B, L, V)."""
        logits: Tensor = self.decoder(prefixes_BL, features_BTD, valid_frames(lengths_B, features_BTD.shape[1]))
        return logits

    def forward(self, mouths_BTHW: Tensor, lengths_B: Tensor, prefixes_BL: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of CTC, and of the units after ``prefixes_BL``."""
        features = self.features(mouths_BTHW, lengths_B)
        return self.ctc_logits(features), self.next_logits(prefixes_BL, features, lengths_B)


class FrontEnd(nn.Module):
    """Frames of mouths to one vector each: a 5x7x7 convolution over space and time, then ResNet-18 (with SiLU)."""

    def __init__(self, channels: tuple[int, int, int, int], shrink: int) -> None:
        super().__init__()
        self.shrink = nn.AvgPool2d(shrink) if shrink > 1 else nn.Identity()
        self.stem = nn.Conv3d(1, channels[0], (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
        self.norm = nn.BatchNorm2d(channels[0])
        widths = (channels[0], *channels)
        self.trunk = nn.Sequential(
            *(_level(a, b, 1 if n == 0 else 2) for n, (a, b) in enumerate(itertools.pairwise(widths)))
        )

    def forward(self, mouths_BTHW: Tensor, valid_BT: Tensor) -> Tensor:
        """The vectors (N, C) of the N valid frames; frames before the first and past the end count as zeros."""
        steps = self.stem.kernel_size[0]
        padded = F.pad(self.shrink(mouths_BTHW) * valid_BT[..., None, None], (0, 0, 0, 0, steps // 2, steps // 2))
        # With one input channel the steps of time are channels of a convolution over space, which is faster.
        windows_NHWK = torch.stack([padded[:, k : k + valid_BT.shape[1]] for k in range(steps)], dim=-1)[valid_BT]
        x = F.conv2d(windows_NHWK.permute(0, 3, 1, 2), self.stem.weight[:, 0], stride=2, padding=3)
        x = F.max_pool2d(F.silu(self.norm(x)), 3, stride=2, padding=1)
        features: Tensor = self.trunk(x).mean(dim=(2, 3))
        return features


class TextDecoder(nn.Module):
    """A transformer that says the next unit from the units so far and the features of the clip."""

    def __init__(self, config: LipReaderConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.edge + 1, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerDecoderLayer(
            config.dim,
            config.heads,
            config.feedforward_dim,
            config.dropout,
            layer_norm_eps=_EPS,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerDecoder(layer, config.decoder_layers, nn.LayerNorm(config.dim, eps=_EPS))
        self.out = nn.Linear(config.dim, config.edge + 1)

    def forward(self, prefixes_BL: Tensor, features_BTD: Tensor, valid_BT: Tensor) -> Tensor:
        embedded = self.embedding(prefixes_BL)
        count, dim = embedded.shape[1:]
        numbers = torch.arange(count, device=prefixes_BL.device)
        x = self.dropout(embedded * math.sqrt(dim) + sinusoids(numbers, dim).to(embedded.dtype))
        future = numbers[None] > numbers[:, None]
        decoded = self.layers(x, features_BTD, tgt_mask=future, memory_key_padding_mask=~valid_BT)
        logits: Tensor = self.out(decoded)
        return logits


def valid_frames(lengths_B: Tensor, count: int) -> Tensor:
    """Which of ``count`` frames (B, T) are part of clips of these lengths."""
    return torch.arange(count, device=lengths_B.device) < lengths_B[:, None]


def _level(narrow: int, wide: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or narrow != wide:
        shortcut = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))
    blocks = nn.Sequential(BasicBlock(narrow, wide, stride, shortcut), BasicBlock(wide, wide))
    for block in blocks:
        block.relu = nn.SiLU(inplace=True)
    return blocks
