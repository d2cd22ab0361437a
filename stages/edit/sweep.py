"""One face under several strengths and guidance scales, as a labelled grid (thesis, figures 4.6 and 4.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stages.common.edit_method import EditMethod
from stages.common.errors import ConfigError
from stages.common.expression_edit import ExpressionPlan, plan_expressions
from stages.common.face.cut import cut_face
from stages.common.face.detect import FaceDetector
from stages.common.face.search import find_faces
from stages.common.tensors import from_model_range, to_model_range
from stages.edit.config import EditConfig, make_edit_config
from stages.edit.method import edit_method
from stages.edit.photo import Photo, upright_rgb
from stages.edit.run import (
    FaceEditor,
    as_recommended,
    check_supported,
    choose_faces,
    describe_edit,
    source_labels,
    strongest_label,
)
from stages.models.condition import Condition

Picture = NDArray[np.uint8]
_GAP_PX = 4
_LABEL_WIDTH_PX, _LABEL_HEIGHT_PX = 72, 24


class Sweep(NamedTuple):
    """The rows and the columns of the grid."""

    strengths: tuple[int, ...] = (400, 500, 600)
    guidances: tuple[float, ...] = (1, 2, 3, 4, 5)


class SweepEditor(FaceEditor, Protocol):
    """A model whose edit can be done in parts, so that they can be shared."""

    def encode(self, images_BCHW: Tensor) -> Tensor: ...
    def decode(self, latents_BCHW: Tensor) -> Tensor: ...
    def invert(
        self,
        latents_BCHW: Tensor,
        source: Condition | Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
        method: EditMethod,
    ) -> Tensor: ...
    def resample(
        self,
        noisy_BCHW: Tensor,
        target: Condition | Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
        method: EditMethod,
    ) -> Tensor: ...


def parse_sweep(strengths: str, guidances: str) -> Sweep:
    """Numbers with commas between them. Raises ``ConfigError``."""
    try:
        rows, columns = tuple(map(int, strengths.split(","))), tuple(map(float, guidances.split(",")))
    except ValueError as error:
        raise ConfigError(
            f"a sweep takes numbers with commas between them: {error}", "--strengths 400,500 --guidances 1,3"
        ) from error
    return Sweep(rows, columns)


def cell_configs(config: EditConfig, sweep: Sweep) -> list[list[EditConfig]]:
    """The settings of every cell, row by row. Raises ``ConfigError`` for one that cannot be."""
    if config.face == "all":
        raise ConfigError("a sweep is of one face", "Choose it with --face N")
    fields = config.model_dump()
    return [
        [make_edit_config(**{**fields, "strength": strength, "guidance": guidance}) for guidance in sweep.guidances]
        for strength in sweep.strengths
    ]


def sweep_photo(
    photo: Photo, editor: SweepEditor, detector: FaceDetector, config: EditConfig, sweep: Sweep
) -> tuple[Picture, dict[str, Any]]:
    """The grid (H, W, 3), of which the first column is the face itself and its reconstruction, and its record.

    The face is found and encoded once; an inversion without guidance is shared by a row, and a row is one batch.
    """
    config = as_recommended(config, editor)
    check_supported(editor, config)
    rows = cell_configs(config, sweep)
    rgb = upright_rgb(photo)
    faces = find_faces(detector, rgb, photo.path, every=config.face != "largest")
    crop, _ = cut_face(rgb, choose_faces(faces, config, photo)[0], editor.size_px)
    image_1CHW = to_model_range([crop])
    (source,), (probability,) = source_labels(editor, image_1CHW, config)
    plan = plan_expressions(editor, image_1CHW, config.target) if editor.hears_expression else None
    z0 = editor.encode(image_1CHW)
    before = [crop, from_model_range(editor.decode(z0))[0]]
    pictures = []
    for index, row in enumerate(rows):
        first = before[index] if index < len(before) else np.full_like(crop, 255)
        pictures.append([first, *_edit_row(editor, z0, source, row, plan)])
    labels = ["", *(f"g = {guidance:g}" for guidance in sweep.guidances)]
    grid = labelled_grid(pictures, [f"t0 = {strength}" for strength in sweep.strengths], labels)
    record = {
        **describe_edit(editor, detector, config),
        "source_sha256": photo.sha256,
        "sweep": {"strengths": list(sweep.strengths), "guidances": list(sweep.guidances)},
        "faces": [{"source": source, "source_was_auto": probability is not None, "source_probability": probability}],
    }
    return grid, record


def _edit_row(
    editor: SweepEditor, z0: Tensor, source: str, row: Sequence[EditConfig], plan: ExpressionPlan | None
) -> list[Picture]:
    config, count = row[0], len(row)
    scales = torch.tensor([float(cell.guidance or 0) for cell in row])
    method = edit_method(config, [source] * count, by_labels=plan is None)
    there = 1 if method.guided == "back" else count
    noisy = editor.invert(
        z0.expand(there, -1, -1, -1),
        strongest_label({source: 1.0}, there) if plan is None else plan.source.repeat(there),
        strength=config.strength,
        steps=config.steps,
        guidance_scale=scales[:there],
        method=edit_method(config, [source] * there, by_labels=plan is None),
    )
    edited = editor.resample(
        noisy.expand(count, -1, -1, -1),
        strongest_label(config.mixture, count) if plan is None else plan.target.repeat(count),
        strength=config.strength,
        steps=config.steps,
        guidance_scale=scales,
        method=method,
    )
    return list(from_model_range(editor.decode(edited)))


def labelled_grid(
    rows: Sequence[Sequence[Picture]], row_labels: Sequence[str], column_labels: Sequence[str]
) -> Picture:
    """Pictures of one size on white, with a word at the left of every row and above every column."""
    size = len(rows[0][0])
    step = size + _GAP_PX
    width, height = _LABEL_WIDTH_PX + len(rows[0]) * step, _LABEL_HEIGHT_PX + len(rows) * step
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for j, label in enumerate(column_labels):
        middle = (_LABEL_WIDTH_PX + j * step + size / 2, _LABEL_HEIGHT_PX / 2)
        draw.text(middle, label, fill="black", font=font, anchor="mm")
    for i, (row, label) in enumerate(zip(rows, row_labels, strict=True)):
        top = _LABEL_HEIGHT_PX + i * step
        draw.text((_LABEL_WIDTH_PX / 2, top + size / 2), label, fill="black", font=font, anchor="mm")
        for j, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (_LABEL_WIDTH_PX + j * step, top))
    return np.asarray(sheet)
