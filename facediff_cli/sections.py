"""The sections of a configuration file, and the settings that each may hold."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.common.config import StageConfig

_CONFIGS = {
    "align": "AlignConfig",
    "shard": "ShardConfig",
    "clips": "ClipsConfig",
    "vqgan": "VqganConfig",
    "ldm": "LdmConfig",
    "emotion": "EmotionConfig",
    "classifier": "ClassifierConfig",
    "bundle": "BundleConfig",
    "convert": "ConvertConfig",
    "export": "ExportConfig",
    "edit": "EditConfig",
}


def config_types() -> dict[str, type[StageConfig]]:
    """Section name to configuration class; imports every stage."""
    return {name: getattr(importlib.import_module(f"stages.{name}.config"), kind) for name, kind in _CONFIGS.items()}
