"""How well a first stage gives pictures back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from stages.common.checkpoint import load_latent_space
from stages.common.errors import Interrupted
from stages.common.hashing import hash_json
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.model_input import MODEL_ROLES
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import Table, Value
from stages.common.tensors import from_model_range, to_model_range
from stages.evaluate.config import ReconstructionConfig
from stages.evaluate.faces import (
    DATA_ROLES,
    LabelledFaces,
    batches,
    choose,
    data_of,
    model_of,
    open_faces,
    read_batch,
)
from stages.evaluate.fidelity import PictureSet, compare_sets
from stages.evaluate.pixels import PIXEL_METRICS, PixelMetrics
from stages.evaluate.table import SampleRow, columns_of, require_finite, summarize, write_results
from stages.models.latent_space import LatentSpace

BATCH = 16


def run(config: ReconstructionConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Reconstruct batch by batch; for a distance between sets the reconstructions lie on the disk until it is known."""
    model = model_of(inputs)
    faces = open_faces(inputs, config.split)
    chosen = choose(faces.keys, config.limit)
    of_sets = [name for name in config.metrics if name not in PIXEL_METRICS]
    folder = context.work / "reconstructions" if of_sets else None
    first_stage = load_latent_space(model.root, context.device)
    rows = list(
        _measure(
            first_stage,
            faces,
            chosen,
            measure=PixelMetrics(config.metrics, context.device),
            folder=folder,
            context=context,
        )
    )
    require_finite(rows, config.metrics)
    row = summarize(rows, {"split": config.split}, config.metrics)
    if folder:
        back = PictureSet("the reconstructions", len(chosen), lambda n: read_rgb(_picture(folder, n)))
        found = compare_sets(back, _originals(inputs, faces, chosen), of_sets, seed=context.seed, device=context.device)
        row = replace(row, values={**row.values, **{name: Value(value) for name, value in found.items()}})
    table = Table("Reconstruction", ("split",), columns_of(config.metrics), (row,), config.missing)
    write_results(table, rows, context.out)
    return ArtifactDraft(Counts(total=len(chosen), ok=len(chosen)), {n: v.mean for n, v in row.values.items()})


RECONSTRUCTION = StageSpec(
    "eval_reconstruction",
    1,
    ReconstructionConfig,
    {},
    ArtifactKind.EVALUATION,
    run,
    optional_inputs={**MODEL_ROLES, "first_stage": ArtifactKind.FIRST_STAGE, **DATA_ROLES},
)


def _originals(inputs: Mapping[str, Artifact], faces: LabelledFaces, chosen: Sequence[int]) -> PictureSet:
    return PictureSet(
        "the originals",
        len(chosen),
        lambda number: faces[chosen[number]],
        hash_json([data_of(inputs).manifest.artifact_id, [faces.keys[index] for index in chosen]]),
    )


@torch.no_grad()
def _measure(
    first_stage: LatentSpace,
    faces: LabelledFaces,
    chosen: Sequence[int],
    *,
    measure: PixelMetrics,
    folder: Path | None,
    context: RunContext,
) -> Iterator[SampleRow]:
    if folder:
        folder.mkdir(exist_ok=True)
    written = 0
    with context.progress.task("faces", len(chosen)) as task:
        for indices in batches(chosen, BATCH):
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again to start over")
            pictures = read_batch(faces, indices, first_stage.config.size_px)
            latents = first_stage.encode(to_model_range(pictures).to(context.device))
            back = from_model_range(first_stage.decode(latents))
            values = measure(pictures, back)
            for n, index in enumerate(indices):
                if folder:
                    cv2.imwrite(str(_picture(folder, written)), cv2.cvtColor(back[n], cv2.COLOR_RGB2BGR))
                written += 1
                yield {"sample_key": faces.keys[index], **{name: float(v[n]) for name, v in values.items()}}
            task.advance(len(indices))


def _picture(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.png"
