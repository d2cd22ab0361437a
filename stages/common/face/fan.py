"""The weights of FAN. Importing this loads no torch."""

from __future__ import annotations

from typing import Any

from stages.common import torch_hub
from stages.common.errors import MissingModelError

# The addresses are those of the face-alignment package, repeated because importing it takes seconds.
WEIGHT_URLS = (
    "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar",
    "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
)


def missing_weights() -> list[str]:
    """Addresses of the weights of FAN and of its box detector that torch hub's folder does not hold."""
    return torch_hub.missing(WEIGHT_URLS)


def fetch_weights() -> bool:
    """Fetch what is missing, if the server answers at once; false when it does not."""
    return torch_hub.fetch(WEIGHT_URLS)


def load_network(device: str) -> Any:
    """The package's ``FaceAlignment`` for 68 points in the plane. Raises ``MissingModelError`` without its weights."""
    if missing_weights() and not fetch_weights():
        raise MissingModelError(
            "the weights of FAN are not here and cannot be fetched", "Use --detector dlib, or go online once"
        )
    import face_alignment

    return face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D, device=device, flip_input=False, compile=False
    )
