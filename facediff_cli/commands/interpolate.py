"""``facediff interpolate``: the faces between two faces."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from facediff_cli.options import (
    DEFAULT_MODEL,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ModelOption,
    OutFolderOption,
    RoundTripOption,
    RoundTripSampler,
    SeedOption,
)
from facediff_cli.stage_command import run_stage


class Landmarks(StrEnum):
    """What finds the faces."""

    DLIB = "dlib"
    FAN = "fan"


def interpolate(
    first: Annotated[Path, typer.Argument(metavar="A", help="The photo to start from; its largest face.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The photo to arrive at; its largest face.")],
    out: OutFolderOption,
    positions: Annotated[int, typer.Option("--positions", help="Faces from A to B, both included.")] = 10,
    strength: Annotated[
        int, typer.Option("--strength", help="Noise level, 1 to 1000, at which the faces are mixed.")
    ] = 500,
    steps: Annotated[int, typer.Option("--steps", help="Sampling steps there, and as many back.")] = 20,
    sampler: RoundTripOption = RoundTripSampler.DDIM,
    eta: Annotated[
        list[float] | None,
        typer.Option("--eta", help="Noise added on the way back, 0 to 1: one row each (repeatable). Default: 0 and 1."),
    ] = None,
    emotion: Annotated[
        str, typer.Option("--emotion", "-e", metavar="auto|EMOTION", help="Their expression; auto looks at each.")
    ] = "auto",
    fps: Annotated[int, typer.Option("--fps", help="Pictures a second of the videos.")] = 5,
    model: ModelOption = DEFAULT_MODEL,
    detector: Annotated[
        Landmarks, typer.Option("--detector", help="What finds the faces; dlib works offline.")
    ] = Landmarks.DLIB,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the faces between the faces of two photos, as a strip (PNG), a GIF and an MP4 for each eta.

    Both faces are aligned and inverted into noise; latents between them on the sphere are sampled and decoded.

    **Examples**

    * `facediff interpolate anna.jpg ben.jpg --out between`

    * `facediff interpolate a.png b.png --positions 60 --fps 30 --eta 0 --sampler dpmpp-2m --out film`
    """
    from stages.common.config import make_config
    from stages.common.model_input import as_model_input
    from stages.common.weights import resolve_model
    from stages.interpolate.config import InterpolateConfig
    from stages.interpolate.run import INTERPOLATE, read_pair

    fields: dict[str, Any] = {
        "positions": positions,
        "strength": strength,
        "steps": steps,
        "sampler": sampler.value,
        "emotion": emotion,
        "fps": fps,
        "detector": detector.value,
    }
    if eta:
        fields["etas"] = eta
    run_stage(
        INTERPOLATE,
        make_config(InterpolateConfig, fields),
        {"photos": read_pair(first, second), **as_model_input(resolve_model(model))},
        out,
        seed=seed,
        device=device.value,
        dry_run=dry_run,
        as_json=as_json,
    )
