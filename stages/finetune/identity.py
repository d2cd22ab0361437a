"""The network behind the identity loss, from the model store."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.common.engine import describe_source
from stages.common.errors import MissingModelError
from stages.common.experts import require_expert
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.similarity import estimate_similarity
from stages.common.hashing import hash_file
from stages.common.manifest import Artifact
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.models.ir_se50 import ARCFACE_POINTS, SIZE_PX, IdentityDistance, IrSe50
from stages.models.perceptual import PerceptualDistance

_ARCFACE = "ir-se50"
_OTHERS = "name another network with --identity squeezenet or none (recorded as such)"


def find_identity(name: str) -> Artifact | None:
    """The weights of an identity network as the input of a run, by their content; None for "none".

    Raises ``MissingModelError`` when they are not in the store.
    """
    if name == "none":
        return None
    path = squeezenet_file() if name == "squeezenet" else _arcface_file()
    if not path.is_file():
        raise MissingModelError(f"no weights of the identity network {name} at {path}", f"Put it there, or {_OTHERS}")
    return describe_source(path.parent, hash_file(path))


def load_identity(name: str, device: str) -> nn.Module | None:
    """The distance between two faces. Raises ``MissingModelError`` when the weights are absent or of another network.

    SqueezeNet's perceptual distance is no recogniser: it also counts the expression as a difference.
    """
    if name == "none":
        return None
    if name == "squeezenet":
        return PerceptualDistance(load_squeezenet_keras(squeezenet_file())).to(device).eval()
    recogniser = load_ir_se50(_arcface_file())
    return IdentityDistance(recogniser, arcface_crop()).to(device).eval()


def _arcface_file() -> Path:
    try:
        return require_expert(_ARCFACE)
    except MissingModelError as error:
        raise MissingModelError(error.what, f"{error.hint}, or {_OTHERS}") from error


def load_ir_se50(path: Path) -> IrSe50:
    """The recogniser, frozen. Raises ``MissingModelError``."""
    with torch.device("meta"):
        recogniser = IrSe50()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        recogniser.load_state_dict(state, strict=True, assign=True)
    except (OSError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        raise MissingModelError(f"{path} does not hold IR-SE50", f"Get it again, or {_OTHERS}") from error
    return recogniser.float().eval().requires_grad_(False)


def arcface_crop() -> Tensor:
    """``IdentityDistance.crop_23``: from ArcFace's crop to ours, by the five points that both know."""
    points = (canonical_landmarks(1) + 0.5) * 2 - 1
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    ours = np.stack([*eyes, points[30], points[48], points[54]])
    theirs = (np.array(ARCFACE_POINTS) + 0.5) / SIZE_PX * 2 - 1
    return torch.from_numpy(estimate_similarity(theirs, ours))
