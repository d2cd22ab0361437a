"""A lip reader on disk: ``lip_reader.json`` and ``lip_reader.safetensors``."""

from __future__ import annotations

from pathlib import Path

from stages.common.model_files import load_weights, read_config, save_weights, write_config
from stages.models.lip_reader import LipReader, LipReaderConfig

_CONFIG_JSON = "lip_reader.json"
_WEIGHTS_FILE = "lip_reader.safetensors"


def save_lip_reader(model: LipReader, root: Path) -> None:
    """Write the units and sizes, and the weights as they are."""
    save_weights(model, root / _WEIGHTS_FILE)
    write_config(root / _CONFIG_JSON, model.config)


def load_lip_reader(root: Path, device: str = "cpu") -> LipReader:
    """Read what ``save_lip_reader`` wrote, in float32 and eval mode. Raises ``MissingModelError``."""
    model = LipReader(read_config(root / _CONFIG_JSON, LipReaderConfig))
    load_weights(model, root / _WEIGHTS_FILE)
    return model.to(device).eval().requires_grad_(False)
