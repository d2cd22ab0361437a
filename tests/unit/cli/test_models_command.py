import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from stages.common import weights
from stages.common.engine import execute
from stages.common.manifest import ArtifactKind, Counts
from stages.common.stage import ArtifactDraft


def write_model(_config, _inputs, context):
    for name in ("unet", "vqvae", "scheduler"):
        (context.out / name).mkdir(exist_ok=True)
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, context.out / "unet" / "model.safetensors")
    save_file({"c": torch.zeros(5)}, context.out / "vqvae" / "model.safetensors")
    save_file({"weight": torch.zeros(9, 2)}, context.out / "emotion_embedding.safetensors")
    schedule = {"beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "_class_name": "DDIMScheduler"}
    (context.out / "scheduler" / "scheduler_config.json").write_text(json.dumps(schedule))
    (context.out / "model.json").write_text(json.dumps({"supported": ["neutral", "happy"], "samples": {}}))
    return ArtifactDraft(Counts())


@pytest.fixture
def model(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
    spec = replace(toy.spec, output=ArtifactKind.LATENT_DIFFUSION, run=write_model)
    artifact = execute(spec, toy.config, toy.inputs, tmp_path / "assets" / "facediff-toy")
    (artifact.root / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    return artifact


def test_list(facediff, model):
    assert facediff("models", "list", "--json").payload["models"] == [
        {"name": "facediff-toy", "path": str(model.root), "bundled": True}
    ]
    assert "facediff-toy" in facediff("models", "list").stdout


def test_experts_are_listed(facediff, monkeypatch, tmp_path):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    here = tmp_path / "weights" / "syncnet_v2.model"
    here.parent.mkdir()
    here.touch()
    listed = {e["name"]: e for e in facediff("models", "experts", "--json").payload["experts"]}
    assert {name for name, expert in listed.items() if expert["path"]} == {"syncnet"}
    assert listed["vgg16"]["licence"].startswith("BSD-3-Clause")
    shown = facediff("models", "experts").stdout
    assert f"file      {here}" in shown
    assert "file      not here. Run `facediff models fetch inception`" in shown
    assert shown.count("checksum  none known") == 1


def test_path_is_one_line_for_scripts(facediff, model):
    assert facediff("models", "path", "facediff-toy").stdout == f"{model.root}\n"


def test_describe_counts_parameters_from_the_files(facediff, model):
    report = facediff("models", "describe", "facediff-toy", "--json").payload
    counted = {name: network["parameters"] for name, network in report["networks"].items()}
    assert counted == {"unet": 10, "vqvae": 5, "emotion_embedding": 18}
    assert report["parameters"] == 33
    assert report["networks"]["unet"]["bytes"] == (model.root / "unet" / "model.safetensors").stat().st_size
    assert report["schedule"] == {"beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    assert report["licence"] == "apache-2.0"
    assert report["emotions"] == ["neutral", "happy"]


def test_describe_for_people(facediff, model):
    shown = facediff("models", "describe", "facediff-toy").stdout
    assert "together" in shown
    assert "beta_schedule scaled_linear" in shown


def test_verify(facediff, model):
    assert facediff("models", "verify", "facediff-toy").exit_code == 0
    (model.root / "unet" / "model.safetensors").write_bytes(b"")
    result = facediff("models", "verify", "facediff-toy")
    assert result.exit_code == 6
    assert "unet/model.safetensors" in result.stderr


@pytest.mark.parametrize("damage", ["altered", "missing", "added", "manifest"])
def test_both_ways_to_verify_a_model_leave_with_the_same_code(facediff, model, damage):
    weights = model.root / "unet" / "model.safetensors"
    if damage == "altered":
        weights.write_bytes(b"")
    elif damage == "missing":
        weights.unlink()
    elif damage == "added":
        (model.root / "unet" / "more.bin").write_bytes(b"more")
    else:
        (model.root / "manifest.json").write_text('{"kind":')
    for name in ("facediff-toy", model.root):
        codes = [facediff(command, "verify", name).exit_code for command in ("models", "manifest")]
        assert codes == [6, 6]


def test_a_broken_network_file_is_named(facediff, model):
    (model.root / "unet" / "model.safetensors").write_bytes(b"")
    result = facediff("models", "describe", "facediff-toy")
    assert result.exit_code == 6
    assert "model.safetensors" in result.stderr


def test_an_unknown_model(facediff, model):
    for command in ("path", "verify", "describe"):
        result = facediff("models", command, "facediff-tory")
        assert result.exit_code == 6
        assert "facediff-toy" in result.stderr


def test_the_thesis_networks_have_the_published_sizes(facediff, model):
    networks = facediff("models", "describe", "affectnet-128", "--json").payload["networks"]
    assert networks["vqvae"]["parameters"] == 60_605_598
    assert networks["unet"]["parameters"] == 156_760_483
    assert networks["emotion_embedding"]["parameters"] == 9 * 512


def test_a_preset_of_talking_faces_shows_its_networks(facediff, model):
    report = facediff("models", "describe", "grid-mini", "--json").payload
    assert set(report["networks"]) == {"vqvae", "talker unet", "talker conditioning"}
    assert report["schedule"]["prediction_type"] == "v_prediction"
