"""Plan and execute one stage: skip what is up to date, resume what is unfinished, commit the manifest last.

A run works in ``OUT.partial`` beside ``OUT``. When it is complete, the manifest is written there and the folder renamed
to ``OUT``: so ``OUT`` either is a whole artifact or does not exist, whenever the process dies.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from stages.common.config import StageConfig
from stages.common.environment import describe_code, describe_environment
from stages.common.errors import BadInputError, ResumeConflictError
from stages.common.manifest import (
    MANIFEST_NAME,
    PARENTS_NAME,
    Artifact,
    ArtifactKind,
    Counts,
    InputRef,
    Manifest,
    StageRef,
    compute_artifact_id,
    compute_run_key,
    describe_outputs,
    load_artifact,
    write_atomically,
    write_manifest,
)
from stages.common.progress import Progress, SilentProgress

ConfigT = TypeVar("ConfigT", bound=StageConfig)
_RUN_FILE = "run.json"
_LOCK_FILE = "run.lock"
WORK_NAME = "work"
"""Folder inside ``RunContext.out`` for what only a resumed run needs (checkpoints, chunks); not committed."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where and how a stage runs; nothing here may change what it writes."""

    out: Path
    seed: int = 0
    workers: int = 1
    device: str = "cpu"
    progress: Progress = field(default_factory=SilentProgress)
    should_stop: Callable[[], bool] = lambda: False

    @property
    def work(self) -> Path:
        folder = self.out / WORK_NAME
        folder.mkdir(exist_ok=True)
        return folder


@dataclass(frozen=True, slots=True)
class ArtifactDraft:
    """What a stage says of the files that it left in ``RunContext.out``; the engine hashes them."""

    counts: Counts
    metrics: Mapping[str, Any] = field(default_factory=dict)
    counts_by_path: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[ConfigT]):
    """A stage: a plain function and what it reads and writes.

    ``version`` rises when equal inputs would give other outputs.
    """

    name: str
    version: int
    config_type: type[ConfigT]
    inputs: Mapping[str, ArtifactKind]
    output: ArtifactKind
    run: Callable[[ConfigT, Mapping[str, Artifact], RunContext], ArtifactDraft]


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
class _Identity:
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


def plan(
    spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], out: Path, *, seed: int = 0
) -> Plan:
    """Compare what is wanted with what lies at ``out``. Writes nothing."""
    identity = _identify(spec, config, inputs, seed)
    if (out / MANIFEST_NAME).is_file():
        existing = load_artifact(out).manifest
        if existing.run_key == identity.run_key and not _missing_files(load_artifact(out)):
            return Plan(PlanStatus.UP_TO_DATE, identity.run_key, out)
        found = _Identity(existing.stage, existing.config, existing.seed, existing.inputs).as_json()
        differences = _differences(found, identity.as_json()) or ("its files are missing or damaged",)
        return Plan(PlanStatus.CONFLICT, identity.run_key, out, differences)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return Plan(PlanStatus.CONFLICT, identity.run_key, out, ("it was not written by facediff",))
    run_file = _partial(out) / _RUN_FILE
    if run_file.is_file():
        found = json.loads(run_file.read_bytes())
        differences = _differences(found, identity.as_json())
        status = PlanStatus.CONFLICT if differences else PlanStatus.UNFINISHED
        return Plan(status, identity.run_key, out, differences)
    return Plan(PlanStatus.NEW, identity.run_key, out)


