"""``facediff models import compvis`` from files to a model, and its exit codes."""

import pytest
import torch
import yaml
from support.compvis import ldm_checkpoint, ldm_yaml, make_twin


@pytest.fixture
def published(tmp_path):
    """A checkpoint and its YAML, as published."""
    torch.save(ldm_checkpoint(make_twin(1), make_twin(2)), tmp_path / "ldm.ckpt")
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(ldm_yaml()))
    return tmp_path


@pytest.fixture
def convert(facediff, published):
    def run(*options, checkpoint="ldm.ckpt", config="project.yaml"):
        return facediff(
            *("models", "import", "compvis", published / checkpoint, "--config", published / config),
            *("--out", published / "model", *options),
        )

    return run


def test_an_import_can_be_verified_and_described(facediff, convert, published):
    assert convert().exit_code == 0
    assert facediff("models", "verify", published / "model").exit_code == 0
    report = facediff("models", "describe", published / "model", "--json").payload
    assert set(report["networks"]) == {"unet", "vqvae", "emotion_embedding"}
    assert report["schedule"]["beta_start"] == 0.0015
    again = convert("--json")
    assert again.payload["up_to_date"]


def test_averaged_and_last_weights_are_two_runs(convert):
    dry = [convert(option, "--dry-run", "--json").payload for option in ("--ema", "--raw")]
    assert [plan["config"]["weights"] for plan in dry] == ["ema", "raw"]
    assert dry[0]["run_key"] != dry[1]["run_key"]
    assert convert("--raw", "--json").payload["metrics"] == {"weights": "raw"}
    assert convert("--ema").exit_code == 4


def test_bad_input_leaves_with_its_code_and_one_line(convert, published):
    (published / "cut.ckpt").write_bytes((published / "ldm.ckpt").read_bytes()[:5000])
    (published / "other.yaml").write_text("model: {target: ldm.models.autoencoder.AutoencoderKL}")
    for arguments, code, told in (
        ({"checkpoint": "cut.ckpt"}, 3, "damaged"),
        ({"checkpoint": "absent.ckpt"}, 3, "cannot read"),
        ({"config": "other.yaml"}, 2, "AutoencoderKL"),
        ({"config": "absent.yaml"}, 2, "cannot read"),
    ):
        result = convert(**arguments)
        assert result.exit_code == code
        assert told in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert not list(published.glob("model*")), "nothing is left that the next try would have to continue"
