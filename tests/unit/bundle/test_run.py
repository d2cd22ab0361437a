"""A released model: what it keeps of its parents, and the contexts that are mixed on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from support.tiny_model import tiny_config, train_tiny_model

from stages.bundle.config import BundleConfig
from stages.bundle.run import BUNDLE
from stages.common.checkpoint import load_denoiser, load_expression_network
from stages.common.emotions import EMOTIONS
from stages.common.engine import execute
from stages.common.manifest import load_artifact
from stages.expression.run import EXPRESSION


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "tiny-model"
    train_tiny_model(folder)
    return {name: load_artifact(folder / name) for name in ("ldm", "emotion")}


def embedding(root: Path) -> torch.Tensor:
    return load_denoiser(root).emotion_embedding.weight


def test_a_context_is_mixed_and_the_others_stay(parts, tmp_path):
    config = BundleConfig(contexts={"Surprise": {"surprise": 1.5, "anger": -0.5}})
    trained = embedding(parts["ldm"].root)
    released = embedding(execute(BUNDLE, config, parts, tmp_path / "model").root)
    surprise, anger = EMOTIONS.index("surprise"), EMOTIONS.index("anger")
    torch.testing.assert_close(released[surprise], 1.5 * trained[surprise] - 0.5 * trained[anger], atol=2e-3, rtol=0)
    others = [i for i in range(len(trained)) if i != surprise]
    assert torch.equal(released[others], trained[others].half().float())


def test_an_expression_network_is_released_in_half_precision(parts, tmp_path):
    shards = load_artifact(parts["ldm"].root.parent / "shards")
    expression = execute(EXPRESSION, tiny_config(EXPRESSION), {"data": shards}, tmp_path / "expression")
    released = execute(BUNDLE, BundleConfig(), {**parts, "expression": expression}, tmp_path / "model")
    trained, found = (load_expression_network(artifact.root).mean_shape for artifact in (expression, released))
    assert torch.equal(found, trained.half().float())
    assert released.manifest.metrics["expression"] == expression.manifest.metrics
    assert load_expression_network(execute(BUNDLE, BundleConfig(), parts, tmp_path / "without").root) is None


def test_weights_that_do_not_add_up_to_one_are_refused():
    with pytest.raises(ValidationError, match=r"surprise add up to 0\.9, not 1"):
        BundleConfig(contexts={"surprise": {"surprise": 0.9}})
