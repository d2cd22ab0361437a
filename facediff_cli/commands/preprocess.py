"""``facediff preprocess``: photos into aligned faces; the verbs for videos have a module of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.commands import preprocess_clips
from facediff_cli.options import (
    CPU_COUNT,
    ConfigOption,
    DetectorOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OutFolderOption,
    SetOption,
    SizeOption,
    WorkersOption,
    as_settings,
)
from facediff_cli.reporting import RichProgress
from facediff_cli.stage_command import run_stage

if TYPE_CHECKING:
    from stages.align.config import AlignConfig
    from stages.align.sources import Photos

app = typer.Typer()


@app.command()
def folder(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with photos.")],
    out: OutFolderOption,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="CSV", help="Columns path[,emotion,identity,split,grey]; else all photos, unlabelled."
        ),
    ] = None,
    detector: DetectorOption = None,
    size: SizeOption = None,
    workers: WorkersOption = CPU_COUNT,
    limit: LimitOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find and align the face in each photo of a folder, with labels from a CSV.

    A photo that cannot be used becomes a row with the reason. A run that was killed continues where it stopped.

    **Examples**

    * `facediff preprocess folder photos --labels labels.csv --out runs/faces`

    * `facediff preprocess folder photos --out runs/faces --size 256 --detector dlib --set several=reject`
    """
    from stages.align.sources import read_folder

    options = {"detector": detector, "size_px": size, "limit": limit}
    align = _resolve(options, config, settings, dry_run)
    _run(align, read_folder(source, labels), out, workers=workers, dry_run=dry_run, as_json=as_json)


@app.command()
def affectnet(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="AffectNet, unpacked: manual annotations or 8-class release.")
    ],
    out: OutFolderOption,
    detector: DetectorOption = None,
    size: SizeOption = None,
    workers: WorkersOption = CPU_COUNT,
    limit: LimitOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find and align the faces of AffectNet, as it is distributed.

    SRC holds `training.csv` and `validation.csv` of the manually annotated part, or the 8-class release's `train_set`
    and `val_set` with `annotations/*_exp.npy`. Labels that are no emotion are counted as rejected.

    **Examples**

    * `facediff preprocess affectnet AffectNet --out runs/faces`

    * `facediff preprocess affectnet AffectNet --out runs/faces --limit 1000 --dry-run`
    """
    from stages.align.sources import read_affectnet

    options = {"detector": detector, "size_px": size, "limit": limit}
    align = _resolve(options, config, settings, dry_run)
    _run(align, read_affectnet(source), out, workers=workers, dry_run=dry_run, as_json=as_json)


def _resolve(options: dict[str, Any], config: str | None, settings: list[str] | None, dry_run: bool) -> AlignConfig:
    from stages.align.config import AlignConfig, settle_detector
    from stages.common.config import resolve_config

    align = resolve_config(AlignConfig, "align", config, [*(settings or ()), *as_settings(options)])
    align, reason = settle_detector(align, fetch=not dry_run)
    RichProgress().note(reason)
    return align


def _run(config: AlignConfig, photos: Photos, out: Path, **how: Any) -> None:
    from stages.align.run import ALIGN

    run_stage(ALIGN, config, {"photos": photos}, out, **how)


app.command()(preprocess_clips.video)
app.command()(preprocess_clips.grid)
app.command()(preprocess_clips.mead)
