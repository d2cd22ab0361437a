"""A real model of the preset ``tiny``, trained in seconds: all the parts and none of the skill."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from stages.bundle.config import BundleConfig
from stages.bundle.run import BUNDLE
from stages.classifier.run import CLASSIFIER
from stages.common.config import resolve_config
from stages.common.engine import execute
from stages.common.manifest import Artifact
from stages.common.stage import StageSpec
from stages.emotion.run import EMOTION
from stages.ldm.run import LDM
from stages.vqgan.run import VQGAN
from support.shards import make_shards


def tiny_config(spec: StageSpec[Any], *overrides: str) -> Any:
    """The settings of a stage in the preset ``tiny``, with ``a.b=value`` overrides."""
    return resolve_config(spec.config_type, spec.name, "tiny", overrides)


@cache
def train_tiny_model(folder: Path) -> Artifact:
    """The bundled model ``tiny``; beside it ``shards``, ``vqgan``, ``ldm``, ``classifier`` and ``emotion``.

    Give ``tmp_path_factory.getbasetemp() / "tiny-model"``, and a test session builds it once.
    """
    shards = make_shards(folder, expression=True)
    first_stage = execute(VQGAN, tiny_config(VQGAN), {"data": shards}, folder / "vqgan")
    ldm = execute(LDM, tiny_config(LDM), {"data": shards, "first_stage": first_stage}, folder / "ldm")
    execute(CLASSIFIER, tiny_config(CLASSIFIER), {"data": shards, "first_stage": first_stage}, folder / "classifier")
    emotion = execute(EMOTION, tiny_config(EMOTION), {"data": shards}, folder / "emotion")
    return execute(BUNDLE, BundleConfig(), {"ldm": ldm, "emotion": emotion}, folder / "tiny")
