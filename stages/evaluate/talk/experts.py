"""Whether a talking face was tuned by the lip reader that is to judge it, as far as its lineage says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stages.common.errors import BadInputError
from stages.common.manifest import Artifact, ArtifactKind, Manifest, load_artifact, load_parents
from stages.common.video_writer import read_record
from stages.common.weights import list_models
from stages.evaluate.talk.clips import list_videos


def was_expert(reader: Artifact, system: Artifact) -> bool | None:
    """Whether the reader is an ancestor of what made the system's clips; None where that cannot be known."""
    lineage = _lineage(system)
    if lineage is None:
        return None
    wanted = reader.manifest.artifact_id
    return any(ref.kind is ArtifactKind.LIP_READER and ref.id == wanted for one in lineage for ref in one.inputs)


def _lineage(system: Artifact) -> list[Manifest] | None:
    """The manifests of a system's clips, or of the models that its videos name, and of all their ancestors."""
    if system.manifest.kind is not ArtifactKind.SOURCE:
        return _with_parents([system])
    named = {_model_of(system.root / path) for path in list_videos(system.root).values()}
    if None in named:
        return None
    stored = (load_artifact(entry.root) for entry in list_models())
    known = [artifact for artifact in stored if artifact.manifest.artifact_id in named]
    return _with_parents(known) if len(known) == len(named) else None


def _model_of(video: Path) -> str | None:
    """The id of the model that a video says made it."""
    try:
        record = read_record(video) or {}
    except BadInputError:
        return None
    model: str | None = record.get("model")
    return model


def _with_parents(artifacts: Iterable[Artifact]) -> list[Manifest]:
    return [manifest for one in artifacts for manifest in (one.manifest, *load_parents(one).values())]
