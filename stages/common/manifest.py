"""The manifest: what an artifact is, what it was made from, and the hash of every file in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stages.common.errors import BadInputError
from stages.common.hashing import hash_file, hash_json
from stages.common.writable import temporary_path

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
PARENTS_NAME = "parents"
RUN_FOLDER = ".run"
"""Below an unfinished artifact: the identity of its run, its lock, and what only a resumed run needs."""
LOGS_NAME = "logs"
"""Below an artifact: curves and pictures of the run that wrote it, with their times. No part of the artifact."""
_BESIDE = tuple(f"{name}/" for name in (PARENTS_NAME, RUN_FOLDER, LOGS_NAME))


class ArtifactKind(StrEnum):
    """What an artifact holds; stages declare the kinds that they read and write."""

    SOURCE = "source"
    FACES = "faces"
    SHARDS = "shards"
    CLIPS = "clips"
    FIRST_STAGE = "first_stage"
    LATENT_DIFFUSION = "latent_diffusion"
    EMOTION_CLASSIFIER = "emotion_classifier"
    NOISY_CLASSIFIER = "noisy_classifier"
    EXPRESSION_NETWORK = "expression_network"
    LIP_READER = "lip_reader"
    UPSCALER = "upscaler"
    MODEL = "model"
    LORA = "lora"
    TALKER = "talker"
    ONNX = "onnx"
    SAMPLES = "samples"
    INTERPOLATION = "interpolation"
    NEIGHBORS = "neighbors"
    EVALUATION = "evaluation"
    STUDY = "study"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageRef(_Record):
    name: str
    version: int


class InputRef(_Record):
    role: str
    kind: ArtifactKind
    id: str


class OutputFile(_Record):
    """One file: POSIX path relative to the manifest, digest, size in bytes, and the number of samples in it."""

    path: str
    sha256: str
    bytes: int
    count: int = 1


class Counts(_Record):
    """``total = ok + sum(rejected_by_reason)``, always."""

    total: int = 0
    ok: int = 0
    rejected_by_reason: Mapping[str, int] = {}

    def model_post_init(self, _context: object) -> None:
        if self.total != self.ok + sum(self.rejected_by_reason.values()):
            raise ValueError("total must be ok plus rejected")


class CodeRef(_Record):
    version: str
    commit: str | None = None
    dirty: bool | None = None


class Manifest(_Record):
    """Field by field as in the documentation's "Manifests" page; ``run_key`` and ``artifact_id`` are derived."""

    schema_version: int = SCHEMA_VERSION
    kind: ArtifactKind
    stage: StageRef
    run_key: str
    artifact_id: str
    config: Mapping[str, Any]
    seed: int
    inputs: tuple[InputRef, ...]
    outputs: tuple[OutputFile, ...]
    counts: Counts
    metrics: Mapping[str, Any]
    code: CodeRef
    environment: Mapping[str, str]
    timing: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest and the folder that it describes."""

    manifest: Manifest
    root: Path

    def path(self, relative: str) -> Path:
        return self.root / relative


def compute_run_key(stage: StageRef, config: Mapping[str, Any], seed: int, inputs: tuple[InputRef, ...]) -> str:
    """SHA-256 of everything that decides a result, and of nothing else (no time, host, device, workers or path)."""
    return hash_json(
        {
            "stage": stage.model_dump(mode="json"),
            "config": dict(config),
            "seed": seed,
            "inputs": sorted([i.role, i.kind.value, i.id] for i in inputs),
        }
    )


def compute_artifact_id(outputs: tuple[OutputFile, ...]) -> str:
    return hash_json(sorted([o.path, o.sha256] for o in outputs))


def describe_outputs(root: Path, counts_by_path: Mapping[str, int]) -> tuple[OutputFile, ...]:
    """Hash every file below ``root`` except manifests; ``counts_by_path`` gives samples per file where it is not 1."""
    return tuple(
        OutputFile(
            path=relative,
            sha256=hash_file(root / relative),
            bytes=(root / relative).stat().st_size,
            count=counts_by_path.get(relative, 1),
        )
        for relative in sorted(list_content_files(root))
    )


def list_content_files(root: Path) -> Iterator[str]:
    """Relative POSIX paths of all files below ``root`` except manifests and what belongs to a run."""
    for folder, _, names in os.walk(root):
        for name in names:
            relative = (Path(folder) / name).relative_to(root).as_posix()
            if relative != MANIFEST_NAME and not relative.startswith(_BESIDE):
                yield relative


def write_manifest(manifest: Manifest, root: Path) -> None:
    write_atomically(root / MANIFEST_NAME, manifest.model_dump_json(indent=2).encode() + b"\n")


def write_atomically(path: Path, content: bytes) -> None:
    """Write, fsync and rename, so that ``path`` holds the old or the new bytes and never a part of them."""
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_artifact(path: Path, kind: ArtifactKind | None = None) -> Artifact:
    """Read the artifact at a folder or ``manifest.json``; raises ``BadInputError`` for none, or another kind."""
    root = path.parent if path.name == MANIFEST_NAME else path
    manifest = read_manifest(root / MANIFEST_NAME)
    if kind is not None and manifest.kind is not kind:
        raise BadInputError(f"{path} holds {manifest.kind.value}, but {kind.value} is needed here")
    return Artifact(manifest, root)


def read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInputError(
            f"no manifest at {path}", "Give the folder that a facediff command wrote, or its manifest.json"
        ) from error
    except ValidationError as error:
        raise BadInputError(f"{path} is not a facediff manifest ({error.error_count()} invalid fields)") from error


def find_problems(artifact: Artifact) -> list[str]:
    """What differs between the files on disk and the manifest, one line each; empty when all is as written."""
    problems = []
    for output in artifact.manifest.outputs:
        path = artifact.path(output.path)
        if not path.is_file():
            problems.append(f"{output.path}: missing")
        elif path.stat().st_size != output.bytes:
            problems.append(f"{output.path}: {path.stat().st_size} bytes, expected {output.bytes}")
        elif hash_file(path) != output.sha256:
            problems.append(f"{output.path}: content differs from its SHA-256")
    if compute_artifact_id(artifact.manifest.outputs) != artifact.manifest.artifact_id:
        problems.append(f"{MANIFEST_NAME}: artifact_id does not follow from the outputs")
    expected_key = compute_run_key(
        artifact.manifest.stage, artifact.manifest.config, artifact.manifest.seed, artifact.manifest.inputs
    )
    if expected_key != artifact.manifest.run_key:
        problems.append(f"{MANIFEST_NAME}: run_key does not follow from config, seed and inputs")
    return problems


def load_parents(artifact: Artifact) -> dict[str, Manifest]:
    """All ancestors' manifests by artifact id, kept beside the artifact so that lineage survives a move."""
    folder = artifact.root / PARENTS_NAME
    return {m.artifact_id: m for m in map(read_manifest, sorted(folder.glob("*.json")))}
