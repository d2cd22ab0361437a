"""Models on disk, in diffusers' layout (``vqvae/``, ``unet/``, ``scheduler/``), and beside it what diffusers lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from diffusers import DDIMScheduler, UNet2DConditionModel, VQModel
from pydantic import BaseModel, ConfigDict
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.face.basis import ExpressionBasis, with_bumps
from stages.common.manifest import Artifact
from stages.common.model_files import (
    ConfigT,
    load_network,
    load_weights,
    read_config,
    readable,
    save_network,
    save_weights,
    write_config,
)
from stages.models.denoiser import Denoiser, DenoiserConfig
from stages.models.emotion_classifier import EmotionClassifier, EmotionClassifierConfig
from stages.models.expression_network import ExpressionNetwork, ExpressionNetworkConfig
from stages.models.first_stage import FirstStage, FirstStageConfig, Pixels, PixelsConfig
from stages.models.latent_space import LatentSpace
from stages.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from stages.models.patch_autoencoder import PatchAutoencoder, PatchAutoencoderConfig
from stages.models.schedule import ScheduleConfig, build_scheduler
from stages.models.upscaler import Upscaler, UpscalerConfig

_FIRST_STAGE_JSON = "first_stage.json"
_PIXELS_JSON = "pixels.json"
_DENOISER_JSON = "denoiser.json"
_INFO_JSON = "model.json"
_AUTOENCODER_FOLDER = "patch_autoencoder"
_EMBEDDING_FILE = "emotion_embedding.safetensors"
_EXPRESSION_EMBEDDING_FILE = "expression_embedding.safetensors"
_BASIS_ARRAYS = ("mean_P3", "basis_KP3", "usual_K", "rest_K")
_BASIS_FILE = "expression_basis.safetensors"
_CLASSIFIER_FOLDER = "emotion_classifier"
_EXPRESSION_FOLDER = "expression_network"
_NOISY_CLASSIFIER_FOLDER = "noisy_classifier"
_UPSCALER_FOLDER = "upscaler"

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class ModelInfo(BaseModel):
    """What a model has learned: ``samples`` per emotion, those ``supported``, the guidance scale that suits each.

    ``latent_rms`` is the largest root mean square that one training picture's latents have; None where it is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    supported: tuple[str, ...]
    samples: Mapping[str, int]
    recommended_guidance: Mapping[str, float] = {}
    recommended_settings: Mapping[str, int | float | str] = {}
    """Settings of an edit (``strength``, ``steps``, ``sampler``, ``guidance``) unless the user gives them."""
    by_coefficients: bool = False
    """Whether edits are by coefficients of the expression, so that faces can be given any emotion."""

    @property
    def editable(self) -> tuple[str, ...]:
        """The emotions that a face can be given."""
        return EMOTIONS if self.by_coefficients else self.supported

    latent_rms: float | None = None


def save_first_stage(model: FirstStage, root: Path) -> None:
    """Write ``vqvae/``, and the folds in ``first_stage.json``."""
    save_network(model.vq, root / "vqvae")
    write_config(root / _FIRST_STAGE_JSON, model.config)


def load_first_stage(root: Path, device: str = "cpu") -> FirstStage:
    """Read what ``save_first_stage`` wrote, in float32 and eval mode."""
    config = read_config(root / _FIRST_STAGE_JSON, FirstStageConfig)
    vq = load_network(VQModel, root / "vqvae")
    return FirstStage(config, vq).to(device).eval().requires_grad_(False)


def save_latent_space(model: LatentSpace, root: Path) -> None:
    """Write a model's first stage, or in ``pixels.json`` that it has none."""
    if isinstance(model, Pixels):
        write_config(root / _PIXELS_JSON, model.config)
    elif isinstance(model, PatchAutoencoder):
        save_patch_autoencoder(model, root)
    else:
        save_first_stage(model, root)


