"""``facediff finetune`` and what uses its result, as command lines."""

import numpy as np
import pytest
from PIL import Image
from skimage import data
from support.tiny_model import train_tiny_model

from stages.common.provenance import read_provenance


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture
def portrait(tmp_path):
    Image.fromarray(data.astronaut()[:256, 96:352]).save(tmp_path / "portrait.png")
    return tmp_path / "portrait.png"


def tune(facediff, model, out, *options):
    return facediff(
        *("finetune", "clip", "--target", "joy", "--config", "tiny", "--data", model.root.parent / "shards"),
        *("--model", model.root, "--out", out, "--device", "cpu", "--tracker", "none", "--json", *options),
    )


def test_an_update_is_written_and_edits(facediff, model, portrait, tmp_path):
    tuned = tune(facediff, model, tmp_path / "update")
    assert tuned.exit_code == 0, tuned.stderr
    assert tuned.payload["kind"] == "lora"
    edit = ("edit", "-e", "happy", "--source", "neutral", "--steps", 2, "--model", tmp_path / "update", portrait)
    missing = facediff(*edit, "--out", tmp_path / "out.png")
    assert missing.exit_code == 6
    assert "changes the model tiny" in missing.stderr
    assert "--base" in missing.stderr
    done = facediff(*edit, "--out", tmp_path / "out.png", "--base", model.root, "--json")
    assert done.exit_code == 0, done.stderr
    record = read_provenance(tmp_path / "out.png")
    assert record["model"] == tuned.payload["artifact_id"]
    assert record["faces"][0]["guidance"] == 2.0
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (256, 256, 3)


def test_options_are_stronger_than_the_preset(facediff, model, tmp_path):
    planned = tune(facediff, model, tmp_path / "out", "--guidance", "1.5", "--full", "--dry-run").payload
    assert planned["config"]["guidance"] == 1.5
    assert planned["config"]["lora"] is None
    assert planned["config"]["target"] == "happy"
    assert not (tmp_path / "out").exists()


def test_what_is_not_on_this_machine_is_exit_code_6(facediff, model, tmp_path):
    clip = tune(facediff, model, tmp_path / "out", "--guide", "clip")
    assert clip.exit_code == 6
    assert "--guide classifier" in clip.stderr
    identity = tune(facediff, model, tmp_path / "out", "--identity", "arcface")
    assert identity.exit_code == 6
    assert "model_ir_se50.pth" in identity.stderr
    assert not (tmp_path / "out.partial").exists()
