"""``facediff preprocess video|grid|mead``: videos of talking people into clips of their faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from facediff_cli.shared_options import takes
from facediff_cli.stage_command import run_stage

if TYPE_CHECKING:
    from stages.clips.sources import Clips

FpsOption = Annotated[
    float | None, typer.Option("--fps", help="Pictures a second (the data set's own; 25 for other clips).")
]


@dataclass(frozen=True)
class ClipsOptions:
    """How clips are to be cut."""

    detector: DetectorOption = None
    size: SizeOption = None
    fps: FpsOption = None
    workers: WorkersOption = CPU_COUNT
    device: DeviceOption = Device.AUTO
    limit: LimitOption = None
    config: ConfigOption = None
    settings: SetOption = None
    dry_run: DryRunOption = False
    as_json: JsonOption = False


@takes(ClipsOptions)
def video(
    how: ClipsOptions,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with clips of one talking person each.")],
    out: OutFolderOption,
    transcripts: Annotated[
        Path | None,
        typer.Option("--transcripts", metavar="CSV", help="Columns path[,text,identity,emotion,split]; else all."),
    ] = None,
) -> None:
    """Cut the talking face out of each clip of a folder: pictures, landmarks, 16 kHz sound and text in shards.

    A clip that cannot be used becomes a row with the reason. A run that was killed continues where it stopped.

    **Examples**

    * `facediff preprocess video clips --out runs/clips`

    * `facediff preprocess video clips --transcripts transcripts.csv --out runs/clips --fps 30 --set max_s=20`
    """
    from stages.clips.sources import read_videos
    from stages.common.plan import partial_folder

    _run(read_videos(source, transcripts, RichProgress().note, (out, partial_folder(out))), out, how)


@takes(ClipsOptions)
def grid(
    how: ClipsOptions,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="GRID: a folder for each speaker.")],
    out: OutFolderOption,
) -> None:
    """Cut the talking faces out of the GRID corpus, with the words and times of its alignments.

    SRC holds a folder of `.mpg` clips for each speaker, with `.align` files beside them or in `alignments/SPEAKER`, and
    optionally `SPEAKER.csv` (clip, split, text), which says what each clip may be used for.

    **Examples**

    * `facediff preprocess grid grid --out runs/grid`

    * `facediff preprocess grid grid --out runs/grid --limit 10 --dry-run`
    """
    from stages.clips.sources import read_grid

    _run(read_grid(source), out, how)


@takes(ClipsOptions)
def mead(
    how: ClipsOptions,
    source: Annotated[Path, typer.Argument(metavar="SRC", help="MEAD, unpacked: a folder for each subject.")],
    out: OutFolderOption,
    val_subjects: Annotated[
        list[str] | None,
        typer.Option("--val-subject", metavar="ID", help="Hold a training subject out for validation (repeatable)."),
    ] = None,
) -> None:
    """Cut the talking faces out of MEAD's frontal views, as it is distributed, with emotions and their levels.

    SRC holds SUBJECT/video/front/EMOTION/level_N/CLIP.mp4 and SUBJECT/audio/EMOTION/level_N/CLIP.m4a. The subjects
    M003, M023, M033, M040, W009, W021 and W040 are for tests.

    **Examples**

    * `facediff preprocess mead MEAD --out runs/mead --val-subject M005 --val-subject W011`

    * `facediff preprocess mead MEAD --out runs/mead --detector fan --device cuda`
    """
    from stages.clips.sources import read_mead

    _run(read_mead(source, val_subjects or ()), out, how)


def _run(source: Clips, out: Path, how: ClipsOptions) -> None:
    from stages.clips.config import ClipsConfig, settle
    from stages.clips.run import CLIPS
    from stages.common.config import resolve_config

    options = {"detector": how.detector, "size_px": how.size, "fps": how.fps, "limit": how.limit}
    clips = resolve_config(ClipsConfig, "clips", how.config, [*(how.settings or ()), *as_settings(options)])
    clips, reason = settle(clips, source, fetch=not how.dry_run)
    RichProgress().note(reason)
    place = how.device.value if clips.detector == "fan" else "cpu"
    run_stage(
        CLIPS,
        clips,
        {"clips": source},
        out,
        workers=how.workers,
        device=place,
        dry_run=how.dry_run,
        as_json=how.as_json,
    )
