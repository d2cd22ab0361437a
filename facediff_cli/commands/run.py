"""``facediff run``: every step of a recipe, from photos or clips to a model, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import CPU_COUNT, Device, DeviceOption, DryRunOption, JsonOption, WorkersOption
from facediff_cli.reporting import RichProgress, emit
from facediff_cli.stage_command import resolve_device, stop_on_signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from facediff_cli.recipe import Recipe, Step
    from stages.common.config import StageConfig
    from stages.common.manifest import Artifact

_WAITING = "waits"


def run(
    recipe: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A recipe that comes along, or a YAML file.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder with one folder for each step.")],
    photos: Annotated[
        Path | None, typer.Option("--photos", metavar="DIR", help="Where the photos are, if the recipe does not say.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="CSV", help="Their labels, as for `preprocess folder`.")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option("--clips", metavar="DIR", help="Where the clips are, if the recipe does not say.")
    ] = None,
    workers: WorkersOption = CPU_COUNT,
    device: DeviceOption = Device.AUTO,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run every step of a recipe, from photos or clips to a model; what is up to date is left as it is.

    A run that was stopped or killed continues where it was when the same command is given again.

    **Examples**

    * `facediff run mini --photos photos --labels labels.csv --out runs --dry-run`

    * `facediff run mead-128 --clips MEAD --out runs --device cuda`
    """
    from facediff_cli.recipe import load_recipe
    from facediff_cli.recipe_sources import place_sources

    device_name = resolve_device(device.value)
    plan = load_recipe(recipe)
    plan = place_sources(plan, photos=photos, labels=labels, clips=clips)
    progress = RichProgress()
    rows: list[dict[str, Any]] = []
    artifacts: dict[str, Artifact] = {}
    with stop_on_signal(progress.note) as should_stop:
        how = {"workers": workers, "device": device_name, "should_stop": should_stop}
        for name, step in plan.steps.items():
            row = {"step": name, "stage": step.stage, "reads": sorted(step.inputs.values()), "out": str(out / name)}
            rows.append(row)
            waiting = [source for source in row["reads"] if source not in artifacts]
            if waiting:
                row |= {"status": _WAITING}
                continue
            config, inputs = _prepare(plan, step, artifacts, progress, dry_run)
            row |= _advance(step, config, inputs, out / name, progress, how, dry_run)
            if "artifact" in row:
                artifacts[name] = row.pop("artifact")
    emit({"recipe": recipe, "dry_run": dry_run, "steps": rows}, as_json, lambda console: _render(console, rows))


def _prepare(
    recipe: Recipe, step: Step, artifacts: Mapping[str, Artifact], progress: RichProgress, dry_run: bool
) -> tuple[StageConfig, dict[str, Artifact]]:
    """The settings of a step and what it reads."""
    from facediff_cli.recipe import READS_CLIPS, READS_PHOTOS, stage_spec
    from facediff_cli.recipe_sources import open_clips, open_photos
    from stages.common.config import resolve_config
    from stages.evaluate.config import MetricsConfig
    from stages.evaluate.registry import settle_metrics

    config: Any = resolve_config(stage_spec(step.stage).config_type, step.stage, recipe.config, step.settings)
    if step.stage == READS_PHOTOS:
        return open_photos(recipe.photos, config, progress, fetch=not dry_run)
    if step.stage == READS_CLIPS:
        return open_clips(recipe.clips, config, progress, fetch=not dry_run)
    inputs = {role: artifacts[source] for role, source in step.inputs.items()}
    return settle_metrics(config) if isinstance(config, MetricsConfig) else config, inputs


def _advance(
    step: Step,
    config: StageConfig,
    inputs: Mapping[str, Artifact],
    out: Path,
    progress: RichProgress,
    how: Mapping[str, Any],
    dry_run: bool,
) -> dict[str, Any]:
    """Plan one step, run it unless ``dry_run`` or done, and say what became of it."""
    from facediff_cli.recipe import stage_spec
    from stages.common.engine import execute
    from stages.common.manifest import load_artifact
    from stages.common.plan import PlanStatus, plan

    spec = stage_spec(step.stage)
    planned = plan(spec, config, inputs, out, seed=step.seed)
    row: dict[str, Any] = {"status": planned.status.value, "differences": list(planned.differences)}
    if planned.status is PlanStatus.UP_TO_DATE:
        artifact = load_artifact(out)
    elif dry_run:
        return row
    else:
        progress.note(f"{out}: {planned.status.value}")
        artifact = execute(spec, config, inputs, out, seed=step.seed, resume=True, progress=progress, **how)
        row["status"] = "done"
    return {**row, "artifact": artifact, "artifact_id": artifact.manifest.artifact_id}


def _render(console: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        reads = f" <- {', '.join(row['reads'])}" if row["reads"] else ""
        console.print(f"{row['status']:<12} {row['step']}{reads}  {row['out']}", markup=False)
        for difference in row.get("differences", []):
            console.print(f"             {difference}", markup=False)
