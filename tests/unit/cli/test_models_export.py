"""``facediff models export``: options, exit codes and what it leaves."""

import pytest
from support.tiny_model import train_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


def test_an_export_is_a_model(facediff, model, tmp_path):
    command = ("models", "export", model.root, "--out", tmp_path / "copy")
    result = facediff(*command, "--json")
    assert result.exit_code == 0
    assert result.payload["kind"] == "model"
    assert facediff("models", "verify", tmp_path / "copy").exit_code == 0
    described = [facediff("models", "describe", root, "--json").payload for root in (model.root, tmp_path / "copy")]
    assert described[0]["parameters"] == described[1]["parameters"]
    assert facediff(*command, "--dtype", "float16").exit_code == 4


def test_a_part_of_a_model_is_exported_as_what_it_is(facediff, model, tmp_path):
    for part, kind, folder in (
        ("vqgan", "first_stage", "vqvae"),
        ("emotion", "emotion_classifier", "emotion_classifier"),
    ):
        command = ("models", "export", model.root.parent / part, "--out", tmp_path / part)
        assert facediff(*command, "--json").payload["kind"] == kind
        assert {path.name for path in (tmp_path / part).iterdir() if path.is_dir()} == {folder, "parents"}
    refused = facediff(*command[:-1], tmp_path / "onnx", "--format", "onnx")
    assert refused.exit_code == 3
    assert "has no denoiser and no decoder" in refused.stderr


def test_wrong_wishes_are_refused(facediff, model, tmp_path):
    command = ("models", "export", model.root, "--out", tmp_path / "copy")
    refused = facediff(*command, "--format", "onnx", "--dtype", "float16")
    assert refused.exit_code == 2
    assert "onnx is written in float32" in refused.stderr
    assert facediff(*command, "--format", "onnx", "--tolerance", "0").exit_code == 2
    assert facediff("models", "export", "no-such", "--out", tmp_path / "copy").exit_code == 6
    assert facediff(*command, "--dry-run").exit_code == 0
    assert not list(tmp_path.iterdir())
