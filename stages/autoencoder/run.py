"""Fit a patch autoencoder's components to training faces, train its decoder, and write both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from stages.autoencoder.config import AutoencoderConfig
from stages.autoencoder.trainer import AutoencoderTrainer
from stages.common.checkpoint import save_patch_autoencoder
from stages.common.clip_frames import PICTURE_ROLES, PictureData, open_pictures
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.perceptual_weights import load_perceptual
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import to_model_range
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.models.patch_autoencoder import PatchAutoencoder


def run(config: AutoencoderConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """The components come from the first ``fit_samples`` training pictures, and are not trained further."""
    data = next(inputs[role] for role in PICTURE_ROLES if role in inputs)
    train, val = (open_pictures(data, split) for split in ("train", "val"))
    perceptual = load_perceptual(config.perceptual)
    torch.manual_seed(context.seed)
    model = PatchAutoencoder(config.network)
    model.fit(_patches(train, config))
    stepper = Stepper(config.loop, context)
    trainer = AutoencoderTrainer(
        model, perceptual, config, (train, val), stepper=stepper, seed=context.seed, workers=context.workers
    )
    row = fit(trainer, config.loop, stepper, context, "autoencoder")
    save_patch_autoencoder(model, context.out)
    metrics = {**row, "perceptual_network": getattr(perceptual, "name", "none")}
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), metrics)


AUTOENCODER = StageSpec(
    "autoencoder", 1, AutoencoderConfig, {}, ArtifactKind.FIRST_STAGE, run, optional_inputs=PICTURE_ROLES
)


def _patches(train: PictureData, config: AutoencoderConfig) -> torch.Tensor:
    """Patches (N, D) of pictures and of their mirror images, so that the components favour no side."""
    x = to_model_range(train.batch(range(min(len(train), config.fit_samples)))).double()
    both = torch.cat([x, x.flip(3)])
    return F.pixel_unshuffle(both, config.network.patch_px).permute(0, 2, 3, 1).flatten(0, 2)
