"""Train a latent diffusion model on the latents of a first stage and write a model that can edit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.checkpoint import (
    ModelInfo,
    initial_weights,
    load_denoiser,
    open_latent_space,
    require_latents,
    require_same_network,
    save_denoiser,
    save_latent_space,
)
from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.latents import largest_rms, open_latents
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.ldm.config import LdmConfig
from stages.ldm.trainer import LdmTrainer
from stages.models.denoiser import Denoiser, DenoiserConfig, build_denoiser


def run(config: LdmConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Cache latents, train, and save the EMA weights together with the first stage."""
    stepper = Stepper(config.loop, context)
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    first_stage = open_latent_space(inputs.get("first_stage"), train[0].shape[0], context.device)
    require_latents(first_stage, config.network.latent_channels, config.network.latent_size)
    samples = {name: int((train.labels == i).sum()) for i, name in enumerate(EMOTIONS)}
    supported = tuple(name for name, count in samples.items() if count >= max(1, config.min_class_samples))
    torch.manual_seed(context.seed)
    trainer = LdmTrainer(
        _initial_denoiser(config.network, initial_weights(inputs)),
        first_stage,
        config,
        (open_latents(first_stage, train, "train", context), _condition(train.labels, supported)),
        (open_latents(first_stage, val, "val", context), _condition(val.labels, supported)),
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
    )
    row = fit(trainer, config.loop, stepper, context, "ldm")
    trainer.ema.copy_to(trainer.denoiser.parameters())
    save_latent_space(first_stage, context.out)
    info = ModelInfo(supported=supported, samples=samples, latent_rms=largest_rms(trainer.train_data))
    save_denoiser(trainer.denoiser, config.schedule, info, context.out)
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), {**row, "supported": list(supported)})


LDM = StageSpec(
    "ldm",
    3,
    LdmConfig,
    {"data": ArtifactKind.SHARDS},
    ArtifactKind.LATENT_DIFFUSION,
    run,
    optional_inputs={
        "first_stage": ArtifactKind.FIRST_STAGE,
        "init": ArtifactKind.LATENT_DIFFUSION,
        "init_model": ArtifactKind.MODEL,
    },
)


def _initial_denoiser(config: DenoiserConfig, init: Artifact | None) -> Denoiser:
    """Random weights, or those of an earlier run of the same network."""
    if init is None:
        return build_denoiser(config)
    denoiser = load_denoiser(init.root).requires_grad_(True)
    require_same_network(config, denoiser.config, init)
    return denoiser


def _condition(labels: NDArray[np.int64], supported: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels with the null class in place of what is unlabelled or too rare to learn."""
    known = np.isin(labels, [EMOTIONS.index(name) for name in supported]) & (labels != UNLABELLED)
    return np.where(known, labels, NULL_CLASS)
