"""Models on disk, in diffusers' layout: ``vqvae/``, ``unet/``, ``scheduler/``, and what diffusers has no place for beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel, VQModel
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file

from stages.common.errors import MissingModelError
from stages.common.manifest import write_atomically
from stages.models.denoiser import Denoiser, DenoiserConfig
from stages.models.emotion_classifier import EmotionClassifier, EmotionClassifierConfig
from stages.models.first_stage import FirstStage, FirstStageConfig
from stages.models.schedule import ScheduleConfig, build_scheduler

_FIRST_STAGE_JSON = "first_stage.json"
_DENOISER_JSON = "denoiser.json"
_INFO_JSON = "model.json"
_EMBEDDING_FILE = "emotion_embedding.safetensors"
_CLASSIFIER_FOLDER = "emotion_classifier"

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class ModelInfo(BaseModel):
    """What a model has learned: ``samples`` seen per emotion, those ``supported``, and the guidance scale that suits each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supported: tuple[str, ...]
    samples: Mapping[str, int]
    recommended_guidance: Mapping[str, float] = {}


def save_first_stage(model: FirstStage, root: Path) -> None:
    """Write ``vqvae/``, and the folds in ``first_stage.json``."""
    model.vq.save_pretrained(root / "vqvae", safe_serialization=True)
    _write_config(root / _FIRST_STAGE_JSON, model.config)


def load_first_stage(root: Path, device: str = "cpu") -> FirstStage:
    """Read what ``save_first_stage`` wrote, in float32 and eval mode."""
    config = _read_config(root / _FIRST_STAGE_JSON, FirstStageConfig)
    vq = VQModel.from_pretrained(root / "vqvae", use_safetensors=True, local_files_only=True, torch_dtype=torch.float32)
    return FirstStage(config, vq).to(device).eval().requires_grad_(False)


def save_denoiser(model: Denoiser, schedule: ScheduleConfig, info: ModelInfo, root: Path) -> None:
    """Write ``unet/``, ``scheduler/``, the emotion embedding, ``denoiser.json`` and ``model.json``."""
    model.unet.save_pretrained(root / "unet", safe_serialization=True)
    build_scheduler(schedule).save_pretrained(root / "scheduler")
    save_file({"weight": model.emotion_embedding.weight.detach().contiguous()}, root / _EMBEDDING_FILE)
    _write_config(root / _DENOISER_JSON, model.config)
    save_model_info(info, root)


def load_denoiser(root: Path, device: str = "cpu") -> Denoiser:
    """Read what ``save_denoiser`` wrote, in float32 and eval mode."""
    unet = UNet2DConditionModel.from_pretrained(
        root / "unet", use_safetensors=True, local_files_only=True, torch_dtype=torch.float32
    )
    embedding = load_file(root / _EMBEDDING_FILE)["weight"].float()
    model = Denoiser(_read_config(root / _DENOISER_JSON, DenoiserConfig), unet)
    model.emotion_embedding.load_state_dict({"weight": embedding})
    return model.to(device).eval().requires_grad_(False)


def load_scheduler(root: Path) -> DDIMScheduler:
    return DDIMScheduler.from_pretrained(root / "scheduler", local_files_only=True)


def load_schedule_config(root: Path) -> ScheduleConfig:
    scheduler = load_scheduler(root).config
    return ScheduleConfig.model_validate({name: scheduler[name] for name in ScheduleConfig.model_fields})


def save_model_info(info: ModelInfo, root: Path) -> None:
    _write_config(root / _INFO_JSON, info)


def load_model_info(root: Path) -> ModelInfo:
    return _read_config(root / _INFO_JSON, ModelInfo)


def save_emotion_classifier(model: EmotionClassifier, root: Path) -> None:
    """Write ``emotion_classifier/`` below ``root``."""
    folder = root / _CLASSIFIER_FOLDER
    folder.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    _write_config(folder / "config.json", model.config)


def load_emotion_classifier(root: Path, device: str = "cpu") -> EmotionClassifier | None:
    """Read what ``save_emotion_classifier`` wrote, in float32 and eval mode; None where a model comes without one."""
    folder = root / _CLASSIFIER_FOLDER
    if not folder.is_dir():
        return None
    model = EmotionClassifier(_read_config(folder / "config.json", EmotionClassifierConfig))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.float().to(device).eval().requires_grad_(False)


def _write_config(path: Path, config: BaseModel) -> None:
    write_atomically(path, config.model_dump_json(indent=2).encode() + b"\n")


def _read_config(path: Path, config_type: type[ConfigT]) -> ConfigT:
    try:
        return config_type.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MissingModelError(f"{path.parent} is not a facediff model: {path.name} is missing or wrong") from error
