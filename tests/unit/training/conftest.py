"""The trainable stages with the preset ``tiny`` and the data they train on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.tiny_model import tiny_config, train_tiny_model

from stages.classifier.run import CLASSIFIER
from stages.common.engine import execute
from stages.common.manifest import Artifact, load_artifact
from stages.common.stage import StageSpec
from stages.emotion.run import EMOTION
from stages.expression.run import EXPRESSION
from stages.finetune.run import FINETUNE
from stages.ldm.run import LDM
from stages.vqgan.run import VQGAN

SPECS = {spec.name: spec for spec in (VQGAN, EMOTION, EXPRESSION, LDM, CLASSIFIER, FINETUNE)}


@dataclass(frozen=True)
class Training:
    """One stage, its inputs, and what an uninterrupted run wrote."""

    spec: StageSpec[Any]
    inputs: dict[str, Artifact]
    reference: Artifact

    def run(
        self, out: Path, *overrides: str, should_stop: Callable[[], bool] = lambda: False, **options: Any
    ) -> Artifact:
        config = tiny_config(self.spec, *overrides)
        return execute(self.spec, config, self.inputs, out, should_stop=should_stop, **options)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp() / "tiny-model"
    train_tiny_model(folder)
    return folder


@pytest.fixture
def training_of(tiny_folder: Path) -> Callable[[str], Training]:
    """The training of a stage by its name."""

    def make(name: str) -> Training:
        roles = {"data": "shards", "first_stage": "vqgan", "model": "tiny"}
        known = {**SPECS[name].inputs, **SPECS[name].optional_inputs}
        inputs = {role: load_artifact(tiny_folder / roles[role]) for role in known if role in roles}
        # What ``train_tiny_model`` has not trained is trained here, once.
        reference = execute(SPECS[name], tiny_config(SPECS[name]), inputs, tiny_folder / name)
        return Training(SPECS[name], inputs, reference)

    return make


@pytest.fixture(params=SPECS)
def training(request: pytest.FixtureRequest, training_of: Callable[[str], Training]) -> Training:
    """The training of each stage in turn."""
    return training_of(request.param)


@pytest.fixture
def emotion_training(training_of: Callable[[str], Training]) -> Training:
    """The quickest training, for what all have in common."""
    return training_of("emotion")
