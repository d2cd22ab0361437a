"""Run one stage for a command: plan or execute, stop on Ctrl-C after the step, and show what came out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from facediff_cli.reporting import RichProgress, emit, format_size
from facediff_cli.signals import handled

if TYPE_CHECKING:
    from rich.console import Console

    from stages.common.config import StageConfig
    from stages.common.manifest import Artifact, ArtifactKind, Manifest
    from stages.common.plan import Plan
    from stages.common.progress import Progress
    from stages.common.stage import StageSpec, TrackerName


def run_stage(
    spec: StageSpec[Any],
    config: StageConfig,
    inputs: Mapping[str, Artifact],
    out: Path,
    *,
    seed: int = 0,
    resume: bool = True,
    workers: int = 1,
    device: str = "cpu",
    dry_run: bool = False,
    as_json: bool = False,
    tracker: str = "none",
    show: Callable[[Artifact, bool], None] | None = None,
) -> None:
    """Plan ``spec`` if ``dry_run`` (nothing is written), else execute it, and print the plan or the result.

    ``show`` prints the artifact, told whether it was up to date; by default ``show_artifact`` does.

    The first Ctrl-C (or SIGTERM) lets the stage finish its step and save; the second aborts. A dry run leaves with the
    code of the run itself when ``out`` cannot be used. Of several processes of one run, only the leading one speaks.
    """
    from stages.common.engine import execute
    from stages.common.errors import ResumeConflictError
    from stages.common.plan import PlanStatus, plan
    from stages.common.processes import is_leader
    from stages.common.progress import SilentProgress

    out = _named(out)
    planned = plan(spec, config, inputs, out, seed=seed)
    if dry_run:
        refused = planned.status is PlanStatus.CONFLICT or (planned.status is PlanStatus.UNFINISHED and not resume)
        _show_plan(planned, spec, config, as_json)
        raise typer.Exit(ResumeConflictError.exit_code if refused else 0)
    progress: Progress = RichProgress() if is_leader() else SilentProgress()
    if planned.status is PlanStatus.UNFINISHED and resume:
        progress.note(f"{out}: continuing an unfinished run")
    with stop_on_signal(progress.note) as should_stop:
        artifact = execute(
            spec,
            config,
            inputs,
            out,
            seed=seed,
            resume=resume,
            workers=workers,
            device=resolve_device(device),
            progress=progress,
            should_stop=should_stop,
            tracker=resolve_tracker(tracker),
        )
    up_to_date = planned.status is PlanStatus.UP_TO_DATE
    if not is_leader():
        return
    if show:
        show(artifact, up_to_date)
    else:
        show_artifact(artifact, as_json, up_to_date=up_to_date)


def _named(out: Path) -> Path:
    """A path with a last component, which the engine needs to name the folder beside it: ``.`` has none."""
    return out if out.name not in {"", ".."} else out.resolve()


def load_input(path: Path, kind: str) -> Artifact:
    """The artifact of one kind at a folder or ``manifest.json``; ``kind`` is an ``ArtifactKind`` value."""
    from stages.common.manifest import ArtifactKind, load_artifact

    return load_artifact(path, ArtifactKind(kind))


def load_given(**inputs: tuple[Path | None, str]) -> dict[str, Artifact]:
    """The artifacts of those roles for which a path was given, each with the kind that it must be."""
    return {role: load_input(path, kind) for role, (path, kind) in inputs.items() if path is not None}


def load_init(name: str | None, kind: str, role: str = "init") -> dict[str, Artifact]:
    """The weights to start from: a finished run of this kind as "init", or as "init_model" a model that holds them."""
    if name is None:
        return {}
    from stages.common.manifest import ArtifactKind, load_artifact
    from stages.common.weights import named_model, resolve_model

    artifact = resolve_model(name) if named_model(name) else load_artifact(Path(name))
    return {role_of(artifact, {role: ArtifactKind(kind), f"{role}_model": ArtifactKind.MODEL}): artifact}


def role_of(artifact: Artifact, roles: Mapping[str, ArtifactKind], hint: str = "") -> str:
    """The role that an artifact of this kind has in a stage that takes one of several kinds.

    Raises ``BadInputError`` when there is none.
    """
    from stages.common.errors import BadInputError

    for role, kind in roles.items():
        if artifact.manifest.kind is kind:
            return role
    kinds = " or ".join(kind.value for kind in roles.values())
    raise BadInputError(f"{artifact.root} holds {artifact.manifest.kind.value}, but {kinds} is needed here", hint)


def resolve_device(name: str) -> str:
    """``auto`` becomes ``cuda`` or ``cpu``. Raises ``ConfigError`` where CUDA is asked for and absent."""
    if name == "cpu":
        return name
    import torch

    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if not available:
        from stages.common.errors import ConfigError

        raise ConfigError("--device cuda, but no CUDA device is visible", "Use --device cpu, or auto")
    return name


def resolve_tracker(name: str) -> TrackerName | None:
    """The tracker by its name, None for "none". Raises ``ConfigError`` when its package is not installed."""
    if name == "none":
        return None
    if importlib.util.find_spec(name) is None:
        from stages.common.errors import ConfigError

        raise ConfigError(f"--tracker {name}, but its package is not installed", "Install it, or use --tracker none")
    return "wandb" if name == "wandb" else "tensorboard"


@contextmanager
def stop_on_signal(note: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Yield a ``should_stop`` that the first signal to stop makes true; the second raises ``KeyboardInterrupt``."""
    asked = False

    def handle(_number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        note("stopping after this step (again to abort)")

    with handled(handle):
        yield lambda: asked


def show_artifact(artifact: Artifact, as_json: bool, *, up_to_date: bool = False) -> None:
    """Print what an artifact is: kind, place, counts with the reasons of rejection, metrics and id."""
    payload = {"up_to_date": up_to_date, **summarize(artifact.manifest), "out": str(artifact.root)}
    emit(payload, as_json, lambda console: _render_summary(console, artifact, up_to_date))


def summarize(manifest: Manifest) -> dict[str, Any]:
    """The fields of a manifest that a result shows, as JSON values."""
    return {
        "kind": manifest.kind.value,
        "stage": manifest.stage.name,
        "artifact_id": manifest.artifact_id,
        "run_key": manifest.run_key,
        "counts": manifest.counts.model_dump(mode="json"),
        "metrics": dict(manifest.metrics),
        "files": len(manifest.outputs),
        "bytes": sum(o.bytes for o in manifest.outputs),
    }


def _render_summary(console: Console, artifact: Artifact, up_to_date: bool) -> None:
    manifest = artifact.manifest
    state = " (up to date)" if up_to_date else ""
    console.print(f"{manifest.kind.value}  {artifact.root}{state}", markup=False, style="bold")
    for name, value in summary_rows(manifest):
        console.print(f"  {name:<12} {value}", markup=False)


def summary_rows(manifest: Manifest) -> list[tuple[str, str]]:
    """Name and value of each line of a result."""
    rows = [("artifact", manifest.artifact_id), ("files", _count_files(manifest))]
    counts = manifest.counts
    if counts.total:
        rows.append(("samples", f"{counts.ok} of {counts.total}"))
    rows += [(f"  {reason}", str(count)) for reason, count in sorted(counts.rejected_by_reason.items())]
    rows += [(name, _format_metric(value)) for name, value in manifest.metrics.items()]
    return rows


def _count_files(manifest: Manifest) -> str:
    return f"{len(manifest.outputs)} ({format_size(sum(o.bytes for o in manifest.outputs))})"


def _format_metric(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_format_metric(v)}" for k, v in value.items())
    return str(value)


def _show_plan(planned: Plan, spec: StageSpec[Any], config: StageConfig, as_json: bool) -> None:
    resolved = config.model_dump(mode="json")
    payload = {
        "status": planned.status.value,
        "stage": spec.name,
        "run_key": planned.run_key,
        "out": str(planned.out),
        "differences": list(planned.differences),
        "config": resolved,
    }

    def render(console: Console) -> None:
        import yaml

        console.print(f"{spec.name}  {planned.out}: {planned.status.value}", markup=False, style="bold")
        for difference in planned.differences:
            console.print(f"  {difference}", markup=False)
        console.print(f"  run key      {planned.run_key}", markup=False)
        console.print("  settings", markup=False)
        for line in yaml.safe_dump(resolved, sort_keys=False).splitlines():
            console.print(f"    {line}", markup=False)

    emit(payload, as_json, render)
