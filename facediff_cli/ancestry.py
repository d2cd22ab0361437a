"""Find the manifest behind any file that facediff wrote, and the tree of what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.tree import Tree

    from stages.common.manifest import Artifact, InputRef, Manifest

_PICTURES = {".png", ".jpg", ".jpeg"}


def find_artifact(path: Path) -> Artifact:
    """The artifact at ``path``, or the innermost one that the file ``path`` lies in, or the model of that name.

    Raises ``BadInputError``; where a model's manifest cannot be read, ``MissingModelError``.
    """
    from stages.common.errors import BadInputError
    from stages.common.manifest import MANIFEST_NAME

    if not path.exists():
        from stages.common.weights import named_model

        root = named_model(str(path))
        if root is not None:
            return _open(root)
        raise BadInputError(f"no file or folder {path}", reason="missing")
    if path.is_dir() or path.name == MANIFEST_NAME:
        return _open(path)
    for folder in path.resolve().parents:
        if (folder / MANIFEST_NAME).is_file():
            return _open(folder)
    raise BadInputError(f"{path} is no part of anything that facediff wrote", reason="unknown")


def find_provenance(path: Path) -> dict[str, Any] | None:
    """The record inside an edited PNG, JPEG or video; None for everything else."""
    from stages.common.media_files import VIDEO_SUFFIXES
    from stages.common.records import read_record_of

    if not path.is_file() or path.suffix.lower() not in VIDEO_SUFFIXES | _PICTURES:
        return None
    return read_record_of(path)


def build_tree(artifact: Artifact) -> dict[str, Any]:
    """Nested ``{role, kind, id, stage, inputs}``; ancestors whose manifests are not at hand have no ``stage``."""
    from stages.common.manifest import load_parents

    return _node(artifact.manifest, load_parents(artifact))


def picture_tree(path: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A picture above the model that made it; the model's own tree where the store holds it."""
    from stages.common.manifest import load_artifact
    from stages.common.weights import model_with_id

    wanted = provenance.get("model")
    inputs = [{"kind": "model", "id": wanted, "inputs": []}] if wanted else []
    if entry := model_with_id(wanted) if wanted else None:
        inputs = [build_tree(load_artifact(entry.root))]
    return {"kind": "picture", "id": path.name, "stage": "edit", "inputs": inputs, "provenance": dict(provenance)}


def render_tree(node: Mapping[str, Any]) -> Tree:
    from rich.tree import Tree

    tree = Tree(_label(node))
    for child in node["inputs"]:
        tree.add(render_tree(child))
    return tree


def _open(path: Path) -> Artifact:
    from stages.common.errors import BadInputError, MissingModelError
    from stages.common.manifest import MANIFEST_NAME, load_artifact
    from stages.common.weights import holds_weights

    try:
        return load_artifact(path)
    except BadInputError as error:
        root = path if path.is_dir() else path.parent
        if (root / MANIFEST_NAME).is_file() and holds_weights(root):
            raise MissingModelError(error.what, error.hint) from error
        raise


def _node(manifest: Manifest, known: Mapping[str, Manifest]) -> dict[str, Any]:
    return {
        "kind": manifest.kind.value,
        "id": manifest.artifact_id,
        "stage": manifest.stage.name,
        "inputs": [_input_node(reference, known) for reference in manifest.inputs],
    }


def _input_node(reference: InputRef, known: Mapping[str, Manifest]) -> dict[str, Any]:
    manifest = known.get(reference.id)
    node = _node(manifest, known) if manifest else {"kind": reference.kind.value, "id": reference.id, "inputs": []}
    return {"role": reference.role, **node}


def _label(node: Mapping[str, Any]) -> str:
    role = f"{node['role']}: " if "role" in node else ""
    made_by = f" by {node['stage']}" if node.get("stage") not in {None, "source"} else ""
    return f"{role}{node['kind']} {node['id'][:16]}{made_by}"
