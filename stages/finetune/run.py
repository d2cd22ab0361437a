"""Tune a denoiser towards one expression and write what changed, or the whole model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from stages.common.checkpoint import (
    load_schedule_config,
    save_denoiser,
    save_emotion_classifier,
    save_latent_space,
)
from stages.common.defaults import NEUTRAL, guidance_for
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, MissingModelError
from stages.common.lora import LoraInfo, add_lora, save_lora
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.model_input import MODEL_ROLES, load_model, model_of, supported_emotions
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.finetune.clip import load_clip_guide
from stages.finetune.config import FinetuneConfig
from stages.finetune.identity import load_identity
from stages.finetune.noise import InvertedPictures, choose_pictures, invert_pictures
from stages.finetune.trainer import FinetuneTrainer, Losses
from stages.models.finetuning_guides import ClassifierGuide

GUIDE_ROLE, IDENTITY_ROLE = "guide", "identity"


def run(config: FinetuneConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Invert the chosen pictures once, tune, and save."""
    stepper = Stepper(config.loop, context)
    editor = load_model(inputs, context.device)
    supported_emotions((config.target,), editor.supported)
    guidance = guidance_for(editor, NEUTRAL, config.target, config.guidance)
    losses = Losses(_guide(config, inputs, editor), load_identity(config.identity, context.device))
    editor.first_stage.eval().requires_grad_(False)
    train, val = (
        _invert(inputs["data"], split, editor, config, context, guidance=guidance) for split in ("train", "val")
    )
    torch.manual_seed(context.seed)
    if config.lora is None:
        editor.denoiser.requires_grad_(True)
    else:
        add_lora(editor.denoiser.unet, config.lora.rank, config.lora.modules)
        editor.denoiser.emotion_embedding.requires_grad_(False)
    trainer = FinetuneTrainer(
        editor,
        losses,
        config,
        train,
        val,
        guidance=guidance,
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
    )
    row = fit(trainer, config.loop, stepper, context, "finetune")
    _save(editor, config, guidance, model_of(inputs), context)
    metrics = {**row, "guidance": guidance, "tuned_parameters": trainer.tuned.count, "guide": config.guide}
    return ArtifactDraft(Counts(total=len(train), ok=len(train)), {**metrics, "identity": config.identity})


def finetune_stage(*, whole: bool = False) -> StageSpec[FinetuneConfig]:
    """The stage that writes a low-rank update, or (for settings without ``lora``) a whole model."""
    return StageSpec(
        "finetune",
        1,
        FinetuneConfig,
        {"data": ArtifactKind.SHARDS},
        ArtifactKind.MODEL if whole else ArtifactKind.LORA,
        run,
        optional_inputs={**MODEL_ROLES, GUIDE_ROLE: ArtifactKind.SOURCE, IDENTITY_ROLE: ArtifactKind.SOURCE},
    )


FINETUNE = finetune_stage()


def _guide(config: FinetuneConfig, inputs: Mapping[str, Artifact], editor: Editor) -> nn.Module:
    target = EMOTIONS.index(config.target)
    if config.guide == "clip":
        return load_clip_guide(inputs[GUIDE_ROLE].root, target, editor.device)
    if editor.classifier is None:
        raise MissingModelError("this model has no emotion classifier to guide by", "Use --guide clip")
    return ClassifierGuide(editor.classifier, target)


def _invert(
    data: Artifact, split: str, editor: Editor, config: FinetuneConfig, context: RunContext, *, guidance: float
) -> InvertedPictures:
    pictures = ShardDataset(data, split)
    samples = config.samples if split == "train" else config.validation_samples
    indices = choose_pictures(
        pictures.labels,
        EMOTIONS.index(config.target),
        per_class=config.per_class,
        samples=samples,
        seed=context.seed,
    )
    if not len(indices):
        raise BadInputError(f"the split {split!r} has no labelled picture of another class than {config.target}")
    if pictures[0].shape[0] != editor.size_px:
        raise BadInputError(f"the pictures have {pictures[0].shape[0]} px, the model takes {editor.size_px}")
    return invert_pictures(pictures, indices, editor, config, context, guidance=guidance, name=split)


def _save(editor: Editor, config: FinetuneConfig, guidance: float, base: Artifact, context: RunContext) -> None:
    if config.lora is not None:
        info = LoraInfo(
            base=base.manifest.artifact_id,
            base_name=base.root.name,
            emotion=config.target,
            guidance=guidance,
            rank=config.lora.rank,
            modules=config.lora.modules,
        )
        save_lora(editor.denoiser.unet, info, context.out)
        return
    scales = {**editor.recommended_guidance, config.target: guidance}
    info_of_model = editor.info.model_copy(update={"recommended_guidance": scales})
    save_latent_space(editor.first_stage, context.out)
    save_denoiser(editor.denoiser, load_schedule_config(base.root), info_of_model, context.out)
    if editor.classifier is not None:
        save_emotion_classifier(editor.classifier, context.out)
