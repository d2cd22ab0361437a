"""``facediff models import``: foreign checkpoints into facediff models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facediff_cli.options import DryRunOption, JsonOption, OutFolderOption
from facediff_cli.stage_command import run_stage

app = typer.Typer()


@app.command()
def compvis(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A checkpoint of CompVis's or taming's code.")],
    config: Annotated[Path, typer.Option("--config", "-c", metavar="YAML", help="The YAML it was trained with.")],
    out: OutFolderOption,
    ema: Annotated[
        bool | None, typer.Option("--ema/--raw", help="Averaged or last weights (averaged, where there are some).")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkpoint of latent-diffusion with a VQ first stage, or of a VQGAN alone, into a facediff model.

    The pickle is read without running anything in it. The networks come out exactly as they were.

    **Examples**

    * `facediff models import compvis epoch=000025.ckpt --config project.yaml --out runs/thesis`

    * `facediff edit --emotion happy --source neutral photo.jpg --model runs/thesis`
    """
    from stages.convert.compvis_config import read_compvis_config
    from stages.convert.run import convert_spec, describe_checkpoint

    settings = read_compvis_config(config, "auto" if ema is None else "ema" if ema else "raw")
    source = describe_checkpoint(checkpoint)
    run_stage(convert_spec(settings), settings, {"checkpoint": source}, out, dry_run=dry_run, as_json=as_json)


@app.command()
def vsr(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint of Auto-AVSR's code or its elder's.")
    ],
    units: Annotated[Path, typer.Option("--units", metavar="TXT", help="The units of its texts, one a line.")],
    out: OutFolderOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkpoint of Auto-AVSR, or of Visual Speech Recognition for Multiple Languages, into a lip reader.

    The pickle is read without running anything in it. Readers of video alone can be imported, those with a conformer.

    **Examples**

    * `facediff models import vsr vsr_trlrs3_base.pth --units unigram5000_units.txt --out runs/reader`
    """
    from stages.convert.run import describe_checkpoint
    from stages.convert.vsr import VSR, VsrConfig

    sources = {"checkpoint": describe_checkpoint(checkpoint), "units": describe_checkpoint(units)}
    run_stage(VSR, VsrConfig(), sources, out, dry_run=dry_run, as_json=as_json)
