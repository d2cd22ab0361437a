"""The weights of FAN: where they lie, whether they are there, and fetching them. Importing this loads no torch."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path
from typing import Any

from stages.common.errors import MissingModelError

# The addresses are those of the face-alignment package, repeated because importing it takes seconds.
WEIGHT_URLS = (
    "https://www.adrianbulat.com/downloads/python-fan/2DFAN4-11f355bf06.pth.tar",
    "https://www.adrianbulat.com/downloads/python-fan/s3fd-619a316812.pth",
)
_PROBE_TIMEOUT_S = 3.0


def weights_folder() -> Path:
    """Torch hub's folder of checkpoints, found as torch finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def missing_weights() -> list[str]:
    """Addresses of the weights of FAN and of its box detector that torch hub's folder does not hold."""
    return [url for url in WEIGHT_URLS if not (weights_folder() / Path(url).name).is_file()]


def fetch_weights() -> bool:
    """Fetch what is missing, if the server answers at once; false when it does not."""
    try:
        for url in missing_weights():
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_TIMEOUT_S):
                pass
            _download(url, weights_folder() / Path(url).name)
    except (OSError, RuntimeError):
        # Offline, refused or cut off: the caller has another detector, or says what is missing.
        return False
    return True


def _download(url: str, path: Path) -> None:
    import torch.hub

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), progress=False)


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
