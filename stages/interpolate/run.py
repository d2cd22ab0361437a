"""Faces between the faces of two photos: align, invert, interpolate on the sphere, sample, decode (thesis 4.3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.edit_method import EditMethod
from stages.common.editor import Editor, load_editor
from stages.common.emotions import EMOTIONS
from stages.common.engine import describe_source
from stages.common.face.cut import cut_face
from stages.common.face.detect import FaceDetector, load_detector
from stages.common.face.search import find_faces
from stages.common.hashing import hash_file, hash_json
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.model_input import MODEL_ROLES, model_of, supported_emotions
from stages.common.pictures import lay_out, write_png
from stages.common.provenance import COMPOSITE, describe_tool
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import from_model_range, to_model_range
from stages.interpolate.config import InterpolateConfig
from stages.interpolate.video import write_gif, write_mp4
from stages.models.interpolation import slerp
from stages.models.samplers import ROUND_TRIPS, SampleNoise, ddim_sample

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PhotoPair(Artifact):
    """Two photos as a source; its identity is their content, in this order."""

    paths: tuple[Path, Path]


def read_pair(first: Path, second: Path) -> PhotoPair:
    """Raises ``BadInputError`` when one cannot be read."""
    for path in (first, second):
        read_rgb(path)
    source = describe_source(first.parent, hash_json([hash_file(first), hash_file(second)]))
    return PhotoPair(source.manifest, source.root, (first, second))


def run(config: InterpolateConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """A strip, a GIF and an MP4 for each eta; the strip begins and ends with the aligned photos themselves."""
    pair = cast(PhotoPair, inputs["photos"])
    editor = load_editor(model_of(inputs).root, context.device)
    detector = load_detector(config.detector, context.device)
    crops = [_align(path, detector, editor.size_px) for path in pair.paths]
    labels = _labels(editor, to_model_range(crops), config)
    with context.progress.task("rows", len(config.etas)) as task:
        noisy = _invert(editor, to_model_range(crops), labels, config)
        for eta in config.etas:
            faces = _sample(editor, noisy, labels, config, eta=eta, seed=context.seed)
            _write_row(context.out / f"eta-{eta:g}", crops, faces, config, _record(editor, config, eta, context.seed))
            task.advance()
    total = len(config.etas) * config.positions
    names = [EMOTIONS[label] for label in labels.tolist()]
    return ArtifactDraft(Counts(total=total, ok=total), {"expressions": dict(zip(("from", "to"), names, strict=True))})


INTERPOLATE = StageSpec(
    "interpolate",
    1,
    InterpolateConfig,
    {"photos": ArtifactKind.SOURCE},
    ArtifactKind.INTERPOLATION,
    run,
    optional_inputs=MODEL_ROLES,
)


def _align(path: Path, detector: FaceDetector, size_px: int) -> Pictures:
    rgb = read_rgb(path)
    return cut_face(rgb, find_faces(detector, rgb, path, every=False)[0], size_px)[0]


def _labels(editor: Editor, images_2CHW: Tensor, config: InterpolateConfig) -> Tensor:
    if config.emotion != "auto":
        (name,) = supported_emotions((config.emotion,), editor.supported)
        return torch.tensor([EMOTIONS.index(name)] * 2)
    supported = torch.tensor([EMOTIONS.index(name) for name in editor.supported])
    return supported[editor.classify(images_2CHW).cpu()[:, supported].argmax(dim=1)]


@torch.no_grad()
def _invert(editor: Editor, images_2CHW: Tensor, labels: Tensor, config: InterpolateConfig) -> Tensor:
    way, abar_T = ROUND_TRIPS[config.sampler], editor.process.abar_T
    z0 = editor.first_stage.encode(images_2CHW.to(editor.device))
    timesteps = way.timesteps(config.strength, config.steps, abar_T)
    return way.invert(editor.predict(labels, torch.ones(2)), z0, timesteps, abar_T)


@torch.no_grad()
def _sample(
    editor: Editor, noisy_2CHW: Tensor, labels: Tensor, config: InterpolateConfig, *, eta: float, seed: int
) -> Pictures:
    """The faces (N, S, S, 3) of all positions.

    On the way eps is mixed like the latents, from what the one label says to what the other says: guidance with the
    first label in the place of null. With eta all positions get equal noise, so that it does not tell them apart.
    """
    way, abar_T, count = ROUND_TRIPS[config.sampler], editor.process.abar_T, config.positions
    weights = torch.linspace(0, 1, count)
    mixed = EditMethod(negative_labels=labels[:1].repeat(count))
    predict = editor.predict(labels[1:].repeat(count), weights, mixed)
    z = slerp(noisy_2CHW[0], noisy_2CHW[1], weights)
    timesteps = way.timesteps(config.strength, config.steps, abar_T)
    if eta > 0:
        noise = SampleNoise(seed, [0] * count, editor.latent_shape, editor.device)
        z = ddim_sample(predict, z, timesteps, abar_T, eta=eta, noise=noise)
    else:
        z = way.sample(predict, z, timesteps, abar_T)
    return from_model_range(editor.first_stage.decode(z))


def _write_row(
    stem: Path, crops: list[Pictures], faces: Pictures, config: InterpolateConfig, record: Mapping[str, Any]
) -> None:
    strip = [crops[0], *faces, crops[1]]
    write_png(stem.with_name(f"{stem.name}.png"), lay_out(strip, len(strip)), record, COMPOSITE)
    write_gif(stem.with_name(f"{stem.name}.gif"), faces, config.fps)
    write_mp4(stem.with_name(f"{stem.name}.mp4"), faces, config.fps)


def _record(editor: Editor, config: InterpolateConfig, eta: float, seed: int) -> dict[str, Any]:
    settings = config.model_dump(mode="json", include={"strength", "steps", "positions", "sampler"})
    made = {"stage": "interpolate", "model": editor.artifact_id, "seed": seed, "eta": eta}
    return {**describe_tool(), **made, "settings": settings}