def save_patch_autoencoder(model: PatchAutoencoder, root: Path) -> None:
    """Write ``patch_autoencoder/`` below ``root``."""
    _save_module(model, model.config, root / _AUTOENCODER_FOLDER)


def load_latent_space(root: Path, device: str = "cpu") -> LatentSpace:
    """The first stage of a model or of a run, of either kind, or what stands for it in a model of pictures."""
    if (root / _PIXELS_JSON).is_file():
        return Pixels(read_config(root / _PIXELS_JSON, PixelsConfig)).to(device)
    if (root / _AUTOENCODER_FOLDER).is_dir():
        return _load_module(PatchAutoencoder, PatchAutoencoderConfig, root / _AUTOENCODER_FOLDER, device)
    return load_first_stage(root, device)


def open_latent_space(artifact: Artifact | None, size_px: int, device: str = "cpu") -> LatentSpace:
    """The first stage of a training, or pictures of ``size_px`` where there is none."""
    return Pixels(PixelsConfig(size_px=size_px)) if artifact is None else load_latent_space(artifact.root, device)


def require_latents(space: LatentSpace, channels: int, size: int) -> None:
    """Raises ``BadInputError`` unless latents are what a network takes: ``channels`` at ``size`` px."""
    have = (space.config.folded_latent_channels, space.config.latent_size)
    if have != (channels, size):
        raise BadInputError(
            f"the latents have {have[0]} channels at {have[1]} px, the network takes {channels} at {size} px",
            "Set network.latent_channels and network.latent_size",
        )


def initial_weights(inputs: Mapping[str, Artifact]) -> Artifact | None:
    """What a training starts from: a finished run of its kind, or a released model that holds such weights."""
    return inputs.get("init") or inputs.get("init_model")


def require_same_network(wanted: BaseModel, found: BaseModel, init: Artifact) -> None:
    """Raises ``BadInputError`` that names each difference, unless a run can start from the weights of another."""
    if found != wanted:
        there, here = found.model_dump(), wanted.model_dump()
        different = ", ".join(f"{k} {there[k]} there, {here[k]} here" for k in here if there[k] != here[k])
        raise BadInputError(f"{init.root} holds another network: {different}", "Set network.* to the values there")


def save_denoiser(model: Denoiser, schedule: ScheduleConfig, info: ModelInfo, root: Path) -> None:
    """Write ``unet/``, ``scheduler/``, the emotion embedding, ``denoiser.json`` and ``model.json``."""
    save_network(model.unet, root / "unet")
    save_schedule(schedule, root)
    save_weights(model.emotion_embedding, root / _EMBEDDING_FILE)
    if model.expression_embedding is not None:
        save_weights(model.expression_embedding, root / _EXPRESSION_EMBEDDING_FILE)
    write_config(root / _DENOISER_JSON, model.config)
    save_model_info(info, root)


def load_denoiser(root: Path, device: str = "cpu") -> Denoiser:
    """Read what ``save_denoiser`` wrote, in float32 and eval mode."""
    config = read_config(root / _DENOISER_JSON, DenoiserConfig)
    model = Denoiser(config, load_network(UNet2DConditionModel, root / "unet"))
    load_weights(model.emotion_embedding, root / _EMBEDDING_FILE)
    if model.expression_embedding is not None:
        load_weights(model.expression_embedding, root / _EXPRESSION_EMBEDDING_FILE)
    return model.to(device).eval().requires_grad_(False)


def save_basis(basis: ExpressionBasis, root: Path) -> None:
    """Write ``expression_basis.safetensors``, in half precision."""
    arrays = {name: getattr(basis, name).astype(np.float16) for name in _BASIS_ARRAYS}
    save_file(arrays, root / _BASIS_FILE, {"size_px": str(basis.size_px)})


def load_basis(root: Path) -> ExpressionBasis | None:
    """Read what ``save_basis`` wrote; None where a model has none."""
    path = root / _BASIS_FILE
    if not path.is_file():
        return None
    with readable(path), safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name).astype(np.float32) for name in _BASIS_ARRAYS}
        return with_bumps(ExpressionBasis(**arrays, size_px=int(file.metadata()["size_px"])))


