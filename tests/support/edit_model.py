"""A model folder that passes the store's checks and whose networks are ``FakeEditor``."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.common.manifest import (
    ArtifactKind,
    CodeRef,
    Counts,
    Manifest,
    StageRef,
    compute_artifact_id,
    compute_run_key,
    describe_outputs,
    write_manifest,
)
from support.fake_editor import FakeEditor


def make_fake_model(root: Path, monkeypatch: pytest.MonkeyPatch, editor: FakeEditor | None = None) -> Path:
    """Write the folder, and let ``load_editor`` return ``editor`` for as long as the test runs."""
    (root / "unet").mkdir(parents=True)
    (root / "unet" / "weights.safetensors").write_bytes(bytes(range(256)))
    artifact_id = seal_model(root, ArtifactKind.LATENT_DIFFUSION, "ldm")
    made = editor or FakeEditor(artifact_id=artifact_id)
    monkeypatch.setattr("stages.common.editor.load_editor", lambda _root, _device, _base=None: made)
    return root


def seal_model(root: Path, kind: ArtifactKind, stage_name: str) -> str:
    """Write the manifest of a folder; returns its artifact id."""
    outputs = describe_outputs(root, {})
    stage = StageRef(name=stage_name, version=1)
    artifact_id = compute_artifact_id(outputs)
    write_manifest(
        Manifest(
            kind=kind,
            stage=stage,
            run_key=compute_run_key(stage, {}, 0, ()),
            artifact_id=artifact_id,
            config={},
            seed=0,
            inputs=(),
            outputs=outputs,
            counts=Counts(),
            metrics={},
            code=CodeRef(version="0"),
            environment={},
            timing={},
        ),
        root,
    )
    return artifact_id
