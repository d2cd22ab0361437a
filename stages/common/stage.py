"""What a stage is: a plain function, what it reads and writes, and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from stages.common.config import StageConfig
from stages.common.manifest import RUN_FOLDER, Artifact, ArtifactKind, Counts
from stages.common.progress import Progress, SilentProgress

ConfigT = TypeVar("ConfigT", bound=StageConfig)
TrackerName = Literal["tensorboard", "wandb"]


def work_folder(out: Path) -> Path:
    """``RunContext.work`` of the run that writes to ``out``."""
    folder = out / RUN_FOLDER / "work"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where and how a stage runs; nothing here may change what it writes.

    ``tracker`` names what shows a training's curves and pictures. In a run of several processes all but the leading one
    write to an ``out`` of their own that is thrown away, and ``shared`` is where the leader works.
    """

    out: Path
    seed: int = 0
    workers: int = 1
    device: str = "cpu"
    progress: Progress = field(default_factory=SilentProgress)
    should_stop: Callable[[], bool] = lambda: False
    tracker: TrackerName | None = None
    shared: Path | None = None

    @property
    def work(self) -> Path:
        """For what only a resumed run needs (checkpoints, chunks); gone when the artifact is complete."""
        return work_folder(self.shared or self.out)


@dataclass(frozen=True, slots=True)
class ArtifactDraft:
    """What a stage says of the files that it left in ``RunContext.out``; the engine hashes them."""

    counts: Counts
    metrics: Mapping[str, Any] = field(default_factory=dict)
    counts_by_path: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[ConfigT]):
    """A stage: a plain function and what it reads and writes.

    ``version`` rises when equal inputs would give other outputs. ``optional_inputs`` may be left out.
    """

    name: str
    version: int
    config_type: type[ConfigT]
    inputs: Mapping[str, ArtifactKind]
    output: ArtifactKind
    run: Callable[[ConfigT, Mapping[str, Artifact], RunContext], ArtifactDraft]
    optional_inputs: Mapping[str, ArtifactKind] = field(default_factory=dict)
