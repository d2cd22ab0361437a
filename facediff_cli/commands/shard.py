"""``facediff shard``: aligned faces into WebDataset tars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facediff_cli.options import ConfigOption, DryRunOption, JsonOption, OutFolderOption, SetOption
from facediff_cli.stage_command import load_input, run_stage


def shard(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The folder that `preprocess` wrote.")],
    out: OutFolderOption,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pack aligned faces into WebDataset tars, one series for each split. Equal faces give equal bytes.

    A run that was killed continues where it stopped when the same command is given again.

    **Examples**

    * `facediff shard runs/faces --out runs/shards`

    * `facediff shard runs/faces --out runs/shards --set samples_per_shard=1000`
    """
    from stages.common.config import resolve_config
    from stages.shard.config import ShardConfig
    from stages.shard.run import SHARD

    run_stage(
        SHARD,
        resolve_config(ShardConfig, "shard", config, settings or ()),
        {"faces": load_input(manifest, "faces")},
        out,
        dry_run=dry_run,
        as_json=as_json,
    )
