"""The student of expressions: an aligned crop to 478 points, 51 coefficients and a confidence.

The teacher's coefficients are a function of 146 of its points. The network learns that function as a part of its own,
``coefficients_of_points``; for a picture, whose points it can only estimate, it reads the coefficients from what that
function makes of them together with what the picture shows.
Shapes: P = 478 points, K = 51 coefficients, T = 146 telling points.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from stages.models.telling_points import TELLING_POINTS


class ExpressionNetworkConfig(BaseModel):
    """What the network is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    size_px: int = 128
    """The side to which a crop is resized; a multiple of two to the number of ``channels``."""
    channels: tuple[int, ...] = (16, 24, 48, 96, 160)
    """Features after each halving of the resolution."""
    points: int = 478
    """Points of a face."""
    coefficients: int = 51
    """Coefficients of an expression."""
    features: int = 192
    """Size of the description of a face from which points, confidence and a part of the coefficients are read."""
    hidden: tuple[int, ...] = (256, 128)
    """Hidden layers of the function from points to coefficients."""


class Measured(NamedTuple):
    """``points_BP3`` in pixels of the crop, ``coefficients_BK`` 0..1, ``confidence_B`` 0..1."""

    points_BP3: Tensor
    coefficients_BK: Tensor
    confidence_B: Tensor


class RawMeasured(NamedTuple):
    """As the losses want it: points in pixels of ``size_px``, coefficients not clamped, logits of the confidence."""

    points_BP3: Tensor
    coefficients_BK: Tensor
    logits_B: Tensor


class ExpressionNetwork(nn.Module):
    """RGB crops in -1..1 (B, 3, H, H) of any size to what ``Measured`` holds."""

    mean_shape: Tensor
    coefficient_mean: Tensor
    coefficient_scale: Tensor
    telling: Tensor

    def __init__(self, config: ExpressionNetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        side = config.size_px // 2 ** len(widths)
        self.stem = nn.Sequential(*_halving(3, widths[0]), *_halving(widths[0], widths[1]))
        stages = [nn.Sequential(*_halving(a, b), _Residual(b)) for a, b in itertools.pairwise(widths[1:])]
        self.stages = nn.Sequential(_Residual(widths[1]), *stages)
        self.describe = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * side * side, config.features), nn.BatchNorm1d(config.features)
        )
        self.shape = nn.Linear(config.features, 3 * config.points)
        self.interpret = _perceptron(2 * len(TELLING_POINTS), *config.hidden)
        self.from_points = nn.Linear(config.hidden[-1], config.coefficients)
        joined = config.hidden[-1] + config.features
        self.from_both = nn.Sequential(
            _perceptron(joined, config.hidden[-1]), nn.Linear(config.hidden[-1], config.coefficients)
        )
        self.certainty = nn.Linear(config.features, 1)
        self.register_buffer("mean_shape", torch.zeros(config.points, 3))
        self.register_buffer("coefficient_mean", torch.zeros(config.coefficients))
        self.register_buffer("coefficient_scale", torch.ones(config.coefficients))
        self.register_buffer("telling", torch.tensor(TELLING_POINTS), persistent=False)

    @torch.no_grad()
    def fit(self, points_NP3: Tensor, coefficients_NK: Tensor) -> None:
        """Begin at the mean shape of known faces, in pixels of ``size_px``, and at how such faces mostly vary."""
        centered = (points_NP3 - points_NP3.mean(dim=0)).flatten(1)
        rank = min(self.config.features, *centered.shape)
        _, deviations, directions = torch.svd_lowrank(centered, rank, niter=4)
        self.mean_shape.copy_(points_NP3.mean(dim=0))
        self.shape.weight.zero_()
        self.shape.bias.zero_()
        self.shape.weight[:, :rank] = directions * (deviations / len(centered) ** 0.5)
        self.coefficient_mean.copy_(coefficients_NK.mean(dim=0))
        self.coefficient_scale.copy_(coefficients_NK.std(dim=0).clamp(min=1e-4))

    def forward(self, x_BCHW: Tensor) -> Measured:
        raw = self.measure(x_BCHW)
        scale = x_BCHW.shape[-1] / self.config.size_px
        moved = (raw.points_BP3 + _CENTRE.to(raw.points_BP3)) * scale - _CENTRE.to(raw.points_BP3)
        return Measured(moved, raw.coefficients_BK.clamp(0, 1), raw.logits_B.sigmoid())

    def measure(self, x_BCHW: Tensor) -> RawMeasured:
        size = (self.config.size_px, self.config.size_px)
        if x_BCHW.shape[-2:] != size:
            x_BCHW = F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)
        features = self.describe(self.stages(self.stem(x_BCHW)))
        with torch.autocast(x_BCHW.device.type, enabled=False):
            features = features.float()
            points = self.mean_shape + self.shape(features).unflatten(1, (self.config.points, 3))
            interpreted = self.interpret(self._normalise(points))
            standard = self.from_both(torch.cat([interpreted, features], dim=1))
            logits = self.certainty(features).squeeze(1)
        return RawMeasured(points, self.coefficient_mean + self.coefficient_scale * standard, logits)

    def coefficients_of_points(self, points_BP3: Tensor) -> Tensor:
        """What coefficients (B, K), not clamped, the teacher would give these points, of any size and place."""
        standard: Tensor = self.from_points(self.interpret(self._normalise(points_BP3.float())))
        return self.coefficient_mean + self.coefficient_scale * standard

    def _normalise(self, points_BP3: Tensor) -> Tensor:
        """Telling points (B, 2T) laid over the mean shape by a similarity, as their offsets from it in 1/32 side.

        The similarity is ``estimate_similarity``'s: a factor a = sum conj(z) w / sum |z|^2 of complex numbers.
        """
        points, mean = points_BP3[:, self.telling, :2], self.mean_shape[self.telling, :2]
        z, w = points - points.mean(dim=1, keepdim=True), mean - mean.mean(dim=0)
        (zx, zy), (wx, wy) = z.unbind(-1), w.unbind(-1)
        spread = (z**2).sum(dim=(1, 2)).clamp(min=1e-6)[:, None]
        real = (zx * wx + zy * wy).sum(dim=1, keepdim=True) / spread
        imaginary = (zx * wy - zy * wx).sum(dim=1, keepdim=True) / spread
        laid = torch.stack([real * zx - imaginary * zy, imaginary * zx + real * zy], dim=-1)
        return ((laid - w) * (32 / self.config.size_px)).flatten(1)


_CENTRE = torch.tensor([0.5, 0.5, 0.0])
"""Pixels' centres are whole: the crop's edge is at -0.5."""


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet, He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def _halving(narrow: int, wide: int) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*layers)
