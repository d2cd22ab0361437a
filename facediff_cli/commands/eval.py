"""``facediff eval``: measure models, and pictures that any system made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.commands import eval_talk
from facediff_cli.evaluation import (
    DataOption,
    EvaluationOptions,
    LimitOption,
    SplitOption,
    evaluate,
    load_data,
    resolve_evaluation,
)
from facediff_cli.options import DEFAULT_MODEL, ModelOption, OutFolderOption, SeedOption
from facediff_cli.shared_options import takes
from facediff_cli.stage_command import role_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

app = typer.Typer()


@app.command()
@takes(EvaluationOptions)
def reconstruction(
    how: EvaluationOptions,
    data: DataOption,
    out: OutFolderOption,
    model: ModelOption = DEFAULT_MODEL,
    split: SplitOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
) -> None:
    """Measure how well a model's first stage gives faces back: l1, LPIPS, PSNR, SSIM and rFID.

    Metrics whose networks are not on this machine are named below the table, with the reason.

    **Examples**

    * `facediff eval reconstruction --data runs/shards --out runs/eval-reconstruction`

    * `facediff eval reconstruction --model runs/vqgan --data runs/shards --split val --out runs/eval-vqgan --csv`
    """
    from stages.common.manifest import ArtifactKind
    from stages.common.model_input import MODEL_ROLES
    from stages.common.weights import resolve_model
    from stages.evaluate.reconstruction import RECONSTRUCTION

    config = resolve_evaluation(RECONSTRUCTION, how, {"split": split, "limit": limit})
    artifact = resolve_model(model)
    roles = {**MODEL_ROLES, "first_stage": ArtifactKind.FIRST_STAGE}
    inputs = {role_of(artifact, roles): artifact, **load_data(data)}
    evaluate(RECONSTRUCTION, config, inputs, out, how, seed)


@app.command()
@takes(EvaluationOptions)
def edit(
    how: EvaluationOptions,
    out: OutFolderOption,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", metavar="DIR", help="Faces for a model to edit: shards or faces.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="DIR", help="Instead: a folder of unedited pictures.")
    ] = None,
    edited: Annotated[
        list[str] | None,
        typer.Option(
            "--edited",
            metavar="NAME=DIR[:EMOTION]",
            help="What a system made of them, under the same names. Without EMOTION: one folder for each (repeatable).",
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    emotions: Annotated[list[str] | None, typer.Option("--emotion", "-e", help="A target (repeatable).")] = None,
    strengths: Annotated[
        list[int] | None, typer.Option("--strength", min=1, max=1000, help="Noise level t0 (repeatable).")
    ] = None,
    guidance: Annotated[
        list[float] | None, typer.Option("--guidance", min=0, help="Guidance scale, both ways (repeatable).")
    ] = None,
    steps: Annotated[list[int] | None, typer.Option("--steps", min=1, help="Steps each way (repeatable).")] = None,
    split: SplitOption = None,
    limit: LimitOption = None,
) -> None:
    """Measure edits: a model's, over targets and settings, or those of any system, from folders of its pictures.

    A run that was stopped or killed continues after the last finished combination of settings when the same command is
    given again. What the combinations have in common is computed once.

    **Examples**

    * `facediff eval edit --data runs/shards --strength 400 --strength 500 --guidance 1 --guidance 3 --out runs/eval`

    * `facediff eval edit --source photos --edited ours=edits:happy --edited other=theirs:happy --out runs/compare`

    * `facediff eval edit --source photos --edited ours=edits --out runs/compare --latex`
    """
    from stages.common.errors import ConfigError

    if (data is None) == (source is None) or (source is None) != (not edited):
        raise ConfigError("give either --data, or --source and --edited")
    grid = {
        "targets": emotions,
        "strengths": strengths,
        "guidance_scales": guidance,
        "steps": steps,
        "split": split,
        "limit": limit,
    }
    if data is not None:
        _edit_model(model, data, out, grid, how)
        return
    assert source is not None
    used = [name for name, value in grid.items() if value is not None]
    if used:
        raise ConfigError(f"{', '.join(used)} are settings of a model's edits", "They go with --data")
    _compare_folders(source, edited or [], model, out, how)


@app.command()
@takes(EvaluationOptions)
def generation(
    how: EvaluationOptions,
    generated: Annotated[
        Path, typer.Option("--generated", "-g", metavar="DIR", help="Pictures, in a folder for each emotion.")
    ],
    data: DataOption,
    out: OutFolderOption,
    emotions: Annotated[
        list[str] | None, typer.Option("--emotion", "-e", help="Only this one (repeatable; default: all there are).")
    ] = None,
    split: SplitOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="So many pictures of each emotion on either side.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Measure how like real faces generated ones are: FID, KID, precision, recall and IS, by emotion and together.

    **Examples**

    * `facediff eval generation --generated samples --data runs/shards --out runs/eval-generation`

    * `facediff eval generation --generated samples --data runs/shards --config affectnet-128 --out runs/eval --latex`
    """
    from stages.evaluate.generation import GENERATION, read_generated

    given = {"emotions": emotions, "split": split, "limit": limit}
    config = resolve_evaluation(GENERATION, how, given)
    evaluate(GENERATION, config, {**read_generated(generated), **load_data(data)}, out, how, seed)


app.command()(eval_talk.lipread)
app.command()(eval_talk.sync)


def _edit_model(model: str, data: Path, out: Path, given: Mapping[str, Any], how: EvaluationOptions) -> None:
    from stages.common.model_input import MODEL_ROLES
    from stages.common.weights import resolve_model
    from stages.evaluate.edit import EDIT_GRID

    artifact = resolve_model(model)
    config = resolve_evaluation(EDIT_GRID, how, given)
    evaluate(EDIT_GRID, config, {role_of(artifact, MODEL_ROLES): artifact, **load_data(data)}, out, how)


def _compare_folders(source: Path, edited: Sequence[str], model: str, out: Path, how: EvaluationOptions) -> None:
    from stages.common.folders import parse_system, read_pictures
    from stages.common.weights import resolve_model
    from stages.evaluate.folders import OWN, SOURCE, folders_spec

    systems = [parse_system(text, "--edited") for text in edited]
    spec = folders_spec([system.name for system in systems])
    targets = {system.name: system.target for system in systems}
    config = resolve_evaluation(spec, how, {"targets": targets})
    inputs = {SOURCE: read_pictures(source), **{system.name: read_pictures(system.root) for system in systems}}
    if "accuracy_own" in config.metrics:
        inputs[OWN] = resolve_model(model)
    evaluate(spec, config, inputs, out, how)
