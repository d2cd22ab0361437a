"""Read pretrained perceptual networks from files in the forms in which they are distributed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from stages.common.errors import MissingModelError
from stages.common.weights import cache_folder
from stages.models.perceptual import LpipsDistance, PerceptualDistance

_FIRES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
"""Keras fire number -> index in ``torchvision.models.squeezenet1_1().features``."""

_LAYERS = {
    "conv1": "0",
    **{
        f"fire{fire}/{part}": f"{index}.{part.replace('squeeze1x1', 'squeeze')}"
        for fire, index in _FIRES.items()
        for part in ("squeeze1x1", "expand1x1", "expand3x3")
    },
}


def load_perceptual(name: str) -> nn.Module | None:
    """The distance of a first stage's training: "lpips", "squeezenet", or None for "none".

    Raises ``MissingModelError`` when its weights are not here.
    """
    if name == "none":
        return None
    if name == "squeezenet":
        return PerceptualDistance(load_squeezenet_keras(squeezenet_file()))
    try:
        return LpipsDistance("vgg")
    except LookupError as error:
        raise MissingModelError(
            str(error), "Fetch it, or use --set perceptual=squeezenet (recorded as such)"
        ) from error


def squeezenet_file() -> Path:
    """Where the cache keeps the no-top Keras SqueezeNet 1.1; it may not be there."""
    return cache_folder() / "squeezenet" / "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"


def load_squeezenet_keras(path: Path) -> dict[str, Tensor]:
    """The convolutions of a no-top Keras SqueezeNet 1.1 file, as ``squeezenet1_1().features`` names and lays them out.

    Every layer of the file is used and every parameter of the network is set. Raises ``MissingModelError`` when the
    file is absent, is no such network, or the package h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingModelError("reading Keras weights needs h5py", "Install facediff[train]") from error
    if not path.is_file():
        raise MissingModelError(f"no SqueezeNet weights at {path}", "Give the .h5 file of the no-top Keras network")
    state: dict[str, Tensor] = {}
    try:
        with h5py.File(path, "r") as file:
            for name in map(_text, file.attrs["layer_names"]):
                for dataset in map(_text, file[name].attrs["weight_names"]):
                    value = torch.from_numpy(file[name][dataset][()])
                    is_kernel = value.ndim == 4
                    # Keras lays kernels out as height, width, in, out.
                    key = f"{_LAYERS[name]}.{'weight' if is_kernel else 'bias'}"
                    state[key] = value.permute(3, 2, 0, 1).contiguous() if is_kernel else value
    except (OSError, KeyError) as error:
        raise MissingModelError(f"{path} is not a no-top Keras SqueezeNet 1.1: {error}") from error
    if len(state) != 2 * len(_LAYERS):
        raise MissingModelError(f"{path} holds {len(state)} of the {2 * len(_LAYERS)} arrays of SqueezeNet 1.1")
    return state


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
