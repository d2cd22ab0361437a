"""Pictures as points, such that near points are pictures that look alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stages.common.errors import MissingModelError
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.models.perceptual import SQUEEZENET_NAME, LpipsDistance, SqueezeNetFeatures
from stages.neighbors.config import NeighborsConfig, Space

Features = Callable[[Tensor], Tensor]
"""Pictures (B, 3, H, W) in -1..1 to points (B, D)."""


def load_features(space: Space, config: NeighborsConfig, device: str) -> tuple[str, Features]:
    """What the points of a space are called, and how they are made.

    Raises ``MissingModelError`` when the weights of a perceptual network are not here.
    """
    if space == "pixels":
        return "pixels", pixel_features
    if config.perceptual == "squeezenet" or (config.perceptual == "auto" and squeezenet_file().is_file()):
        network = SqueezeNetFeatures(load_squeezenet_keras(squeezenet_file())).to(device)
        return f"{SQUEEZENET_NAME}-fire9", lambda images: directions(network(images)[-1])
    try:
        lpips = LpipsDistance("vgg").to(device)
    except LookupError as error:
        tried = "no SqueezeNet weights, and " if config.perceptual == "auto" else ""
        raise MissingModelError(tried + str(error), "Fetch it, or compare pixels alone: --space pixels") from error
    return "vgg16-relu5_3", lambda images: directions(lpips.deepest_features(images))


@torch.no_grad()
def pixel_features(images_BCHW: Tensor) -> Tensor:
    """Distances are root mean squares over the values of a picture, in -1..1."""
    flat = images_BCHW.flatten(1)
    return flat.div(flat.shape[1] ** 0.5)


@torch.no_grad()
def directions(features_BCHW: Tensor) -> Tensor:
    """Each position's vector at unit length; squared distances are means over positions, as a layer's of LPIPS."""
    unit = features_BCHW / (features_BCHW.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()
    return unit.flatten(1).div((unit.shape[2] * unit.shape[3]) ** 0.5)
