"""What a configuration of CompVis's latent-diffusion or taming-transformers means in facediff's terms.

Only what facediff's networks can be is accepted. Fields that training alone reads are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.common.emotions import EMOTIONS
from stages.common.errors import ConfigError
from stages.convert.config import ConvertConfig, Weights
from stages.models.denoiser import DenoiserConfig
from stages.models.first_stage import FirstStageConfig
from stages.models.schedule import ScheduleConfig

ParamsT = TypeVar("ParamsT", bound=BaseModel)
_FIRST_STAGES = ("VQModel", "VQModelInterface")
_DIFFUSIONS = ("LatentDiffusion", "LatentDiffusionCLIP")  # the second is the thesis's finetuned one


class _Exact(BaseModel):
    """Every field decides what a network computes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _AutoencoderParams(_Exact):
    z_channels: int
    resolution: int
    ch: int
    ch_mult: tuple[int, ...]
    num_res_blocks: int
    attn_resolutions: tuple[int, ...]
    double_z: Literal[False]
    in_channels: Literal[3]
    out_ch: Literal[3]
    dropout: float = 0.0
    resamp_with_conv: Literal[True] = True
    tanh_out: Literal[False] = False
    use_linear_attn: Literal[False] = False
    attn_type: Literal["vanilla"] = "vanilla"

    @model_validator(mode="after")
    def _attends_where_diffusers_does(self) -> Self:
        lowest = self.resolution // 2 ** (len(self.ch_mult) - 1)
        if self.attn_resolutions != (lowest,):
            raise ValueError(f"attn_resolutions must be [{lowest}], the lowest resolution alone")
        return self


class _FirstStageParams(_Loose):
    embed_dim: int
    n_embed: int
    ddconfig: _AutoencoderParams
    remap: None = None

    @model_validator(mode="after")
    def _codes_are_latents(self) -> Self:
        if self.embed_dim != self.ddconfig.z_channels:
            raise ValueError("embed_dim must equal z_channels")
        return self

    def to_config(self) -> FirstStageConfig:
        network = self.ddconfig
        return FirstStageConfig(
            size_px=network.resolution,
            block_out_channels=tuple(network.ch * factor for factor in network.ch_mult),
            layers_per_block=network.num_res_blocks,
            latent_channels=network.z_channels,
            codebook_size=self.n_embed,
        )


class _UNetParams(_Exact):
    image_size: int
    in_channels: int
    out_channels: int
    model_channels: int
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    channel_mult: tuple[int, ...]
    num_head_channels: int = Field(ge=1)
    context_dim: int
    use_spatial_transformer: Literal[True]
    transformer_depth: Literal[1] = 1
    conv_resample: Literal[True] = True
    dims: Literal[2] = 2
    num_heads: Literal[-1] = -1
    num_heads_upsample: Literal[-1] = -1
    num_classes: None = None
    n_embed: None = None
    use_scale_shift_norm: Literal[False] = False
    resblock_updown: Literal[False] = False
    # What follows changes no result.
    dropout: float = 0.0
    legacy: bool = True
    use_checkpoint: bool = False
    use_fp16: bool = False
    use_new_attention_order: bool = False

    def to_config(self) -> DenoiserConfig:
        return DenoiserConfig(
            latent_size=self.image_size,
            latent_channels=self.in_channels,
            block_out_channels=tuple(self.model_channels * factor for factor in self.channel_mult),
            attention_levels=tuple(2**level in self.attention_resolutions for level in range(len(self.channel_mult))),
            layers_per_block=self.num_res_blocks,
            channels_per_head=self.num_head_channels,
            context_dim=self.context_dim,
            num_classes=len(EMOTIONS),
        )


class _Target(_Loose):
    target: str
    params: dict[str, Any] = {}

    @property
    def class_name(self) -> str:
        return self.target.rpartition(".")[2]


class _DiffusionParams(_Loose):
    unet_config: _Target
    first_stage_config: _Target
    cond_stage_config: _Target
    conditioning_key: Literal["crossattn"]
    beta_schedule: Literal["linear"] = "linear"
    parameterization: Literal["eps"] = "eps"
    linear_start: float = 1e-4
    linear_end: float = 2e-2
    timesteps: int = 1000
    scale_factor: float = 1.0


class _EmbedderParams(_Loose):
    embed_dim: int
    n_classes: Literal[8]


def read_compvis_config(path: Path, weights: Weights = "auto") -> ConvertConfig:
    """The networks and the schedule of a YAML file. Raises ``ConfigError`` that names the first field out of reach."""
    model = _parse(_Target, _read_model_section(path), "model")
    if model.class_name in _FIRST_STAGES:
        return ConvertConfig(first_stage=_first_stage(model, "model"), weights=weights)
    if model.class_name not in _DIFFUSIONS:
        raise ConfigError(
            f"{path} describes {model.class_name}, which facediff cannot import",
            "It reads LatentDiffusion with a VQ first stage, and VQModel",
        )
    params = _parse(_DiffusionParams, model.params, "model")
    first_stage = _first_stage(params.first_stage_config, "first_stage_config")
    unet = _parse(_UNetParams, params.unet_config.params, "unet_config")
    embedder = _parse(_EmbedderParams, params.cond_stage_config.params, "cond_stage_config")
    denoiser = unet.to_config()
    _check_joints(first_stage, denoiser, unet.out_channels, embedder.embed_dim)
    return ConvertConfig(
        first_stage=first_stage,
        denoiser=denoiser,
        # CompVis calls "linear" what is linear in the square root of beta.
        schedule=ScheduleConfig(
            num_train_timesteps=params.timesteps, beta_start=params.linear_start, beta_end=params.linear_end
        ),
        scale_factor=params.scale_factor,
        weights=weights,
    )


def _read_model_section(path: Path) -> Any:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Give the YAML of the checkpoint") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "model" not in content:
        raise ConfigError(f"{path} has no section 'model'", "Give the YAML that the checkpoint was trained with")
    return content["model"]


def _first_stage(target: _Target, place: str) -> FirstStageConfig:
    if target.class_name not in _FIRST_STAGES:
        raise ConfigError(f"the first stage is {target.class_name}, which facediff cannot import", "It reads VQModel")
    return _parse(_FirstStageParams, target.params, place).to_config()


def _check_joints(first_stage: FirstStageConfig, denoiser: DenoiserConfig, out_channels: int, embed_dim: int) -> None:
    for what, found, wanted in (
        ("unet_config.in_channels", denoiser.latent_channels, first_stage.latent_channels),
        ("unet_config.out_channels", out_channels, first_stage.latent_channels),
        ("unet_config.image_size", denoiser.latent_size, first_stage.latent_size),
        ("cond_stage_config.embed_dim", embed_dim, denoiser.context_dim),
    ):
        if found != wanted:
            raise ConfigError(f"{what} is {found}, but the networks that it joins need {wanted}")


def _parse(params_type: type[ParamsT], content: Any, place: str) -> ParamsT:
    try:
        return params_type.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join([place, *(str(part) for part in problem["loc"])])
        found = f" (it is {problem['input']!r})" if isinstance(problem["input"], str | int | float | list) else ""
        raise ConfigError(f"{name}: {problem['msg'].lower()}{found}") from error
