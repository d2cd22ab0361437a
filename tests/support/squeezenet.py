"""A SqueezeNet file as Keras writes it, for tests of what reads one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import squeezenet1_1

_FIRES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
_PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
_NAMES = {"conv1": "0"} | {
    f"fire{fire}/{keras}": f"{index}.{ours}" for fire, index in _FIRES.items() for keras, ours in _PARTS.items()
}


def write_squeezenet(path: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """The convolutions of ``state``, by default random ones, without a top. Needs h5py."""
    import h5py

    if state is None:
        torch.manual_seed(0)
        state = squeezenet1_1(weights=None).features.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in _NAMES)]
        file.create_group("input_1").attrs["weight_names"] = []
        for keras, ours in _NAMES.items():
            group = file.create_group(keras)
            group.attrs["weight_names"] = [b"kernel", b"bias"]
            group["kernel"] = state[f"{ours}.weight"].permute(2, 3, 1, 0).numpy()
            group["bias"] = state[f"{ours}.bias"].numpy()
