"""What all tests share: no network, a private model store, and a toy stage to run the engine with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import disable_socket

from stages.common.config import StageConfig
from stages.common.engine import describe_source
from stages.common.errors import Interrupted
from stages.common.hashing import hash_json
from stages.common.manifest import Artifact, ArtifactKind, Counts, write_atomically
from stages.common.stage import ArtifactDraft, RunContext, StageSpec

settings.register_profile("facediff", deadline=None, derandomize=True, database=None)
settings.load_profile("facediff")


class ToyInner(StageConfig):
    level: int = 1


class ToyConfig(StageConfig):
    files: int = 3
    text: str = "x"
    inner: ToyInner = ToyInner()


def run_toy(config: ToyConfig, _inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write ``files`` small files; those that an earlier run wrote are kept, and counted in the metric ``kept``."""
    kept = 0
    for number in range(config.files):
        if context.should_stop():
            raise Interrupted("stopped", "Give the same command again to continue")
        path = context.out / f"{number}.txt"
        kept += path.exists()
        if not path.exists():
            write_atomically(path, f"{config.text} {context.seed} {number}".encode())
    (context.work / "checkpoint").write_text("only a resumed run needs this")
    counts = Counts(total=config.files + 1, ok=config.files, rejected_by_reason={"no_face": 1})
    return ArtifactDraft(counts, {"kept": kept}, {"0.txt": 7})


@dataclass(frozen=True)
class Toy:
    spec: StageSpec[ToyConfig]
    config: ToyConfig
    inputs: dict[str, Artifact]
    out: Path


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``gpu`` need CUDA, or a device that ``FACEDIFF_TEST_DEVICE`` names in its place."""
    if item.get_closest_marker("gpu") is None or os.environ.get("FACEDIFF_TEST_DEVICE"):
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    disable_socket(allow_unix_socket=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path_factory.getbasetemp() / "facediff-home"))


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    """A source file and its artifact."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    return describe_source(folder, hash_json("listing"))


@pytest.fixture
def toy(tmp_path: Path, source: Artifact) -> Toy:
    """A stage that turns a source into three text files."""
    spec = StageSpec("toy", 1, ToyConfig, {"photos": ArtifactKind.SOURCE}, ArtifactKind.FACES, run_toy)
    return Toy(spec, ToyConfig(), {"photos": source}, tmp_path / "out")
