"""What a run would do: its identity, compared with what lies at its output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from stages.common.errors import BadInputError
from stages.common.manifest import (
    MANIFEST_NAME,
    RUN_FOLDER,
    Artifact,
    InputRef,
    Manifest,
    StageRef,
    compute_run_key,
    load_artifact,
)
from stages.common.stage import ConfigT, StageSpec


class PlanStatus(StrEnum):
    NEW = "new"
    UP_TO_DATE = "up to date"
    UNFINISHED = "unfinished"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``execute`` would do. ``differences`` names the fields in which what is there differs, one line each."""

    status: PlanStatus
    run_key: str
    out: Path
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The part of a manifest that is known before the run."""

    stage: StageRef
    config: Mapping[str, Any]
    seed: int
    inputs: tuple[InputRef, ...]

    @property
    def run_key(self) -> str:
        return compute_run_key(self.stage, self.config, self.seed, self.inputs)

    def as_json(self) -> dict[str, Any]:
        return {
            "stage": self.stage.model_dump(mode="json"),
            "config": dict(self.config),
            "seed": self.seed,
            "inputs": {i.role: i.id for i in self.inputs},
        }


def partial_folder(out: Path) -> Path:
    """Where a run works until it is complete."""
    return out.with_name(out.name + ".partial")


def run_file(out: Path) -> Path:
    """The identity of the run that works in ``partial_folder(out)``."""
    return partial_folder(out) / RUN_FOLDER / "run.json"


def identify(spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], seed: int) -> RunIdentity:
    """Raises ``BadInputError`` when an input is of the wrong kind."""
    kinds = {**spec.inputs, **spec.optional_inputs}
    if not set(spec.inputs) <= set(inputs) <= set(kinds):
        raise ValueError(f"{spec.name} needs inputs {sorted(spec.inputs)}, got {sorted(inputs)}")
    for role, artifact in inputs.items():
        if artifact.manifest.kind is not kinds[role]:
            raise BadInputError(
                f"{artifact.root} holds {artifact.manifest.kind.value}, but {role} must be {kinds[role].value}"
            )
    references = tuple(
        InputRef(role=role, kind=inputs[role].manifest.kind, id=inputs[role].manifest.artifact_id)
        for role in sorted(inputs)
    )
    return RunIdentity(StageRef(name=spec.name, version=spec.version), config.model_dump(mode="json"), seed, references)


def plan(
    spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], out: Path, *, seed: int = 0
) -> Plan:
    """Compare what is wanted with what lies at ``out``. Writes nothing."""
    identity = identify(spec, config, inputs, seed)
    if (out / MANIFEST_NAME).is_file():
        existing = load_artifact(out)
        differences = _differences(_identity_of(existing.manifest).as_json(), identity.as_json())
        if not differences and _missing_files(existing):
            differences = ("its files are missing or damaged",)
        return Plan(PlanStatus.CONFLICT if differences else PlanStatus.UP_TO_DATE, identity.run_key, out, differences)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return Plan(PlanStatus.CONFLICT, identity.run_key, out, ("it was not written by facediff",))
    unfinished = _read_unfinished(out)
    if unfinished is None:
        return Plan(PlanStatus.NEW, identity.run_key, out)
    differences = _differences(unfinished, identity.as_json())
    return Plan(PlanStatus.CONFLICT if differences else PlanStatus.UNFINISHED, identity.run_key, out, differences)


def _read_unfinished(out: Path) -> Any:
    """The identity of a run that was cut off before, or in the middle of, its commit; None where there is none."""
    if (partial_folder(out) / MANIFEST_NAME).is_file():
        return _identity_of(load_artifact(partial_folder(out)).manifest).as_json()
    return json.loads(run_file(out).read_bytes()) if run_file(out).is_file() else None


def _identity_of(manifest: Manifest) -> RunIdentity:
    return RunIdentity(manifest.stage, manifest.config, manifest.seed, manifest.inputs)


def _missing_files(artifact: Artifact) -> bool:
    return any(
        not artifact.path(o.path).is_file() or artifact.path(o.path).stat().st_size != o.bytes
        for o in artifact.manifest.outputs
    )


def _differences(found: Any, wanted: Any, prefix: str = "") -> tuple[str, ...]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return tuple(line for k in keys for line in _differences(found.get(k), wanted.get(k), f"{prefix}{k}."))
    return () if found == wanted else (f"{prefix.rstrip('.')} is {found!r}, wanted {wanted!r}",)
