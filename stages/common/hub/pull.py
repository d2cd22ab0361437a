"""From a hub into the model store: staged, checked against the manifest file by file, and visible only when whole."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from stages.common.errors import ConfigError, MissingModelError, ResumeConflictError
from stages.common.hub.address import HubAddress, hub_errors
from stages.common.hub.download import fetch_bytes, fetch_file
from stages.common.manifest import (
    MANIFEST_NAME,
    PARENTS_NAME,
    Artifact,
    Manifest,
    list_content_files,
    load_artifact,
    write_atomically,
)
from stages.common.progress import Progress
from stages.common.weights import DOCUMENTS, MODEL_KINDS, cache_folder, find_model_problems, list_models

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as a hub has it at one commit. ``companions`` lie beside the model: parents' manifests and documents."""

    address: HubAddress
    commit: str
    manifest: Manifest
    manifest_json: bytes
    companions: tuple[str, ...]

    @property
    def bytes(self) -> int:
        return sum(output.bytes for output in self.manifest.outputs)


def find_offer(address: HubAddress) -> Offer:
    """Read the manifest. Raises ``MissingModelError`` when the hub cannot be reached or has no such facediff model."""
    with hub_errors(address, MissingModelError):
        info = address.api.model_info(address.repo, revision=address.revision)
    files = {sibling.rfilename for sibling in info.siblings or ()}
    if info.sha is None or MANIFEST_NAME not in files:
        raise MissingModelError(f"{address} is not a facediff model", f"It has no {MANIFEST_NAME}")
    content = fetch_bytes(address, info.sha, MANIFEST_NAME)
    manifest = _parse(address, content)
    missing = sorted(output.path for output in manifest.outputs if output.path not in files)
    if missing:
        raise MissingModelError(f"{address} lacks {missing[0]}, which its manifest names")
    companions = sorted(path for path in files if path in DOCUMENTS or _is_parent(path))
    return Offer(address, info.sha, manifest, content, tuple(companions))


def destination_for(offer: Offer, name: str) -> Path:
    """The folder in the store that ``name`` stands for. Raises ``ConfigError`` for a name that cannot be one, and
    ``ResumeConflictError`` when another model has it."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a model", "Take a plain word")
    folder = cache_folder() / "models" / name
    taken = next((entry for entry in list_models() if entry.name == name), None)
    if taken is not None and load_artifact(taken.root).manifest.artifact_id != offer.manifest.artifact_id:
        raise ResumeConflictError(f"another model is called {name} ({taken.root})", "Choose a --name")
    return taken.root if taken is not None else folder


def pull(offer: Offer, name: str, progress: Progress) -> Artifact:
    """The model in the store under ``name``, every file of it checked against the manifest's SHA-256.

    What an interrupted pull has fetched is continued. Raises ``MissingModelError``, ``ConfigError`` and
    ``ResumeConflictError``.
    """
    destination = destination_for(offer, name)
    if destination.exists():
        return _checked(load_artifact(destination))
    staging = cache_folder() / "downloads" / name
    staging.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(staging, offer.manifest)
    with progress.task(f"pull {name}", offer.bytes) as task:
        for output in offer.manifest.outputs:
            fetch_file(offer.address, offer.commit, output, staging, task.advance)
    for path in offer.companions:
        _write(staging / path, fetch_bytes(offer.address, offer.commit, path))
    _write(staging / MANIFEST_NAME, offer.manifest_json)
    _checked(load_artifact(staging))
    destination.parent.mkdir(parents=True, exist_ok=True)
    staging.rename(destination)
    return load_artifact(destination)


def _parse(address: HubAddress, content: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise MissingModelError(f"{address} is not a facediff model: its {MANIFEST_NAME} is not ours") from error
    if manifest.kind not in MODEL_KINDS:
        raise MissingModelError(f"{address} holds {manifest.kind.value}, not a model")
    for output in manifest.outputs:
        if not _is_below(output.path):
            raise MissingModelError(f"{address} is refused: its manifest names a file outside of it, {output.path!r}")
    return manifest


def _is_below(path: str) -> bool:
    """Whether a path stays in the folder that it is relative to, and names no file that belongs to the manifest."""
    parts = PurePosixPath(path).parts
    safe = bool(parts) and ".." not in parts and not path.startswith("/") and "\\" not in path and ":" not in path
    return safe and parts[0] not in {MANIFEST_NAME, PARENTS_NAME}


def _is_parent(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == 2 and parts[0] == PARENTS_NAME and parts[1].endswith(".json") and "\\" not in path


def _remove_leftovers(staging: Path, manifest: Manifest) -> None:
    """What an earlier pull of another version left."""
    wanted = {output.path for output in manifest.outputs}
    for path in list(list_content_files(staging)):
        if path.removesuffix(".part") not in wanted:
            (staging / path).unlink()
    shutil.rmtree(staging / PARENTS_NAME, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)


def _checked(artifact: Artifact) -> Artifact:
    problems = find_model_problems(artifact)
    if problems:
        raise MissingModelError(f"{artifact.root} is not as it was written: {problems[0]}", "Delete it, and pull again")
    return artifact
