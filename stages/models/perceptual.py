"""Perceptual distances between images. Shapes: B batch, C channels, H height, W width; images are RGB in -1..1."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

SQUEEZENET_NAME = "squeezenet1_1-imagenet"
"""The network behind ``PerceptualDistance``, as manifests record it."""

DEFAULT_TAPS = (1, 4, 7, 9, 12)
"""``squeezenet1_1().features`` indices: conv1, fire3, fire5, fire6 and fire9, at strides 2, 4, 8, 16 and 16."""

_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_LPIPS_BACKBONES = {"vgg": "vgg16-397923af.pth", "alex": "alexnet-owt-7be5be79.pth"}


class SqueezeNetFeatures(nn.Module):
    """Frozen SqueezeNet 1.1 feature maps of images in -1..1, ReLU'd, one per tap.

    ``state`` has the keys of ``torchvision.models.squeezenet1_1().features``, and its convolutions expect what Caffe
    fed them: BGR in 0..255 less the ImageNet mean. The module keeps ``state``'s tensors and always stays in eval mode.
    """

    mean_bgr: Tensor

    def __init__(self, state: Mapping[str, Tensor], taps: tuple[int, ...] = DEFAULT_TAPS) -> None:
        super().__init__()
        # On the meta device nothing is initialised, so building this draws no number from the caller's random stream.
        with torch.device("meta"):
            features = squeezenet1_1(weights=None).features
        features.load_state_dict(dict(state), strict=True, assign=True)
        self.layers = features[: max(taps) + 1].requires_grad_(False).eval()
        self.taps = frozenset(taps)
        self.register_buffer("mean_bgr", torch.tensor(_CAFFE_MEAN_BGR).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> SqueezeNetFeatures:
        """Stay in eval mode, whatever the training loop asks of its modules."""
        return self

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        x = (images_BCHW.flip(1) + 1) * 127.5 - self.mean_bgr
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                maps.append(x)
        return maps


class PerceptualDistance(nn.Module):
    """Mean over layers and positions of the squared difference between unit-length SqueezeNet feature vectors.

    The form is that of LPIPS (Zhang et al. 2018, eq. 1) with every channel weight one: there are no learned heads, so
    the values are NOT comparable with published LPIPS numbers. They lie in 0..2; 0 means equal features.
    Frozen; gradients reach both images. The features may run under autocast; normalisation is always float32.
    """

    name = SQUEEZENET_NAME

    def __init__(self, state: Mapping[str, Tensor], taps: tuple[int, ...] = DEFAULT_TAPS) -> None:
        super().__init__()
        self.features = SqueezeNetFeatures(state, taps)

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The mean distance over the batch, a float32 scalar. Height and width must be equal and at least 32."""
        return torch.stack([distance_BHW.mean() for distance_BHW in self._maps(x_BCHW, y_BCHW)]).mean()

    def each(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The distance of each pair, float32 (B,)."""
        return torch.stack([d_BHW.mean(dim=(1, 2)) for d_BHW in self._maps(x_BCHW, y_BCHW)]).mean(dim=0)

    def _maps(self, x_BCHW: Tensor, y_BCHW: Tensor) -> list[Tensor]:
        pairs = zip(self.features(x_BCHW), self.features(y_BCHW), strict=True)
        return [(_unit(a) - _unit(b)).square().sum(dim=1) for a, b in pairs]


def why_no_lpips(net: str) -> str:
    """What ``LpipsDistance(net)`` lacks on this machine; empty when it can be had."""
    if net not in _LPIPS_BACKBONES:
        return f"no LPIPS backbone {net!r}; known: {', '.join(_LPIPS_BACKBONES)}"
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed"
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / _LPIPS_BACKBONES[net]
    return "" if backbone.is_file() else f"LPIPS needs {backbone.name} in the torch hub cache"


class LpipsDistance(nn.Module):
    """Standard LPIPS v0.1 with its learned heads; needs the package ``lpips`` and a backbone in the torch hub cache.

    Raises ``LookupError`` when either is absent: nothing is ever downloaded here.
    """

    def __init__(self, net: str = "vgg") -> None:
        super().__init__()
        missing = why_no_lpips(net)
        if missing:
            raise LookupError(missing)
        import lpips

        self.name = f"lpips-0.1-{net}"
        with warnings.catch_warnings():  # lpips still calls torchvision with its deprecated ``pretrained``
            warnings.simplefilter("ignore")
            self.network = lpips.LPIPS(net=net, verbose=False).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> LpipsDistance:
        return self

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The mean distance over the batch, a scalar; images in -1..1."""
        return self.each(x_BCHW, y_BCHW).mean()

    def each(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The distance of each pair, (B,)."""
        distances_B: Tensor = self.network(x_BCHW, y_BCHW).flatten()
        return distances_B

    def deepest_features(self, images_BCHW: Tensor) -> Tensor:
        """The last of the backbone's feature maps that the distance compares; images in -1..1."""
        features: Tensor = self.network.net(self.network.scaling_layer(images_BCHW))[-1]
        return features


def _unit(features_BCHW: Tensor) -> Tensor:
    features = features_BCHW.float()
    # The epsilon is inside the root: dead positions then have a finite gradient.
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + 1e-6)
