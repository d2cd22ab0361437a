"""Execute one stage: skip what is up to date, resume what is unfinished, commit the manifest last.

A run works in ``OUT.partial`` beside ``OUT``. When it is complete, the manifest is written there and the folder renamed
to ``OUT``: so ``OUT`` either is a whole artifact or does not exist, whenever the process dies.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stages.common.environment import describe_code, describe_environment
from stages.common.errors import BadInputError, ConfigError, MissingModelError, ResumeConflictError
from stages.common.manifest import (
    MANIFEST_NAME,
    PARENTS_NAME,
    RUN_FOLDER,
    Artifact,
    ArtifactKind,
    CodeRef,
    Counts,
    Manifest,
    StageRef,
    compute_artifact_id,
    describe_outputs,
    list_content_files,
    load_artifact,
    write_atomically,
    write_manifest,
)
from stages.common.plan import Plan, PlanStatus, RunIdentity, identify, partial_folder, plan, run_file
from stages.common.processes import agreed, is_leader, wait_for_all
from stages.common.progress import Progress, SilentProgress
from stages.common.stage import ArtifactDraft, ConfigT, RunContext, StageSpec, TrackerName


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
    tracker: TrackerName | None = None,
) -> Artifact:
    """Run ``spec`` unless ``out`` is up to date, and return the artifact.

    An unfinished run of the same key is continued, or refused when ``resume`` is false. Of the processes of one run,
    the first decides and writes; all return the same artifact.
    Raises ``ResumeConflictError`` when ``out`` holds something else, and whatever the stage raises.
    """
    if agreed(lambda: _is_done(plan(spec, config, inputs, out, seed=seed), resume), device):
        return load_artifact(out)
    partial = partial_folder(out)
    context = RunContext(partial, seed, workers, device, progress or SilentProgress(), should_stop, tracker)
    if is_leader():
        _lead(spec, config, inputs, context, out)
    else:
        _follow(spec, config, inputs, context)
    wait_for_all(device)
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


def _is_done(planned: Plan, resume: bool) -> bool:
    """Whether nothing is left to do. Raises ``ResumeConflictError`` when nothing may be done."""
    out = planned.out
    if planned.status is PlanStatus.CONFLICT:
        raise ResumeConflictError(
            f"{out} cannot be continued: {'; '.join(planned.differences)}", "Choose another --out, or delete it first"
        )
    if planned.status is PlanStatus.UNFINISHED and not resume:
        raise ResumeConflictError(f"{partial_folder(out)} holds an unfinished run", "Add --resume, or delete it first")
    return planned.status is PlanStatus.UP_TO_DATE


def _lead(
    spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], context: RunContext, out: Path
) -> None:
    partial = context.out
    _make_folder(partial / RUN_FOLDER)
    with _lock(partial):
        if not (partial / MANIFEST_NAME).is_file():
            try:
                _run(spec, config, inputs, context, run_file(out))
            except (BadInputError, ConfigError, MissingModelError):
                _discard_if_empty(partial)
                raise
        shutil.rmtree(partial / RUN_FOLDER)
        if out.is_dir():
            out.rmdir()
        partial.rename(out)


def _follow(spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], context: RunContext) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        spec.run(config, inputs, replace(context, out=Path(scratch), shared=context.out))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"cannot write to {folder}: {error.strerror}") from error


def _run(
    spec: StageSpec[ConfigT], config: ConfigT, inputs: Mapping[str, Artifact], context: RunContext, record: Path
) -> None:
    """Run the stage and write its manifest, from which moment on the artifact is complete."""
    identity = identify(spec, config, inputs, context.seed)
    write_atomically(record, json.dumps(identity.as_json(), indent=2).encode())
    started = time.time()
    code = describe_code()  # now, before anybody commits or edits
    draft = spec.run(config, inputs, context)
    _copy_parents(inputs, context.out)
    write_manifest(_complete(spec, identity, draft, context, code=code, started=started), context.out)


def _discard_if_empty(partial: Path) -> None:
    """Nothing was written, so the next run need not continue anything."""
    if not any(list_content_files(partial)) and not (partial / RUN_FOLDER / "work").exists():
        shutil.rmtree(partial)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / RUN_FOLDER / "lock").open("w") as stream:
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


def _complete(
    spec: StageSpec[ConfigT],
    identity: RunIdentity,
    draft: ArtifactDraft,
    context: RunContext,
    *,
    code: CodeRef,
    started: float,
) -> Manifest:
    outputs = describe_outputs(context.out, draft.counts_by_path)
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
        code=code,
        environment=describe_environment(context.device),
        timing={
            "started_unix_s": round(started),
            "wall_s": round(time.time() - started, 1),
            "workers": context.workers,
        },
    )
