"""Models on disk, in diffusers' layout: ``vqvae/``, ``unet/``, ``scheduler/`` and what diffusers has no place for beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from diffusers import VQModel
from pydantic import BaseModel

from stages.common.manifest import write_atomically
from stages.models.first_stage import FirstStage, FirstStageConfig

_FIRST_STAGE_JSON = "first_stage.json"

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def save_first_stage(model: FirstStage, root: Path) -> None:
    """Write ``vqvae/`` and the folds in ``first_stage.json``."""
    model.vq.save_pretrained(root / "vqvae", safe_serialization=True)
    _write_config(root / _FIRST_STAGE_JSON, model.config)


def load_first_stage(root: Path, device: str = "cpu") -> FirstStage:
    """Read what ``save_first_stage`` wrote, in float32 and eval mode."""
    config = _read_config(root / _FIRST_STAGE_JSON, FirstStageConfig)
    vq = VQModel.from_pretrained(root / "vqvae", use_safetensors=True, local_files_only=True)
    return FirstStage(config, vq.float()).to(device).eval().requires_grad_(False)


def _write_config(path: Path, config: BaseModel) -> None:
    write_atomically(path, config.model_dump_json(indent=2).encode() + b"\n")


def _read_config(path: Path, config_type: type[ConfigT]) -> ConfigT:
    return config_type.model_validate_json(path.read_bytes())
