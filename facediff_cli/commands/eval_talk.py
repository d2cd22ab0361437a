"""``facediff eval lipread`` and ``facediff eval sync``: measure talking faces, from videos that any system made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.evaluation import EvaluationOptions, SplitOption, evaluate, resolve_evaluation
from facediff_cli.options import OutFolderOption
from facediff_cli.shared_options import takes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.common.manifest import Artifact
    from stages.common.stage import StageSpec

DEFAULT_READER = "lipreader-grid"

RealOption = Annotated[
    Path | None,
    typer.Option("--data", "-d", metavar="DIR", help="The real clips: what `preprocess` wrote, or videos in a folder."),
]
ClipsOption = Annotated[
    list[str] | None,
    typer.Option("--clips", metavar="NAME=DIR", help="A system's videos of the same clips, by name (repeatable)."),
]
ClipLimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="So many clips, always the same ones (default: all).")
]


@takes(EvaluationOptions)
def lipread(
    how: EvaluationOptions,
    out: OutFolderOption,
    data: RealOption = None,
    clips: ClipsOption = None,
    silent: Annotated[
        list[str] | None,
        typer.Option(
            "--silent", metavar="NAME=DIR", help="What the system made of the clips with silence (repeatable)."
        ),
    ] = None,
    transcripts: Annotated[
        Path | None,
        typer.Option("--transcripts", metavar="FILE.csv", help="What is said: a table with the columns clip and text."),
    ] = None,
    reader: Annotated[
        str, typer.Option("--reader", metavar="NAME|DIR", help="Who reads: a lip reader's name or folder.")
    ] = DEFAULT_READER,
    split: SplitOption = None,
    limit: ClipLimitOption = None,
) -> None:
    """Measure what a lip reader reads off talking faces: WER and CER in words and visemes, LipScore, LipLeak.

    Without --transcripts, what is said comes with the clips' artifact, or lies beside each video as .txt or .align.

    **Examples**

    * `facediff eval lipread --data runs/clips --out runs/eval-real`

    * `facediff eval lipread --data runs/clips --clips ours=talked --clips other=theirs --out runs/eval-lipread`

    * `facediff eval lipread --data runs/clips --clips ours=talked --silent ours=talked-silence --out runs/eval --csv`
    """
    from stages.common.errors import ConfigError
    from stages.common.weights import resolve_model
    from stages.evaluate.talk.lipread import READER, TRANSCRIPTS, lipread_spec, silence_role
    from stages.evaluate.talk.transcripts import read_table

    systems, silences = _read_systems(data, clips), _read_named(silent, "--silent")
    strangers = [name for name in silences if name not in systems]
    if strangers or not systems:
        raise ConfigError(
            f"--silent {strangers[0]} has no --clips {strangers[0]}" if strangers else "there is nothing to measure",
            "Give --data, or --clips NAME=DIR",
        )
    given = {"silent": list(silences), **_given(systems, split, limit)}
    spec = lipread_spec(systems, silences)
    inputs = {READER: resolve_model(reader), **systems, **{silence_role(n): a for n, a in silences.items()}}
    if transcripts is not None:
        inputs[TRANSCRIPTS] = read_table(transcripts)
    evaluate(spec, _resolve(spec, how, given), inputs, out, how)


@takes(EvaluationOptions)
def sync(
    how: EvaluationOptions,
    out: OutFolderOption,
    data: RealOption = None,
    clips: ClipsOption = None,
    split: SplitOption = None,
    limit: ClipLimitOption = None,
) -> None:
    """Measure how sound and mouth fit in time: SyncNet's offset and confidence, and a lag that needs no network.

    **Examples**

    * `facediff eval sync --data runs/clips --clips ours=talked --out runs/eval-sync`

    * `facediff eval sync --clips ours=talked --metrics lag,lag_spread --out runs/eval-sync --json`
    """
    from stages.evaluate.talk.sync import sync_spec

    systems = _read_systems(data, clips)
    spec = sync_spec(systems)
    config = _resolve(spec, how, _given(systems, split, limit))
    evaluate(spec, config, systems, out, how)


def _given(systems: Mapping[str, Artifact], split: str | None, limit: int | None) -> dict[str, Any]:
    from stages.evaluate.talk.systems import REAL

    return {"systems": [name for name in systems if name != REAL], "split": split, "limit": limit}


def _resolve(spec: StageSpec[Any], how: EvaluationOptions, given: Mapping[str, Any]) -> Any:
    """The settings, with the detector that is here: a run key names what was used."""
    from stages.common.face.detect import resolve_detector

    resolved: Any = resolve_evaluation(spec, how, given)
    return resolved.model_copy(update={"detector": resolve_detector(resolved.detector, fetch=False)[0]})


def _read_systems(data: Path | None, clips: Sequence[str] | None) -> dict[str, Artifact]:
    """The real clips, if there are any, and each system's."""
    from stages.evaluate.talk.clips import read_clips
    from stages.evaluate.talk.systems import REAL

    real = {REAL: read_clips(data)} if data is not None else {}
    return {**real, **_read_named(clips, "--clips")}


def _read_named(texts: Sequence[str] | None, option: str) -> dict[str, Artifact]:
    from stages.common.errors import ConfigError
    from stages.common.folders import parse_named
    from stages.evaluate.talk.clips import read_clips

    found: dict[str, Artifact] = {}
    for text in texts or ():
        name, folder = parse_named(text, option)
        if name in found:
            raise ConfigError(f"{option} {name} is given twice")
        found[name] = read_clips(Path(folder))
    return found
