"""What ``facediff edit`` says it will do and has done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from facediff_cli.reporting import emit, print_error

if TYPE_CHECKING:
    from rich.console import Console

    from stages.common.manifest import Artifact
    from stages.edit.batch import FileOutcome
    from stages.edit.config import EditConfig
    from stages.edit.inputs import Source

_EXIT_BUG, _EXIT_BAD_INPUT = 1, 3


def show_outcomes(outcomes: Sequence[FileOutcome], artifact: Artifact, config: EditConfig, as_json: bool) -> None:
    from stages.common.containment import BUG
    from stages.edit.batch import count_outcomes

    failed = [outcome for outcome in outcomes if not outcome.ok]
    exit_code = _EXIT_BUG if any(outcome.status == BUG for outcome in failed) else _EXIT_BAD_INPUT
    for outcome in failed:
        print_error(outcome.error, exit_code, False)
    payload: dict[str, Any] = {
        **count_outcomes(outcomes),
        "emotion": config.emotion,
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        "results": [outcome.as_json() for outcome in outcomes],
    }
    if failed:
        payload |= {"error": failed[0].error, "exit_code": exit_code}

    def render(console: Console) -> None:
        for outcome in outcomes:
            for path in outcome.outputs:
                console.print(f"{path}  ({_describe(outcome)} -> {config.target_name})", markup=False)
            if "counts" in outcome.record:
                console.print(f"  {_describe_frames(outcome.record['counts'])}", markup=False)

    emit(payload, as_json, render)
    if failed:
        if len(outcomes) > 1:
            print_error(f"{len(failed)} of {len(outcomes)} files could not be edited", exit_code, False)
        raise typer.Exit(exit_code)


def _describe(outcome: FileOutcome) -> str:
    words = [
        face["source"] if face["source_probability"] is None else f"{face['source']} {face['source_probability']:.2f}"
        for face in outcome.record["faces"]
    ]
    return ", ".join(words)


def _describe_frames(counts: dict[str, Any]) -> str:
    passed = "".join(f", {count} passed through ({reason})" for reason, count in counts["passed_through"].items())
    return f"{counts['frames']} frames, {counts['edited']} edited{passed}"


def show_plan(
    sources: Sequence[Source], targets: Sequence[Path], artifact: Artifact, config: EditConfig, as_json: bool
) -> None:
    planned = list(zip((source.path for source in sources), targets, strict=True))
    payload = {
        "dry_run": True,
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        "config": config.model_dump(mode="json"),
        "planned": [{"input": str(path), "output": str(target)} for path, target in planned],
    }

    def render(console: Console) -> None:
        for path, target in planned:
            console.print(f"{path} -> {target}", markup=False)
        console.print(f"  model {artifact.root.name}, {config.source} -> {config.target_name}", markup=False)

    emit(payload, as_json, render)