def execute(
    spec: StageSpec[ConfigT],
    config: ConfigT,
    inputs: Mapping[str, Artifact],
    out: Path,
    *,
    seed: int = 0,
    resume: bool = True,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Artifact:
    """Run ``spec`` unless ``out`` is up to date, and return the artifact.

    An unfinished run of the same key is continued, or refused when ``resume`` is false.
    Raises ``ResumeConflictError`` when ``out`` holds something else, and whatever the stage raises.
    """
    planned = plan(spec, config, inputs, out, seed=seed)
    if planned.status is PlanStatus.UP_TO_DATE:
        return load_artifact(out)
    if planned.status is PlanStatus.CONFLICT:
        raise ResumeConflictError(
            f"{out} cannot be continued: {'; '.join(planned.differences)}", "Choose another --out, or delete it first"
        )
    if planned.status is PlanStatus.UNFINISHED and not resume:
        raise ResumeConflictError(f"{_partial(out)} holds an unfinished run", "Add --resume, or delete it first")
    identity = _identify(spec, config, inputs, seed)
    partial = _partial(out)
    _make_folder(partial)
    with _lock(partial):
        write_atomically(partial / _RUN_FILE, json.dumps(identity.as_json(), indent=2).encode())
        context = RunContext(partial, seed, workers, device, progress or SilentProgress(), should_stop)
        started = time.time()
        draft = spec.run(config, inputs, context)
        shutil.rmtree(partial / WORK_NAME, ignore_errors=True)
        (partial / _RUN_FILE).unlink()
        (partial / _LOCK_FILE).unlink()
        _copy_parents(inputs, partial)
        write_manifest(_complete(spec, identity, draft, partial, started, workers, device), partial)
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    return load_artifact(out)


def describe_source(root: Path, listing_hash: str) -> Artifact:
    """Files that facediff did not write, as the input of a first stage; ``listing_hash`` is the id of their content."""
    manifest = Manifest(
        kind=ArtifactKind.SOURCE,
        stage=StageRef(name="source", version=1),
        run_key=listing_hash,
        artifact_id=listing_hash,
        config={},
        seed=0,
        inputs=(),
        outputs=(),
        counts=Counts(),
        metrics={},
        code=describe_code(),
        environment={},
        timing={},
    )
    return Artifact(manifest, root)


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"cannot write to {folder}: {error.strerror}") from error


def _identify(spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], seed: int) -> _Identity:
    if set(inputs) != set(spec.inputs):
        raise ValueError(f"{spec.name} needs inputs {sorted(spec.inputs)}, got {sorted(inputs)}")
    for role, kind in spec.inputs.items():
        if inputs[role].manifest.kind is not kind:
            raise BadInputError(
                f"{inputs[role].root} holds {inputs[role].manifest.kind.value}, but {role} must be {kind.value}"
            )
    references = tuple(
        InputRef(role=role, kind=inputs[role].manifest.kind, id=inputs[role].manifest.artifact_id)
        for role in sorted(inputs)
    )
    return _Identity(StageRef(name=spec.name, version=spec.version), config.model_dump(mode="json"), seed, references)


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


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / _LOCK_FILE).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResumeConflictError(
                f"another process is writing {folder}", "Wait for it, or choose another --out"
            ) from error
        yield


def _copy_parents(inputs: Mapping[str, Artifact], partial: Path) -> None:
    folder = partial / PARENTS_NAME
    folder.mkdir(exist_ok=True)
    for artifact in inputs.values():
        write_atomically(
            folder / f"{artifact.manifest.artifact_id[:16]}.json",
            artifact.manifest.model_dump_json(indent=2).encode() + b"\n",
        )
        for parent in (artifact.root / PARENTS_NAME).glob("*.json"):
            shutil.copyfile(parent, folder / parent.name)


def _complete(  # noqa: PLR0917
    spec: StageSpec[ConfigT],
    identity: _Identity,
    draft: ArtifactDraft,
    partial: Path,
    started: float,
    workers: int,
    device: str,
) -> Manifest:
    outputs = describe_outputs(partial, draft.counts_by_path)
    return Manifest(
        kind=spec.output,
        stage=identity.stage,
        run_key=identity.run_key,
        artifact_id=compute_artifact_id(outputs),
        config=identity.config,
        seed=identity.seed,
        inputs=identity.inputs,
        outputs=outputs,
        counts=draft.counts,
        metrics=draft.metrics,
        code=describe_code(),
        environment=describe_environment(device),
        timing={"started_unix_s": round(started), "wall_s": round(time.time() - started, 1), "workers": workers},
    )
