"""From the model store to a hub."""

from __future__ import annotations

from stages.common.errors import ConfigError
from stages.common.hub.address import HubAddress, hub_errors
from stages.common.manifest import MANIFEST_NAME, PARENTS_NAME, Artifact
from stages.common.weights import DOCUMENTS


def list_parts(model: Artifact) -> list[str]:
    """The files that make up a model, its ancestry and its documents; relative POSIX paths."""
    beside = [*(model.root / name for name in DOCUMENTS), *(model.root / PARENTS_NAME).glob("*.json")]
    companions = [path.relative_to(model.root).as_posix() for path in beside if path.is_file()]
    return sorted([MANIFEST_NAME, *companions, *(output.path for output in model.manifest.outputs)])


def push(model: Artifact, address: HubAddress, *, private: bool) -> str:
    """Publish ``model``, which has been checked, in one commit; the repository is made if need be. Returns the commit.

    Raises ``ConfigError`` when the hub cannot be reached or refuses.
    """
    with hub_errors(address, ConfigError):
        address.api.create_repo(address.repo, private=private, exist_ok=True)
        commit = address.api.upload_folder(
            repo_id=address.repo,
            revision=address.revision,
            folder_path=model.root,
            allow_patterns=list_parts(model),
            commit_message=f"Add facediff model {model.manifest.artifact_id[:16]}",
        )
    return str(commit.oid)
