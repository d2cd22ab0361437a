"""What the commands that train have in common: their options, and how they run their stage."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

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


def trains(preset: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the training options in place of its first parameter; ``preset`` is the default of --config."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        how, *own = inspect.signature(command).parameters.values()
        parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        types = get_type_hints(TrainingOptions, include_extras=True)
        for option in fields(TrainingOptions):
            default = preset if option.name == "config" else option.default
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(option.name, kind, default=default, annotation=types[option.name]))

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            own_arguments = {parameter.name: arguments.pop(parameter.name) for parameter in own}
            command(**{how.name: TrainingOptions(**arguments)}, **own_arguments)

        # Typer reads both.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


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
