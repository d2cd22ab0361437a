"""Train a first stage on shards and write it in diffusers' layout."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from stages.common.checkpoint import save_first_stage
from stages.common.errors import MissingModelError
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import to_model_range
from stages.common.training import fit
from stages.models.first_stage import FirstStage, build_first_stage
from stages.models.perceptual import LpipsDistance, PerceptualDistance
from stages.vqgan.config import VqganConfig
from stages.vqgan.trainer import VqganTrainer

_SCALE_SAMPLES = 512


def run(config: VqganConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train, set the latent scale so that training latents have unit standard deviation (if asked), and save."""
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    perceptual = _perceptual(config)
    torch.manual_seed(context.seed)
    model = build_first_stage(config.network)
    trainer = VqganTrainer(model, perceptual, config, (train, val), seed=context.seed, device=context.device)
    history = fit(trainer, config.loop, context, "vqgan")
    if config.normalize_latents:
        model.vq.register_to_config(scaling_factor=_latent_scale(model, train, context.device))
    save_first_stage(model, context.out)
    metrics = {
        **history[-1],
        "perceptual_network": getattr(perceptual, "name", "none"),
        "latent_scale": model.scaling_factor,
    }
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), metrics)


VQGAN = StageSpec("vqgan", 3, VqganConfig, {"data": ArtifactKind.SHARDS}, ArtifactKind.FIRST_STAGE, run)


def _perceptual(config: VqganConfig) -> nn.Module | None:
    if config.perceptual == "none":
        return None
    if config.perceptual == "squeezenet":
        return PerceptualDistance(load_squeezenet_keras(squeezenet_file()))
    try:
        return LpipsDistance("vgg")
    except LookupError as error:
        raise MissingModelError(
            str(error), "Fetch it, or use --set perceptual=squeezenet (recorded as such)"
        ) from error


@torch.no_grad()
def _latent_scale(model: FirstStage, train: ShardDataset, device: str) -> float:
    """1 / standard deviation of the encoder's outputs on training pictures."""
    count = min(len(train), _SCALE_SAMPLES)
    features = [
        model.encode_features(to_model_range(train.batch(range(i, min(i + 32, count)))).to(device)).flatten()
        for i in range(0, count, 32)
    ]
    return round(1 / float(torch.cat(features).std()), 4)
