"""Weights in torch hub's folder: whether they are there, and fetching them. Importing this loads no torch."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path

_PROBE_TIMEOUT_S = 3.0


def checkpoints_folder() -> Path:
    """Torch hub's folder of checkpoints, found as torch finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def missing(urls: Sequence[str]) -> list[str]:
    """Those addresses whose files the folder does not hold."""
    return [url for url in urls if not (checkpoints_folder() / Path(url).name).is_file()]


def fetch(urls: Sequence[str]) -> bool:
    """Fetch what is missing, if the server answers at once; false when it does not."""
    try:
        for url in missing(urls):
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_TIMEOUT_S):
                pass
            _download(url, checkpoints_folder() / Path(url).name)
    except (OSError, RuntimeError):
        # Offline, refused or cut off: the caller does without, or says what is missing.
        return False
    return True


def _download(url: str, path: Path) -> None:
    import torch.hub

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), progress=False)
