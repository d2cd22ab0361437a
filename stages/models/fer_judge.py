"""Mini-Xception, the small FER2013 recogniser, as pure torch. Shapes: B batch, C channels, H height, W width."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FER_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's order, under facediff's names."""

FER_SIZE_PX = 64


class FerNetwork(nn.Module):
    """Probabilities over ``FER_LABELS`` of 64x64 grey faces (Arriaga et al. 2017, arXiv:1710.07557, section III).

    The network of TensorFlow's making: ``same`` padding puts the odd pixel after, batch norms have epsilon 1e-3.
    Children are registered in the order in which the Keras file numbers its layers, by kind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(1, 8), nn.ReLU(), *_conv_norm(8, 8), nn.ReLU())
        widths = (8, 16, 32, 64, 128)
        self.blocks = nn.Sequential(*(_Block(i, o) for i, o in itertools.pairwise(widths)))
        self.head = nn.Conv2d(widths[-1], len(FER_LABELS), 3, padding=1)
        self.eval()

    def forward(self, faces_B1HW: Tensor) -> Tensor:
        """Probabilities (B, 7) of grey faces (B, 1, 64, 64) in -1..1."""
        logits: Tensor = self.head(self.blocks(self.stem(faces_B1HW))).mean(dim=(2, 3))
        return logits.softmax(dim=1)


class _Block(nn.Module):
    """Two separable convolutions and a max pool, beside a strided 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)
        self.shortcut_norm = _norm(out_channels)
        self.first, self.first_norm = _separable(in_channels, out_channels), _norm(out_channels)
        self.second, self.second_norm = _separable(out_channels, out_channels), _norm(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        residual: Tensor = self.shortcut_norm(self.shortcut(x_BCHW))
        x = F.relu(self.first_norm(self.first(x_BCHW)))
        x = self.second_norm(self.second(x))
        return F.max_pool2d(_pad_same(x), kernel_size=3, stride=2) + residual


def _pad_same(x_BCHW: Tensor) -> Tensor:
    """TensorFlow's ``same`` padding for a 3x3 pool of stride 2."""
    totals = [1 + size % 2 for size in (x_BCHW.shape[3], x_BCHW.shape[2])]
    return F.pad(x_BCHW, [side for total in totals for side in (total // 2, total - total // 2)], value=-torch.inf)


def _separable(in_channels: int, out_channels: int) -> nn.Sequential:
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise))


def _conv_norm(in_channels: int, out_channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, out_channels, 3, bias=False), _norm(out_channels)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
