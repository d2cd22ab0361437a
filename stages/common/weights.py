"""The model store: bundled models, models in the user's cache, and the check that a model is as it was written."""

from __future__ import annotations

import difflib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import BadInputError, MissingModelError
from stages.common.manifest import (
    MANIFEST_NAME,
    Artifact,
    ArtifactKind,
    find_problems,
    list_content_files,
    load_artifact,
    read_manifest,
)

DEFAULT_MODEL = "facediff-mini"
MODEL_KINDS = frozenset(
    {
        ArtifactKind.FIRST_STAGE,
        ArtifactKind.LATENT_DIFFUSION,
        ArtifactKind.EMOTION_CLASSIFIER,
        ArtifactKind.NOISY_CLASSIFIER,
        ArtifactKind.EXPRESSION_NETWORK,
        ArtifactKind.LIP_READER,
        ArtifactKind.UPSCALER,
        ArtifactKind.MODEL,
        ArtifactKind.LORA,
        ArtifactKind.TALKER,
    }
)
_ASSETS = Path(__file__).resolve().parents[1] / "assets"
DOCUMENTS = frozenset({"README.md", "LICENSE"})
"""Files that may lie in a model's folder without being part of it."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model in the store: its folder's name, the folder, and whether it came with the package."""

    name: str
    root: Path
    bundled: bool


def cache_folder() -> Path:
    """Where this user's models are kept: ``$FACEDIFF_HOME``, else the platform's cache folder. May not exist."""
    home = os.environ.get("FACEDIFF_HOME")
    if home:
        return Path(home)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facediff"
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "facediff"


def list_models() -> list[ModelEntry]:
    """Bundled models, then those in ``cache_folder()/models``; a bundled model hides a cached one of the same name."""
    entries: dict[str, ModelEntry] = {}
    for folder, bundled in ((_ASSETS, True), (cache_folder() / "models", False)):
        for manifest in sorted(folder.glob(f"*/{MANIFEST_NAME}")):
            root = manifest.parent
            entries.setdefault(root.name, ModelEntry(root.name, root, bundled))
    return list(entries.values())


def named_model(name: str) -> Path | None:
    """The folder of the model with this name, if there is one."""
    return next((entry.root for entry in list_models() if entry.name == name), None)


def model_with_id(artifact_id: str) -> ModelEntry | None:
    """The model of this artifact id, if the store has it; it is not checked."""
    for entry in list_models():
        with suppress(BadInputError):
            if read_manifest(entry.root / MANIFEST_NAME).artifact_id == artifact_id:
                return entry
    return None


def find_model(name_or_dir: str) -> Artifact:
    """The model with this name or in this folder, not yet checked. Raises ``MissingModelError``."""
    root = named_model(name_or_dir)
    if root is not None:
        return _load(root)
    path = Path(name_or_dir)
    if path.is_dir() or path.name == MANIFEST_NAME:
        return _load(path)
    names = [entry.name for entry in list_models()]
    near = difflib.get_close_matches(name_or_dir, names, n=3, cutoff=0.5)
    known = f"Did you mean {' or '.join(near)}?" if near else "Known: " + (", ".join(names) or "none")
    raise MissingModelError(f"no model {name_or_dir!r}", f"{known} (a folder that `facediff train` wrote also works)")


def resolve_model(name_or_dir: str) -> Artifact:
    """As ``find_model``, with every file's SHA-256 checked. Raises ``MissingModelError`` that names a wrong file."""
    artifact = find_model(name_or_dir)
    _require_whole(artifact)
    return artifact


def require_unaltered(artifact: Artifact) -> None:
    """Raises ``MissingModelError`` for a model that is not as it was written, ``BadInputError`` for other artifacts."""
    if artifact.manifest.kind in MODEL_KINDS:
        _require_whole(artifact)
        return
    problems = find_problems(artifact)
    if problems:
        raise BadInputError(f"{artifact.root} is not as it was written: {'; '.join(problems)}", reason="altered")


def holds_weights(folder: Path) -> bool:
    """Whether a folder is a model's, as far as can be told without its manifest."""
    return any(folder.rglob("*.safetensors"))


def find_model_problems(artifact: Artifact) -> list[str]:
    """What is altered, missing or too much in a model's folder, one line each."""
    expected = {output.path for output in artifact.manifest.outputs} | DOCUMENTS
    extra = sorted(path for path in list_content_files(artifact.root) if path not in expected)
    return find_problems(artifact) + [f"{path}: not part of this model" for path in extra]


def _require_whole(model: Artifact) -> None:
    problems = find_model_problems(model)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise MissingModelError(
            f"model {model.root} is not as it was written: {problems[0]}{more}",
            "Install facediff again, or restore the folder",
        )


def _load(root: Path) -> Artifact:
    try:
        artifact = load_artifact(root)
    except BadInputError as error:
        raise MissingModelError(f"{root} is not a model: {error.what}", error.hint) from error
    if artifact.manifest.kind not in MODEL_KINDS:
        raise MissingModelError(f"{artifact.root} holds {artifact.manifest.kind.value}, not a model")
    return artifact
