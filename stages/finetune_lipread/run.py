"""Tune a talking-face model by a lip reader and write it whole."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.common.checkpoint import load_schedule_config, save_first_stage
from stages.common.clips import ClipDataset
from stages.common.lip_reader_checkpoint import load_lip_reader
from stages.common.lora import add_lora, fold_lora
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.talker_checkpoint import load_talker_info, save_talker
from stages.common.talking import load_talking_model
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.finetune_lipread.config import LipTuningConfig
from stages.finetune_lipread.trainer import LipTuner
from stages.finetune_lipread.windows import ClipWindows
from stages.models.first_stage import FirstStage


def run(config: LipTuningConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Tune, fold a low-rank update into the weights, and save the model with its first stage."""
    stepper = Stepper(config.loop, context)
    root = inputs["model"].root
    model = load_talking_model(root, context.device)
    reader = load_lip_reader(inputs["reader"].root, context.device)
    train, val = (
        ClipWindows(
            ClipDataset(inputs["data"], split), model.talker.config, config, fps=model.fps, device=context.device
        )
        for split in ("train", "val")
    )
    torch.manual_seed(context.seed)
    if config.lora is None:
        model.talker.requires_grad_(True)
        # Frames are always made under a context, so that of nothing learns nothing here; DDP would wait for it.
        model.talker.conditioning["null"].requires_grad_(False)
    else:
        add_lora(model.talker.unet, config.lora.rank, config.lora.modules)
    tuner = LipTuner(model, reader, config, (train, val), stepper=stepper, seed=context.seed, workers=context.workers)
    row = fit(tuner, config.loop, stepper, context, "finetune")
    if config.lora is not None:
        fold_lora(model.talker.unet)
    assert isinstance(model.first_stage, FirstStage), "talkers work on latents"
    save_first_stage(model.first_stage, context.out)
    save_talker(model.talker, load_schedule_config(root), load_talker_info(root), context.out)
    used = len(train.long_enough)
    rejected = {"too short": len(train.clips) - used} if used < len(train.clips) else {}
    counts = Counts(total=len(train.clips), ok=used, rejected_by_reason=rejected)
    return ArtifactDraft(counts, {**row, "tuned_parameters": tuner.tuned.count})


FINETUNE_LIPREAD = StageSpec(
    "finetune_lipread",
    2,
    LipTuningConfig,
    {"data": ArtifactKind.CLIPS, "model": ArtifactKind.TALKER, "reader": ArtifactKind.LIP_READER},
    ArtifactKind.TALKER,
    run,
)
