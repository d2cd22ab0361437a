"""The tiny model, its shards, and a low-rank update of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_model import tiny_config, train_tiny_model

from stages.common.engine import execute
from stages.common.manifest import Artifact, load_artifact
from stages.common.model_input import as_model_input
from stages.finetune.run import FINETUNE


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture(scope="session")
def shards(model: Artifact) -> Artifact:
    return load_artifact(model.root.parent / "shards")


@pytest.fixture(scope="session")
def lora(model: Artifact, shards: Artifact) -> Artifact:
    """What the preset ``tiny`` writes."""
    inputs = {"data": shards, **as_model_input(model)}
    return execute(FINETUNE, tiny_config(FINETUNE), inputs, model.root.parent / "finetune")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Artifact) -> Path:
    """A model store with the tiny model in it."""
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    (folder / "base").symlink_to(model.root)
    return folder
