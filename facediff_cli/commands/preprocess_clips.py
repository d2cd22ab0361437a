"""``facediff preprocess video|grid|mead``: videos of talking people into clips of their faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import (
    CPU_COUNT,
    ConfigOption,
    DetectorOption,
    Device,
    DeviceOption,
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
    from stages.clips.sources import Clips

FpsOption = Annotated[
    float | None, typer.Option("--fps", help="Pictures a second (the data set's own; 25 for other clips).")
]


def video(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with clips of one talking person each.")],
    out: OutFolderOption,
    transcripts: Annotated[
        Path | None,
        typer.Option("--transcripts", metavar="CSV", help="Columns path[,text,identity,emotion,split]; else all."),
    ] = None,
    detector: DetectorOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    workers: WorkersOption = CPU_COUNT,
    device: DeviceOption = Device.AUTO,
    limit: LimitOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut the talking face out of each clip of a folder: pictures, landmarks, 16 kHz sound and text in shards.

    A clip that cannot be used becomes a row with the reason. A run that was killed continues where it stopped.

    **Examples**

    * `facediff preprocess video clips --out runs/clips`

    * `facediff preprocess video clips --transcripts transcripts.csv --out runs/clips --fps 30 --set max_s=20`
    """
    from stages.clips.sources import read_videos

    options = {"detector": detector, "size_px": size, "fps": fps, "limit": limit}
    _run(read_videos(source, transcripts), options, config, settings, out, workers, device, dry_run, as_json)


def grid(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="GRID: a folder for each speaker.")],
    out: OutFolderOption,
    detector: DetectorOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    workers: WorkersOption = CPU_COUNT,
    device: DeviceOption = Device.AUTO,
    limit: LimitOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut the talking faces out of the GRID corpus, with the words and times of its alignments.

    SRC holds a folder of `.mpg` clips for each speaker, with `.align` files beside them or in `alignments/SPEAKER`, and
    optionally `SPEAKER.csv` (clip, split, text), which says what each clip may be used for.

    **Examples**

    * `facediff preprocess grid grid --out runs/grid`

    * `facediff preprocess grid grid --out runs/grid --limit 10 --dry-run`
    """
    from stages.clips.sources import read_grid

    options = {"detector": detector, "size_px": size, "fps": fps, "limit": limit}
    _run(read_grid(source), options, config, settings, out, workers, device, dry_run, as_json)


def mead(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="MEAD, unpacked: a folder for each subject.")],
    out: OutFolderOption,
    val_subjects: Annotated[
        list[str] | None,
        typer.Option("--val-subject", metavar="ID", help="Hold a training subject out for validation (repeatable)."),
    ] = None,
    detector: DetectorOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    workers: WorkersOption = CPU_COUNT,
    device: DeviceOption = Device.AUTO,
    limit: LimitOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut the talking faces out of MEAD's frontal views, as it is distributed, with emotions and their levels.

    SRC holds SUBJECT/video/front/EMOTION/level_N/CLIP.mp4 and SUBJECT/audio/EMOTION/level_N/CLIP.m4a. The subjects
    M003, M023, M033, M040, W009, W021 and W040 are for tests.

    **Examples**

    * `facediff preprocess mead MEAD --out runs/mead --val-subject M005 --val-subject W011`

    * `facediff preprocess mead MEAD --out runs/mead --detector fan --device cuda`
    """
    from stages.clips.sources import read_mead

    options = {"detector": detector, "size_px": size, "fps": fps, "limit": limit}
    _run(read_mead(source, val_subjects or ()), options, config, settings, out, workers, device, dry_run, as_json)


def _run(
    source: Clips,
    options: dict[str, Any],
    config: str | None,
    settings: list[str] | None,
    out: Path,
    workers: int,
    device: Device,
    dry_run: bool,
    as_json: bool,
) -> None:
    from stages.clips.config import ClipsConfig, settle
    from stages.clips.run import CLIPS
    from stages.common.config import resolve_config

    clips = resolve_config(ClipsConfig, "clips", config, [*(settings or ()), *as_settings(options)])
    clips, reason = settle(clips, source, fetch=not dry_run)
    RichProgress().note(reason)
    place = device.value if clips.detector == "fan" else "cpu"
    run_stage(CLIPS, clips, {"clips": source}, out, workers=workers, device=place, dry_run=dry_run, as_json=as_json)
