"""A tiny model, its shards, and a model store with a random SqueezeNet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.squeezenet import write_squeezenet
from support.tiny_model import train_tiny_model

from stages.common.manifest import Artifact, load_artifact
from stages.common.perceptual_weights import squeezenet_file


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture
def shards(tiny: Artifact) -> Artifact:
    return load_artifact(tiny.root.parent / "shards")


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty model store and torch hub cache."""
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def squeezenet(no_weights: None) -> None:
    """A model store that holds a SqueezeNet, and nothing else."""
    pytest.importorskip("h5py")
    write_squeezenet(squeezenet_file())


@pytest.fixture
def write_pictures() -> Callable[..., Path]:
    """Write pictures of noise, one for each name, into a folder; equal seeds give equal pictures."""

    def write(folder: Path, names: list[str], size_px: int = 32, seed: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (size_px // 4, size_px // 4, 3), np.uint8)
            Image.fromarray(pixels).resize((size_px, size_px)).save(folder / name)
        return folder

    return write