def save_schedule(schedule: ScheduleConfig, root: Path) -> None:
    """Write ``scheduler/``."""
    build_scheduler(schedule).save_pretrained(root / "scheduler")


def load_scheduler(root: Path) -> DDIMScheduler:
    with readable(root / "scheduler"):
        return DDIMScheduler.from_pretrained(root / "scheduler", local_files_only=True)


def load_schedule_config(root: Path) -> ScheduleConfig:
    scheduler = load_scheduler(root).config
    return ScheduleConfig.model_validate({name: scheduler[name] for name in ScheduleConfig.model_fields})


def save_model_info(info: ModelInfo, root: Path) -> None:
    write_config(root / _INFO_JSON, info)


def load_model_info(root: Path) -> ModelInfo:
    return read_config(root / _INFO_JSON, ModelInfo)


def save_emotion_classifier(model: EmotionClassifier, root: Path) -> None:
    """Write ``emotion_classifier/`` below ``root``."""
    _save_module(model, model.config, root / _CLASSIFIER_FOLDER)


def load_emotion_classifier(root: Path, device: str = "cpu") -> EmotionClassifier | None:
    """Read what ``save_emotion_classifier`` wrote, in float32 and eval mode; None where a model comes without one."""
    folder = root / _CLASSIFIER_FOLDER
    if not folder.is_dir():
        return None
    return _load_module(EmotionClassifier, EmotionClassifierConfig, folder, device)


def save_expression_network(model: ExpressionNetwork, root: Path) -> None:
    """Write ``expression_network/`` below ``root``."""
    _save_module(model, model.config, root / _EXPRESSION_FOLDER)


def load_expression_network(root: Path, device: str = "cpu") -> ExpressionNetwork | None:
    """Read what ``save_expression_network`` wrote, in float32 and eval mode; None where a model comes without one."""
    folder = root / _EXPRESSION_FOLDER
    if not folder.is_dir():
        return None
    return _load_module(ExpressionNetwork, ExpressionNetworkConfig, folder, device)


def save_noisy_classifier(model: NoisyClassifier, schedule: ScheduleConfig, root: Path) -> None:
    """Write ``noisy_classifier/`` and ``scheduler/``."""
    _save_module(model, model.config, root / _NOISY_CLASSIFIER_FOLDER)
    save_schedule(schedule, root)


def load_noisy_classifier(root: Path, device: str = "cpu") -> NoisyClassifier:
    """Read what ``save_noisy_classifier`` wrote, in float32 and eval mode."""
    return _load_module(NoisyClassifier, NoisyClassifierConfig, root / _NOISY_CLASSIFIER_FOLDER, device)


def save_upscaler(model: Upscaler, root: Path) -> None:
    """Write ``upscaler/`` below ``root``."""
    _save_module(model, model.config, root / _UPSCALER_FOLDER)


def load_upscaler(root: Path, device: str = "cpu") -> Upscaler | None:
    """Read what ``save_upscaler`` wrote, in float32 and eval mode; None where a model comes without one."""
    folder = root / _UPSCALER_FOLDER
    return _load_module(Upscaler, UpscalerConfig, folder, device) if folder.is_dir() else None


def _save_module(module: nn.Module, config: BaseModel, folder: Path) -> None:
    """Write the weights and settings of a network that diffusers does not know."""
    folder.mkdir(exist_ok=True)
    save_weights(module, folder / "model.safetensors")
    write_config(folder / "config.json", config)


def _load_module(
    network_type: Callable[[ConfigT], ModuleT], config_type: type[ConfigT], folder: Path, device: str
) -> ModuleT:
    """Read what ``_save_module`` wrote, in float32 and eval mode."""
    module = network_type(read_config(folder / "config.json", config_type))
    load_weights(module, folder / "model.safetensors")
    return module.to(device).eval().requires_grad_(False)
