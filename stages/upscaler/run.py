"""Train the upscaler of decoded faces on large pictures of aligned faces and a first stage."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.common.checkpoint import load_latent_space, save_upscaler
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.models.perceptual import PerceptualDistance
from stages.models.upscaler import Upscaler
from stages.upscaler.config import UpscalerTrainingConfig
from stages.upscaler.pairs import FacePairs
from stages.upscaler.trainer import UpscalerTrainer


def run(config: UpscalerTrainingConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Decode every picture's variants once, then train to the end of the schedule."""
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    first_stage = load_latent_space((inputs.get("first_stage") or inputs["first_stage_model"]).root, context.device)
    pairs = [
        FacePairs(data, first_stage, config, variants=variants, seed=context.seed, device=context.device)
        for data, variants in ((train, config.variants), (val, 1))
    ]
    perceptual = PerceptualDistance(load_squeezenet_keras(squeezenet_file())) if config.perceptual_weight > 0 else None
    torch.manual_seed(context.seed)
    model = Upscaler(config.network)
    stepper = Stepper(config.loop, context)
    trainer = UpscalerTrainer(
        model,
        perceptual,
        config,
        (pairs[0], pairs[1]),
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
    )
    row = fit(trainer, config.loop, stepper, context, "upscaler")
    save_upscaler(model, context.out)
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), row)


FIRST_STAGE_ROLES = {"first_stage": ArtifactKind.FIRST_STAGE, "first_stage_model": ArtifactKind.MODEL}
"""One of these decodes the pictures."""

UPSCALER = StageSpec(
    "upscaler",
    1,
    UpscalerTrainingConfig,
    {"data": ArtifactKind.SHARDS},
    ArtifactKind.UPSCALER,
    run,
    optional_inputs=FIRST_STAGE_ROLES,
)
