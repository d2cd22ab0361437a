"""Train a first stage on shards, or on the frames of clips, and write it in diffusers' layout."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.common.checkpoint import initial_weights, load_first_stage, require_same_network, save_first_stage
from stages.common.clip_frames import PICTURE_ROLES, PictureData, open_pictures
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.perceptual_weights import load_perceptual
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import to_model_range
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.models.first_stage import FirstStage, FirstStageConfig, build_first_stage
from stages.vqgan.config import VqganConfig
from stages.vqgan.trainer import VqganTrainer

_SCALE_SAMPLES = 512


def run(config: VqganConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train, set the latent scale so that training latents have unit standard deviation (if asked), and save."""
    data, init = inputs.get("data") or inputs["clips"], initial_weights(inputs)
    train, val = (open_pictures(data, split) for split in ("train", "val"))
    perceptual = load_perceptual(config.perceptual)
    torch.manual_seed(context.seed)
    model = _initial_model(config.network, init)
    stepper = Stepper(config.loop, context, some_unused=True)
    trainer = VqganTrainer(
        model,
        perceptual,
        config,
        (train, val),
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
        has_codebook=init is not None,
    )
    row = fit(trainer, config.loop, stepper, context, "vqgan")
    if config.normalize_latents:
        model.vq.register_to_config(scaling_factor=_latent_scale(model, train, context.device))
    save_first_stage(model, context.out)
    metrics = {
        **row,
        "perceptual_network": getattr(perceptual, "name", "none"),
        "latent_scale": model.scaling_factor,
    }
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), metrics)


VQGAN = StageSpec(
    "vqgan",
    4,
    VqganConfig,
    {},
    ArtifactKind.FIRST_STAGE,
    run,
    optional_inputs={**PICTURE_ROLES, "init": ArtifactKind.FIRST_STAGE, "init_model": ArtifactKind.MODEL},
)


def _initial_model(config: FirstStageConfig, init: Artifact | None) -> FirstStage:
    """Random weights, or those of an earlier run of the same network, whether its codebook was in use or not."""
    if init is None:
        return build_first_stage(config)
    model = load_first_stage(init.root).requires_grad_(True)
    require_same_network(config, model.config.model_copy(update={"quantize": config.quantize}), init)
    return FirstStage(config, model.vq)


@torch.no_grad()
def _latent_scale(model: FirstStage, train: PictureData, device: str) -> float:
    """1 / standard deviation of the encoder's outputs on training pictures."""
    count = min(len(train), _SCALE_SAMPLES)
    features = [
        model.encode_features(to_model_range(train.batch(range(i, min(i + 32, count)))).to(device)).flatten()
        for i in range(0, count, 32)
    ]
    return round(1 / float(torch.cat(features).std()), 4)
