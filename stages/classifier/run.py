"""Train the classifier of noisy latents that guides sampling."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.classifier.config import ClassifierConfig
from stages.classifier.trainer import ClassifierTrainer
from stages.common.checkpoint import open_latent_space, require_latents, save_noisy_classifier
from stages.common.latents import open_latents
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.shards import ShardDataset, count_labelled, require_labels
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.models.noisy_classifier import NoisyClassifier


def run(config: ClassifierConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train on the labelled samples and write the classifier with the noise schedule that it knows."""
    stepper = Stepper(config.loop, context)
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    require_labels(train, val)
    first_stage = open_latent_space(inputs.get("first_stage"), train[0].shape[0], context.device)
    require_latents(first_stage, config.network.latent_channels, config.network.latent_size)
    torch.manual_seed(context.seed)
    model = NoisyClassifier(config.network)
    trainer = ClassifierTrainer(
        model,
        config,
        (open_latents(first_stage, train, "train", context), train.labels),
        (open_latents(first_stage, val, "val", context), val.labels),
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
    )
    row = fit(trainer, config.loop, stepper, context, "classifier")
    save_noisy_classifier(model, config.schedule, context.out)
    return ArtifactDraft(count_labelled(train), row)


CLASSIFIER = StageSpec(
    "classifier",
    1,
    ClassifierConfig,
    {"data": ArtifactKind.SHARDS},
    ArtifactKind.NOISY_CLASSIFIER,
    run,
    optional_inputs={"first_stage": ArtifactKind.FIRST_STAGE},
)
