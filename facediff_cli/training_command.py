"""What the commands that train have in common: their options, and how they run their stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facediff_cli.options import (
    ConfigOption,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ReadersOption,
    ResumeOption,
    SeedOption,
    SetOption,
    Tracker,
    TrackerOption,
)
from facediff_cli.stage_command import run_stage

if TYPE_CHECKING:
    from stages.common.manifest import Artifact
    from stages.common.stage import StageSpec


@dataclass(frozen=True)
class TrainingOptions:
    """How a stage is to train: its settings, and how it runs."""

    config: ConfigOption = None
    settings: SetOption = None
    seed: SeedOption = 0
    device: DeviceOption = Device.AUTO
    workers: ReadersOption = 2
    tracker: TrackerOption = Tracker.TENSORBOARD
    resume: ResumeOption = False
    dry_run: DryRunOption = False
    as_json: JsonOption = False


def resolve_training(spec: StageSpec[Any], how: TrainingOptions, given: Sequence[str] = ()) -> Any:
    """The stage's settings: of the preset, then ``given``, then --set."""
    from stages.common.config import resolve_config

    return resolve_config(spec.config_type, spec.name, how.config, [*given, *(how.settings or ())])


def train(
    spec: StageSpec[Any], inputs: Mapping[str, Artifact], out: Path, how: TrainingOptions, config: Any = None
) -> None:
    """Run a training stage, with ``config`` where it is resolved already."""
    run_stage(
        spec,
        resolve_training(spec, how) if config is None else config,
        inputs,
        out,
        seed=how.seed,
        resume=how.resume,
        device=how.device.value,
        workers=how.workers,
        tracker=how.tracker.value,
        dry_run=how.dry_run,
        as_json=how.as_json,
    )
