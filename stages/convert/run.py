"""Turn a published CompVis checkpoint into a facediff model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stages.common.checkpoint import ModelInfo, save_denoiser, save_first_stage
from stages.common.emotions import EMOTIONS
from stages.common.engine import describe_source
from stages.common.errors import BadInputError
from stages.common.hashing import hash_file
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.convert.compvis_keys import autoencoder_weights, embedding_weights, has_ema, unet_weights
from stages.convert.config import ConvertConfig
from stages.convert.loading import load_exactly
from stages.convert.pickles import read_state_dict
from stages.models.denoiser import Denoiser, DenoiserConfig, build_denoiser
from stages.models.first_stage import FirstStage, build_first_stage


def run(config: ConvertConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write the networks in float32; every array of the checkpoint's networks is used, and every parameter is set."""
    state = read_state_dict(inputs["checkpoint"].root)
    ema = config.weights == "ema" or (config.weights == "auto" and has_ema(state))
    first_stage = _read_first_stage(config, state, ema=ema)
    denoiser = None if config.denoiser is None else _read_denoiser(config.denoiser, state, ema=ema)
    save_first_stage(first_stage, context.out)
    if denoiser is not None:
        # The checkpoint does not say how many pictures of which emotion it has seen.
        save_denoiser(denoiser, config.schedule, ModelInfo(supported=EMOTIONS, samples={}), context.out)
    return ArtifactDraft(Counts(total=1, ok=1), {"weights": "ema" if ema else "raw"})


def convert_spec(config: ConvertConfig) -> StageSpec[ConvertConfig]:
    """The stage, whose output depends on what the checkpoint holds."""
    kind = ArtifactKind.FIRST_STAGE if config.denoiser is None else ArtifactKind.LATENT_DIFFUSION
    return StageSpec("convert", 1, ConvertConfig, {"checkpoint": ArtifactKind.SOURCE}, kind, run)


def describe_checkpoint(path: Path) -> Artifact:
    """A checkpoint file as the input of ``convert``, known by its SHA-256. Raises ``BadInputError``."""
    try:
        return describe_source(path, hash_file(path))
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from error


def _read_first_stage(config: ConvertConfig, state: Mapping[str, Tensor], *, ema: bool) -> FirstStage:
    model = build_first_stage(config.first_stage)
    levels = len(config.first_stage.block_out_channels)
    if config.denoiser is None:
        weights = autoencoder_weights(state, levels, ema=ema)
    else:  # LDM averages its U-Net alone
        weights = autoencoder_weights(state, levels, prefix="first_stage_model.")
        scale = state.get("scale_factor")
        model.vq.register_to_config(scaling_factor=config.scale_factor if scale is None else float(scale))
    load_exactly(model.vq, weights, "first stage")
    return model


def _read_denoiser(config: DenoiserConfig, state: Mapping[str, Tensor], *, ema: bool) -> Denoiser:
    model = build_denoiser(config)
    load_exactly(model.unet, unet_weights(state, config.layers_per_block, ema=ema), "U-Net")
    load_exactly(model.emotion_embedding, {"weight": embedding_weights(state)}, "class embedding")
    return model
