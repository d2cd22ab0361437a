"""A talking-face model of the real classes, small and with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from stages.common.checkpoint import save_first_stage
from stages.common.manifest import ArtifactKind
from stages.common.talker_checkpoint import TalkerInfo, save_talker
from stages.common.talking import TalkingModel
from stages.models.first_stage import FirstStageConfig, build_first_stage
from stages.models.process import forward_process
from stages.models.schedule import ScheduleConfig
from stages.models.talker import TalkerConfig, build_talker
from support.edit_model import seal_model

_FIRST_STAGE = FirstStageConfig(
    size_px=32,
    pixel_fold=2,
    block_out_channels=(8, 8),
    layers_per_block=1,
    attention=False,
    codebook_size=16,
    norm_num_groups=4,
)


def tiny_talker_config(**fields: object) -> TalkerConfig:
    sizes = {
        "latent_size": 8,
        "block_out_channels": (8, 8),
        "attention_levels": (False, True),
        "layers_per_block": 1,
        "channels_per_head": 8,
        "norm_num_groups": 4,
        "audio": "mel",
        "window": 2,
        "emotion": False,
    }
    return TalkerConfig.model_validate(sizes | fields)


def tiny_talking_model(**fields: object) -> TalkingModel:
    """Equal at every call; 25 frames a second of 32 px, 8x8x3 latents; ``fields`` as in ``TalkerConfig``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first_stage, talker = build_first_stage(_FIRST_STAGE), build_talker(tiny_talker_config(**fields))
    for network in (first_stage, talker):
        network.eval().requires_grad_(False)
    return TalkingModel(first_stage, talker, forward_process(ScheduleConfig()), 25.0, "f" * 64, "cpu")


def write_tiny_talker(root: Path, **fields: object) -> Path:
    """The same model as a folder that passes the store's checks."""
    model = tiny_talking_model(**fields)
    root.mkdir(parents=True)
    save_first_stage(model.first_stage, root)
    save_talker(model.talker, ScheduleConfig(), TalkerInfo(fps=model.fps), root)
    seal_model(root, ArtifactKind.TALKER, "talk_training")
    return root
