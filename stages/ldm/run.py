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
    save_basis,
    save_denoiser,
    save_latent_space,
)
from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.face.basis import ExpressionBasis, fit_basis
from stages.common.latents import largest_rms, open_latents
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.ldm.balance import appearance_weights, expression_weights
from stages.ldm.conditions import FaceConditions
from stages.ldm.config import LdmConfig
from stages.ldm.trainer import LdmTrainer
from stages.models.condition import UNHEARD
from stages.models.denoiser import Denoiser, DenoiserConfig, build_denoiser


def run(config: LdmConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Cache latents, train, and save the EMA weights together with the first stage."""
    stepper = Stepper(config.loop, context)
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    first_stage = open_latent_space(inputs.get("first_stage"), train[0].shape[0], context.device)
    require_latents(first_stage, config.network.latent_channels, config.network.latent_size)
    samples = {name: int((train.labels == i).sum()) for i, name in enumerate(EMOTIONS)}
    supported = tuple(name for name, count in samples.items() if count >= max(1, config.min_class_samples))
    faces, val_faces = (
        FaceConditions(split, _condition(split.labels, supported), config.network) for split in (train, val)
    )
    basis = _fit_basis(train, faces)
    torch.manual_seed(context.seed)
    trainer = LdmTrainer(
        _initial_denoiser(config.network, initial_weights(inputs), basis),
        first_stage,
        config,
        (open_latents(first_stage, train, "train", context), faces),
        (open_latents(first_stage, val, "val", context), val_faces),
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
        weights_N=_sample_weights(config, faces, basis),
    )
    row = fit(trainer, config.loop, stepper, context, "ldm")
    trainer.ema.copy_to(trainer.denoiser.parameters())
    save_latent_space(first_stage, context.out)
    if basis is not None:
        save_basis(basis, context.out)
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


def _fit_basis(train: ShardDataset, faces: FaceConditions) -> ExpressionBasis | None:
    """How the training faces' points move with their expressions, where the network hears of these."""
    if faces.expressions is None:
        return None
    neutral = train.labels == EMOTIONS.index("neutral")
    return fit_basis(faces.expressions, train.identities, neutral, train[0].shape[0])


def _sample_weights(
    config: LdmConfig, faces: FaceConditions, basis: ExpressionBasis | None
) -> NDArray[np.float64] | None:
    if faces.expressions is None or basis is None:
        return None
    weights = expression_weights(faces.expressions, basis.usual_K, config.expression_balance)
    return weights * appearance_weights(faces.expressions, config.appearance_balance)


def _initial_denoiser(config: DenoiserConfig, init: Artifact | None, basis: ExpressionBasis | None) -> Denoiser:
    """Random weights, or those of an earlier run of the same network."""
    if init is None:
        denoiser = build_denoiser(config)
        if basis is not None and denoiser.expression_embedding is not None:
            usual_K = np.where(basis.heard_K, basis.usual_K, UNHEARD)
            denoiser.expression_embedding.usual_K.copy_(torch.from_numpy(usual_K))
        return denoiser
    denoiser = load_denoiser(init.root).requires_grad_(True)
    require_same_network(config, denoiser.config, init)
    return denoiser


def _condition(labels: NDArray[np.int64], supported: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels with the null class in place of what is unlabelled or too rare to learn."""
    known = np.isin(labels, [EMOTIONS.index(name) for name in supported]) & (labels != UNLABELLED)
    return np.where(known, labels, NULL_CLASS)
