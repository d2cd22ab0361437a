"""``facediff preprocess``: photos into aligned faces; the verbs for videos have a module of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from facediff_cli.shared_options import takes
from facediff_cli.stage_command import run_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.align.sources import Photos

app = typer.Typer()


@dataclass(frozen=True)
class PhotosOptions:
    """How photos are to be aligned."""

    detector: DetectorOption = None
    size: SizeOption = None
    workers: WorkersOption = CPU_COUNT
    limit: LimitOption = None
    expression: Annotated[
        bool, typer.Option("--expression", help="Measure expression coefficients and points too (needs MediaPipe).")
    ] = False
    config: ConfigOption = None
    settings: SetOption = None
    dry_run: DryRunOption = False
    as_json: JsonOption = False


@app.command()
@takes(PhotosOptions)
def folder(
    how: PhotosOptions,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with photos.")],
    out: OutFolderOption,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="CSV", help="Columns path[,emotion,identity,split,grey]; else all photos, unlabelled."
        ),
    ] = None,
) -> None:
    """Find and align the face in each photo of a folder, with labels from a CSV.

    A photo that cannot be used becomes a row with the reason. A run that was killed continues where it stopped.

    **Examples**

    * `facediff preprocess folder photos --labels labels.csv --out runs/faces`

    * `facediff preprocess folder photos --out runs/faces --size 256 --detector dlib --set several=reject`
    """
    from stages.align.sources import read_folder
    from stages.common.plan import partial_folder

    without = (out, partial_folder(out))
    _run(lambda: read_folder(source, labels, RichProgress().note, without), out, how)


@app.command()
@takes(PhotosOptions)
def affectnet(
    how: PhotosOptions,
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="AffectNet, unpacked: manual annotations or 8-class release.")
    ],
    out: OutFolderOption,
) -> None:
    """Find and align the faces of AffectNet, as it is distributed.

    SRC holds `training.csv` and `validation.csv` of the manually annotated part, or the 8-class release's `train_set`
    and `val_set` with `annotations/*_exp.npy`. Labels that are no emotion are counted as rejected.

    **Examples**

    * `facediff preprocess affectnet AffectNet --out runs/faces`

    * `facediff preprocess affectnet AffectNet --out runs/faces --limit 1000 --dry-run`
    """
    from stages.align.sources import read_affectnet

    _run(lambda: read_affectnet(source), out, how)


def _run(read: Callable[[], Photos], out: Path, how: PhotosOptions) -> None:
    from stages.align.config import AlignConfig, settle_detector
    from stages.align.run import ALIGN
    from stages.common.config import resolve_config

    options = as_settings(
        {"detector": how.detector, "size_px": how.size, "limit": how.limit, "expression": how.expression or None}
    )
    align = resolve_config(AlignConfig, "align", how.config, [*(how.settings or ()), *options])
    align, reason = settle_detector(align, fetch=not how.dry_run)
    RichProgress().note(reason)
    run_stage(ALIGN, align, {"photos": read()}, out, workers=how.workers, dry_run=how.dry_run, as_json=how.as_json)


app.command()(preprocess_clips.video)
app.command()(preprocess_clips.grid)
app.command()(preprocess_clips.mead)
