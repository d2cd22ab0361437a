"""Where the networks of other people's metrics are looked for; nothing is ever downloaded here."""

from __future__ import annotations

from pathlib import Path

import torch

from stages.common.errors import MissingModelError
from stages.common.weights import cache_folder

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's Inception v3, converted from the TensorFlow network that FID is defined by."""

VGG16 = "vgg16-397923af.pth"
HSEMOTION = "enet_b2_7.onnx"
COSFACE = "glint360k_cosface_r100.onnx"
SYNCNET = "syncnet_v2.model"


def find_weights(file_name: str) -> Path | None:
    """The file in ``weights/`` of the model store, else in the torch hub cache, if it is there."""
    places = (cache_folder() / "weights", Path(torch.hub.get_dir()) / "checkpoints")
    return next((place / file_name for place in places if (place / file_name).is_file()), None)


def require_weights(file_name: str) -> Path:
    """As ``find_weights``. Raises ``MissingModelError``."""
    path = find_weights(file_name)
    if path is None:
        raise MissingModelError(f"no {file_name}", f"Put it into {cache_folder() / 'weights'}")
    return path
