"""The options that several commands share, so that each has one name and one help text."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU_COUNT = os.cpu_count() or 1
DEFAULT_MODEL = "facediff-mini"
"""As ``stages.common.weights`` has it, which takes too long to import for ``--help``."""


class Device(StrEnum):
    """Where networks run: ``auto`` takes CUDA where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Detector(StrEnum):
    """Which landmarks to use: FAN is the reference, dlib works offline, auto takes FAN where its weights can be had."""

    AUTO = "auto"
    FAN = "fan"
    DLIB = "dlib"


class RoundTripSampler(StrEnum):
    """The way into noise and back."""

    DDIM = "ddim"
    EXACT = "exact"
    DPMPP_2M = "dpmpp-2m"
    THESIS = "thesis"


class Tracker(StrEnum):
    """What shows the curves and pictures of a training."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    NONE = "none"


JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")]
OutFolderOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; it appears only when it is complete.")
]
DataOption = Annotated[Path, typer.Option("--data", metavar="MANIFEST", help="The folder that `shard` wrote.")]
ConfigOption = Annotated[
    str | None, typer.Option("--config", "-c", metavar="NAME|FILE", help="A preset by name, or a YAML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=VALUE", help="Change one setting (repeatable); stronger than --config."),
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME|DIR", help="A model by name (`facediff models list`) or a folder.")
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the networks run.")]
WorkersOption = Annotated[int, typer.Option("--workers", "-j", min=1, help="Processes that work side by side.")]
ReadersOption = Annotated[int, typer.Option("--workers", "-j", min=1, help="Threads that read pictures ahead.")]
TrackerOption = Annotated[
    Tracker, typer.Option("--tracker", help="Where curves and sample grids go: OUT/logs for TensorBoard, or wandb.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds and inputs give equal results.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an unfinished run in the same --out.")]
RoundTripOption = Annotated[
    RoundTripSampler,
    typer.Option(
        "--sampler",
        help="dpmpp-2m needs half the steps; exact loses least, in 3 times the time; thesis: as its code.",
    ),
]
ClassifierOption = Annotated[
    Path | None, typer.Option("--classifier", metavar="RUN", help="Guide by what `train classifier` wrote.")
]
ClassifierScaleOption = Annotated[
    float, typer.Option("--classifier-scale", min=0, help="How hard the classifier pulls.")
]
DetectorOption = Annotated[Detector | None, typer.Option("--detector", help="Landmarks; auto takes FAN where it can.")]
SizeOption = Annotated[int | None, typer.Option("--size", metavar="PX", help="Side of the crops in pixels (128).")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first files, in order of path.")]


def as_settings(options: Mapping[str, Any]) -> list[str]:
    """``name=value``, as ``--set`` takes it, for each option that was given."""
    import yaml

    values = {name: value.value if isinstance(value, StrEnum) else value for name, value in options.items()}
    return [
        f"{name}={yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)}"
        for name, value in values.items()
        if value is not None
    ]
