"""SyncNet (Chung and Zisserman, 2016): one embedding of five frames of a face, one of the sound of the same 0.2 s.

The names of its parts are those of the authors' published weights. B windows, C channels, 13 MFCCs of 20 steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

WINDOW_FRAMES = 5
WINDOW_STEPS = 20
FACE_PX = 224


class SyncNetSizes(BaseModel):
    """The defaults are the published ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lip_channels: tuple[int, int, int] = (96, 256, 512)
    sound_channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)
    dim: int = 1024


class SyncNet(nn.Module):
    """Close embeddings mean that face and sound belong together."""

    def __init__(self, sizes: SyncNetSizes | None = None) -> None:
        super().__init__()
        sizes = sizes or SyncNetSizes()
        self.netcnnaud = _sound_layers(sizes.sound_channels)
        self.netfcaud = _head(sizes.sound_channels[-1], sizes.dim)
        self.netcnnlip = _lip_layers(sizes.lip_channels)
        self.netfclip = _head(sizes.lip_channels[-1], sizes.dim)

    def embed_faces(self, faces_BCTHW: Tensor) -> Tensor:
        """Faces as BGR 0..255 (B, 3, 5, 224, 224) to (B, D)."""
        embedded: Tensor = self.netfclip(self.netcnnlip(faces_BCTHW).flatten(1))
        return embedded

    def embed_sound(self, mfcc_BCFT: Tensor) -> Tensor:
        """Cepstra of 16-bit samples (B, 1, 13, 20) to (B, D)."""
        embedded: Tensor = self.netfcaud(self.netcnnaud(mfcc_BCFT).flatten(1))
        return embedded


def _sound_layers(channels: Sequence[int]) -> nn.Sequential:
    a, b, c, d, e = channels
    return nn.Sequential(
        *_conv2d(1, a),
        nn.MaxPool2d((1, 1), stride=(1, 1)),
        *_conv2d(a, b),
        nn.MaxPool2d((3, 3), stride=(1, 2)),
        *_conv2d(b, c),
        *_conv2d(c, d),
        *_conv2d(d, d),
        nn.MaxPool2d((3, 3), stride=(2, 2)),
        *_conv2d(d, e, (5, 4), 0),
    )


def _lip_layers(channels: Sequence[int]) -> nn.Sequential:
    a, b, c = channels
    return nn.Sequential(
        *_conv3d(3, a, (5, 7, 7), (1, 2, 2), 0),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
        *_conv3d(a, b, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        *_conv3d(b, b, (1, 3, 3), 1, (0, 1, 1)),
        *_conv3d(b, b, (1, 3, 3), 1, (0, 1, 1)),
        *_conv3d(b, b, (1, 3, 3), 1, (0, 1, 1)),
        nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
        *_conv3d(b, c, (1, 6, 6), 1, 0),
    )


def _conv2d(narrow: int, wide: int, kernel: tuple[int, int] = (3, 3), padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, kernel, padding=padding), nn.BatchNorm2d(wide), nn.ReLU()]


def _conv3d(
    narrow: int,
    wide: int,
    kernel: tuple[int, int, int],
    stride: int | tuple[int, int, int],
    padding: int | tuple[int, int, int],
) -> list[nn.Module]:
    return [nn.Conv3d(narrow, wide, kernel, stride, padding), nn.BatchNorm3d(wide), nn.ReLU()]


def _head(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, dim))
