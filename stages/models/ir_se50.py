"""IR-SE50, the face recogniser of the identity loss (ArcFace, Deng et al. 2019; thesis 4.5.2), and that loss.

Parameters have the names of the published PyTorch weights ``model_ir_se50.pth``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_PX = 112
_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels and number of units of each stage; the first unit of a stage halves the resolution."""

ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where eyes, tip of the nose and corners of the mouth lie (x, y) in the 112 px crops that ArcFace learned from."""


class _SqueezeExcitation(nn.Module):
    """Channels weighted by what all positions say (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        weighted: Tensor = x * weights.sigmoid()
        return weighted


class _Unit(nn.Module):
    """A residual unit of ArcFace's "improved" form: BN, convolution, PReLU, convolution, BN, and squeeze-excitation."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if narrow == wide:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(narrow),
            nn.Conv2d(narrow, wide, 3, 1, 1, bias=False),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, bias=False),
            nn.BatchNorm2d(wide),
            _SqueezeExcitation(wide),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return added


class IrSe50(nn.Module):
    """Aligned RGB faces in -1..1 (B, 3, 112, 112) to embeddings of length one (B, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        units: list[nn.Module] = []
        narrow = 64
        for wide, count in _STAGES:
            units += [_Unit(narrow, wide, 2), *(_Unit(wide, wide, 1) for _ in range(count - 1))]
            narrow = wide
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(narrow),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(narrow * (SIZE_PX // 2 ** len(_STAGES)) ** 2, 512),
            nn.BatchNorm1d(512),
        )

    def forward(self, faces_BCHW: Tensor) -> Tensor:
        embedding_BD = self.output_layer(self.body(self.input_layer(faces_BCHW)))
        return F.normalize(embedding_BD.float(), dim=1)


class IdentityDistance(nn.Module):
    """1 - cos between the embeddings of two pictures of aligned faces.

    ``crop_23`` maps where a pixel lies in the recogniser's crop (x, y) to where it lies in the pictures, both as
    ``affine_grid`` counts: -1..1 from edge to edge.
    """

    crop_23: Tensor

    def __init__(self, recogniser: nn.Module, crop_23: Tensor) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.register_buffer("crop_23", crop_23.float())

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The mean distance, a scalar in 0..2; gradients reach ``x_BCHW`` alone."""
        with torch.no_grad():
            there_BD = self.recogniser(self._crop(y_BCHW))
        here_BD: Tensor = self.recogniser(self._crop(x_BCHW))
        distance: Tensor = 1 - (here_BD * there_BD).sum(dim=1).mean()
        return distance

    def _crop(self, x_BCHW: Tensor) -> Tensor:
        grid = F.affine_grid(
            self.crop_23.expand(len(x_BCHW), 2, 3), [len(x_BCHW), 3, SIZE_PX, SIZE_PX], align_corners=False
        )
        return F.grid_sample(x_BCHW.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
