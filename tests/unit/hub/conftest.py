"""A hub on 127.0.0.1, the one address that these tests may reach, and a model to send there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts
from support.hub import FakeHub, run_hub

from stages.common import weights
from stages.common.engine import execute
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft

LARGE = bytes(range(256)) * 400


def _write_model(_config, _inputs, context):
    (context.out / "unet").mkdir()
    (context.out / "unet" / "weights.safetensors").write_bytes(LARGE)
    (context.out / "model.json").write_text("{}")
    return ArtifactDraft(Counts())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a user who has no models."""
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(toy, tmp_path: Path, store: Path) -> Artifact:
    spec = replace(toy.spec, output=ArtifactKind.LATENT_DIFFUSION, run=_write_model)
    artifact = execute(spec, toy.config, toy.inputs, tmp_path / "original")
    (artifact.root / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    return artifact


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _s: None)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with run_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
        huggingface_hub.close_session()
    disable_socket(allow_unix_socket=True)
