"""A tiny lip reader with random weights, as an artifact."""

from __future__ import annotations

from pathlib import Path

import torch

from stages.common.lip_reader_checkpoint import save_lip_reader
from stages.common.manifest import (
    Artifact,
    ArtifactKind,
    CodeRef,
    Counts,
    InputRef,
    Manifest,
    StageRef,
    compute_artifact_id,
    compute_run_key,
    describe_outputs,
    load_artifact,
    write_manifest,
)
from stages.models.lip_reader import LipReader, LipReaderConfig

UNITS = ("|", *"abcdefghijklmnopqrstuvwxyz")


def write_manifest_of(
    root: Path, kind: ArtifactKind, stage: str = "test", inputs: tuple[InputRef, ...] = ()
) -> Artifact:
    """Make an artifact of the files in a folder."""
    outputs, reference = describe_outputs(root, {}), StageRef(name=stage, version=1)
    manifest = Manifest(
        kind=kind,
        stage=reference,
        run_key=compute_run_key(reference, {}, 0, inputs),
        artifact_id=compute_artifact_id(outputs),
        config={},
        seed=0,
        inputs=inputs,
        outputs=outputs,
        counts=Counts(),
        metrics={},
        code=CodeRef(version="0"),
        environment={},
        timing={},
    )
    write_manifest(manifest, root)
    return load_artifact(root)


def make_lip_reader(root: Path, seed: int = 0) -> Artifact:
    """A reader that reads nonsense, and the same nonsense for the same clip."""
    root.mkdir(parents=True)
    torch.manual_seed(seed)
    config = LipReaderConfig(
        units=UNITS,
        trunk_channels=(4, 4, 4, 8),
        dim=8,
        heads=2,
        feedforward_dim=8,
        encoder_layers=1,
        decoder_layers=1,
        kernel_size=3,
    )
    save_lip_reader(LipReader(config), root)
    return write_manifest_of(root, ArtifactKind.LIP_READER)
