"""The sections of a configuration file, and the settings that each may hold."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.common.config import StageConfig

_CONFIGS = {
    "align": "align:AlignConfig",
    "shard": "shard:ShardConfig",
    "clips": "clips:ClipsConfig",
    "vqgan": "vqgan:VqganConfig",
    "autoencoder": "autoencoder:AutoencoderConfig",
    "ldm": "ldm:LdmConfig",
    "emotion": "emotion:EmotionConfig",
    "expression": "expression:ExpressionConfig",
    "upscaler": "upscaler:UpscalerTrainingConfig",
    "finetune": "finetune:FinetuneConfig",
    "bundle": "bundle:BundleConfig",
    "edit": "edit:EditConfig",
    "classifier": "classifier:ClassifierConfig",
    "convert": "convert:ConvertConfig",
    "export": "export:ExportConfig",
    "synthesize": "synthesize:SynthesizeConfig",
    "interpolate": "interpolate:InterpolateConfig",
    "neighbors": "neighbors:NeighborsConfig",
    "eval_reconstruction": "evaluate:ReconstructionConfig",
    "eval_edit": "evaluate:EditGridConfig",
    "eval_folders": "evaluate:FoldersConfig",
    "eval_generation": "evaluate:GenerationConfig",
    "eval_lipread": "evaluate:LipreadConfig",
    "eval_sync": "evaluate:SyncConfig",
    "talk_training": "talk_training:TalkTrainingConfig",
    "lipreader": "lipreader:LipReaderTrainConfig",
    "finetune_lipread": "finetune_lipread:LipTuningConfig",
    "study": "study:StudyConfig",
}


def config_types() -> dict[str, type[StageConfig]]:
    """Section name to configuration class; imports every stage."""
    places = {name: place.split(":") for name, place in _CONFIGS.items()}
    return {
        name: getattr(importlib.import_module(f"stages.{stage}.config"), kind) for name, (stage, kind) in places.items()
    }
