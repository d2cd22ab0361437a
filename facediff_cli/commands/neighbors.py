"""``facediff neighbors``: are samples copies of training pictures?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facediff_cli.options import (
    ConfigOption,
    DataOption,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    OutFolderOption,
    SetOption,
    as_settings,
)
from facediff_cli.stage_command import load_input, run_stage


class Space(StrEnum):
    """What pictures are compared by."""

    PIXELS = "pixels"
    PERCEPTUAL = "perceptual"


def neighbors(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="The folder that `synthesize` wrote.")],
    data: DataOption,
    out: OutFolderOption,
    k: Annotated[int | None, typer.Option("--k", min=2, help="Neighbours of each sample. Default: 10.")] = None,
    space: Annotated[
        list[Space] | None, typer.Option("--space", help="What to compare (repeatable). Default: both.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    device: DeviceOption = Device.AUTO,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the training pictures nearest to each sample, and say whether samples are nearer than real pictures are.

    Writes a table, and a picture with one row a sample: the sample, then its neighbours, the nearest first.

    **Examples**

    * `facediff neighbors faces --data runs/shards --out neighbors`

    * `facediff neighbors faces --data runs/shards --space pixels --k 5 --set held_out=test --out neighbors`
    """
    from stages.common.config import resolve_config
    from stages.neighbors.config import NeighborsConfig
    from stages.neighbors.run import NEIGHBORS

    given = as_settings({"k": k, "spaces": list(dict.fromkeys(s.value for s in space)) if space else None})
    run_stage(
        NEIGHBORS,
        resolve_config(NeighborsConfig, "neighbors", config, [*(settings or ()), *given]),
        {"samples": load_input(samples, "samples"), "data": load_input(data, "shards")},
        out,
        device=device.value,
        dry_run=dry_run,
        as_json=as_json,
    )
