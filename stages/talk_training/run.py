"""Train a talking-face model on the latents of clips and write it with its first stage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from stages.common.checkpoint import load_first_stage, require_latents, require_same_network, save_first_stage
from stages.common.clips import ClipDataset
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.talker_checkpoint import TalkerInfo, load_talker, save_talker
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.models.first_stage import FirstStage
from stages.models.talker import Talker, TalkerConfig, build_talker
from stages.talk_training.config import TalkTrainingConfig
from stages.talk_training.data import TalkData, mean_pause
from stages.talk_training.latents import open_frame_latents
from stages.talk_training.trainer import TalkTrainer

_VALIDATION_FRAMES = 256


def run(config: TalkTrainingConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Cache latents, train, and save the EMA weights together with the first stage."""
    stepper = Stepper(config.loop, context)
    first_stage = load_first_stage(inputs["first_stage"].root, context.device)
    require_latents(first_stage, config.network.latent_channels, config.network.latent_size)
    clips = {split: ClipDataset(inputs["data"], split) for split in ("train", "val")}
    fps = clips["train"].fps
    train, val = (
        _open(each, split, first_stage, config, stepper=stepper, context=context) for split, each in clips.items()
    )
    torch.manual_seed(context.seed)
    trainer = TalkTrainer(
        _initial_talker(config.network, inputs.get("init")),
        first_stage,
        config,
        train,
        val,
        stepper=stepper,
        seed=context.seed,
        workers=context.workers,
    )
    row = fit(trainer, config.loop, stepper, context, "talk")
    trainer.ema.copy_to(trainer.talker.parameters())
    save_first_stage(first_stage, context.out)
    pause = mean_pause(clips["train"], train.sound_TC)
    save_talker(trainer.talker, config.schedule, TalkerInfo(fps=fps, pause=pause), context.out)
    used = len(clips["train"])
    return ArtifactDraft(Counts(total=used, ok=used), {**row, "frames": len(train)})


TALK_TRAINING = StageSpec(
    "talk_training",
    1,
    TalkTrainingConfig,
    {"data": ArtifactKind.CLIPS, "first_stage": ArtifactKind.FIRST_STAGE},
    ArtifactKind.TALKER,
    run,
    optional_inputs={"init": ArtifactKind.TALKER},
)


def _open(
    clips: ClipDataset,
    split: str,
    first_stage: FirstStage,
    config: TalkTrainingConfig,
    *,
    stepper: Stepper,
    context: RunContext,
) -> TalkData:
    stride = config.frame_stride
    if split == "val":
        stride = max(stride, int(clips.lengths.sum()) // _VALIDATION_FRAMES)
    numbers = [np.arange(0, length, stride) for length in clips.lengths]
    return TalkData(
        clips,
        numbers,
        open_frame_latents(first_stage, clips, numbers, split, stepper=stepper, context=context),
        config.network,
        config.identity_frames,
        size_px=first_stage.config.size_px,
        context=context,
    )


def _initial_talker(config: TalkerConfig, init: Artifact | None) -> Talker:
    """Random weights, or those of an earlier run of the same network."""
    if init is None:
        return build_talker(config)
    talker = load_talker(init.root).requires_grad_(True)
    require_same_network(config, talker.config, init)
    return talker
