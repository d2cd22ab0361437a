"""Synthesize faces from pure noise (thesis 4.3.3): single pictures, a sheet for each emotion, and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.errors import Interrupted
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.model_input import GUIDE_ROLES, MODEL_ROLES, load_model, supported_emotions
from stages.common.pictures import lay_out, write_png
from stages.common.provenance import describe_tool
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.tensors import from_model_range
from stages.models.samplers import SampleNoise
from stages.synthesize.config import SynthesizeConfig

TABLE_NAME = "samples.parquet"
DEFAULT_BATCH = 32
_SHEET_COLUMNS, _SHEET_MOST = 8, 64
_RECORDED = ("sampler", "steps", "guidance", "bound", "classifier_scale", "shared_noise")


@dataclass(frozen=True, slots=True)
class FaceJob:
    """A face to make: ``number`` of this emotion."""

    emotion: str
    number: int

    @property
    def path(self) -> str:
        return f"{self.emotion}/{self.number:06d}.png"


def synthesize_stage(batch: int = DEFAULT_BATCH) -> StageSpec[SynthesizeConfig]:
    """The stage that makes ``batch`` pictures at a time on a GPU.

    The CPU makes them one by one: the sums inside a network depend on how many pictures go through it together, and a
    face that lies between two codes of the first stage shows it. So on one machine's CPU equal settings give equal
    bytes; a GPU's pictures may differ in places from batch to batch.
    """
    return StageSpec(
        "synthesize",
        2,
        SynthesizeConfig,
        {},
        ArtifactKind.SAMPLES,
        partial(_run, batch=batch),
        optional_inputs={**MODEL_ROLES, **GUIDE_ROLES},
    )


def _run(config: SynthesizeConfig, inputs: Mapping[str, Artifact], context: RunContext, *, batch: int) -> ArtifactDraft:
    """Make every picture that is not there yet."""
    editor = load_model(inputs, context.device)
    if suited(config, editor) != config:
        context.progress.note("this model does not say how large its latents are: estimates are not bounded")
        config = suited(config, editor)
    emotions = supported_emotions(config.emotions, editor.supported)
    numbers = range(config.first, config.first + config.count)
    jobs = [FaceJob(emotion, number) for emotion in emotions for number in numbers]
    for emotion in emotions:
        (context.out / emotion).mkdir(exist_ok=True)
    missing = [job for job in jobs if not (context.out / job.path).is_file()]
    with context.progress.task("faces", len(jobs), done=len(jobs) - len(missing)) as task:
        size = batch if context.device != "cpu" else 1
        for start in range(0, len(missing), size):
            together = missing[start : start + size]
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again to continue")
            pictures = draw_faces(editor, config, context.seed, together)
            for job, picture in zip(together, pictures, strict=True):
                write_png(context.out / job.path, picture, describe_face(job, config, context.seed, editor.artifact_id))
            task.advance(len(together))
    for emotion in emotions:
        _write_sheet(context.out, emotion, numbers, {**_settings(config, context.seed), "model": editor.artifact_id})
    pq.write_table(pa.Table.from_pylist(list(_rows(jobs, config, context.seed))), context.out / TABLE_NAME)
    return ArtifactDraft(
        Counts(total=len(jobs), ok=len(jobs)),
        {"emotions": dict.fromkeys(emotions, config.count)},
        {TABLE_NAME: len(jobs)},
    )


def suited(config: SynthesizeConfig, editor: Editor) -> SynthesizeConfig:
    """The settings without the bound where the model does not know how large its latents are."""
    return config if editor.latent_rms is not None else config.model_copy(update={"bound": None})


def draw_faces(
    editor: Editor, config: SynthesizeConfig, seed: int, jobs: list[FaceJob]
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The faces (B, S, S, 3), made together."""
    images_BCHW = editor.generate(
        torch.tensor([EMOTIONS.index(job.emotion) for job in jobs]),
        SampleNoise(seed, [_stream(job, config) for job in jobs], editor.latent_shape, editor.device),
        sampler=config.sampler,
        steps=config.steps,
        guidance_scale=torch.full((len(jobs),), config.guidance),
        eta=config.noise,
        bound=config.bound,
        classifier_scale=config.classifier_scale,
    )
    return from_model_range(images_BCHW)


def _stream(job: FaceJob, config: SynthesizeConfig) -> int:
    """Which of the seed's streams of noise is a face's own."""
    if config.shared_noise:
        return job.number
    return job.number * len(EMOTIONS) + EMOTIONS.index(job.emotion)


def _settings(config: SynthesizeConfig, seed: int) -> dict[str, Any]:
    settings = {name: getattr(config, name) for name in _RECORDED}
    return {"seed": seed, "eta": config.noise, **settings}


def describe_face(job: FaceJob, config: SynthesizeConfig, seed: int, model: str) -> dict[str, Any]:
    """The record that goes into a face's file."""
    made = {"stage": "synthesize", "model": model, "emotion": job.emotion, "number": job.number}
    return {**describe_tool(), **made, **_settings(config, seed)}


def _rows(jobs: list[FaceJob], config: SynthesizeConfig, seed: int) -> Iterator[dict[str, Any]]:
    for job in jobs:
        yield {"path": job.path, "emotion": job.emotion, "number": job.number, **_settings(config, seed)}


def _write_sheet(out: Path, emotion: str, numbers: range, settings: Mapping[str, Any]) -> None:
    pictures = [read_rgb(out / FaceJob(emotion, number).path) for number in numbers[:_SHEET_MOST]]
    record = {**describe_tool(), "stage": "synthesize", "emotion": emotion, **settings}
    write_png(out / f"{emotion}.png", lay_out(pictures, _SHEET_COLUMNS), record)
