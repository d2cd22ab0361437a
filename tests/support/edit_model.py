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
    outputs = describe_outputs(root, {})
    stage = StageRef(name="ldm", version=1)
    write_manifest(
        Manifest(
            kind=ArtifactKind.LATENT_DIFFUSION,
            stage=stage,
            run_key=compute_run_key(stage, {}, 0, ()),
            artifact_id=compute_artifact_id(outputs),
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
    made = editor or FakeEditor(artifact_id=compute_artifact_id(outputs))
    monkeypatch.setattr("stages.common.editor.load_editor", lambda _root, _device, _base=None: made)
    return root
