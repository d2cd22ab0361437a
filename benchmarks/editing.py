"""The edit stage over many photos at once: one network call for a batch of faces, one detection for all targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.defaults import classify_sources, guidance_for
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.face.blend import FaceMask, blend_face, make_face_mask
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.images import read_rgb
from stages.common.tensors import to_crops, to_model_range
from stages.edit.config import EditConfig
from stages.edit.method import edit_method
from stages.edit.run import FaceEditor

BATCH = 10


@dataclass(frozen=True, slots=True)
class Case:
    """A photo (H, W, 3) with its largest face, aligned (S, S, 3); ``mask`` is where an edit may change it."""

    path: str
    rgb: NDArray[np.uint8]
    face: Face
    matrix: NDArray[np.float64]
    crop: NDArray[np.uint8]
    mask: FaceMask
    source: str

    @property
    def inside_HW(self) -> NDArray[np.bool_]:
        """True where the mask is above 0."""
        inside = np.zeros(self.rgb.shape[:2], dtype=np.bool_)
        inside[self.mask.region] = self.mask.weights_hw > 0
        return inside


@dataclass(frozen=True, slots=True)
class Edited:
    """One edited photo, and the crops behind it: float (S, S, 3) in -1..1."""

    rgb: NDArray[np.uint8]
    edited: NDArray[np.float32]
    reconstruction: NDArray[np.float32]


def prepare_cases(
    root: Path, paths: Sequence[str], editor: FaceEditor, detector: FaceDetector, source: str = "auto"
) -> list[Case]:
    """Find, align and (``source`` "auto") classify the largest face of each photo; those without one are left out."""
    found = []
    for path in paths:
        try:
            rgb = read_rgb(root / path)
        except BadInputError:
            continue
        faces = detector(rgb)
        if faces:
            crop, matrix = cut_face(rgb, faces[0], editor.size_px)
            found.append((path, rgb, faces[0], matrix, crop))
    sources = [source] * len(found) if source != "auto" else _classify(editor, [crop for *_, crop in found])
    return [
        Case(
            path,
            rgb,
            face,
            matrix,
            crop,
            make_face_mask(face.landmarks, matrix, editor.size_px, (rgb.shape[0], rgb.shape[1])),
            label,
        )
        for (path, rgb, face, matrix, crop), label in zip(found, sources, strict=True)
    ]


def edit_cases(
    editor: FaceEditor, cases: Sequence[Case], targets: Sequence[str], config: EditConfig
) -> Iterator[Edited]:
    """Each case edited into its target with the settings of ``config`` (its own emotion and source aside), in order."""
    for start in range(0, len(cases), BATCH):
        batch, wanted = cases[start : start + BATCH], targets[start : start + BATCH]
        guidance = [
            guidance_for(editor, case.source, target, config.guidance)
            for case, target in zip(batch, wanted, strict=True)
        ]
        made = editor.edit(
            to_model_range([case.crop for case in batch]),
            torch.tensor([EMOTIONS.index(case.source) for case in batch]),
            torch.tensor([EMOTIONS.index(target) for target in wanted]),
            strength=config.strength,
            steps=config.steps,
            guidance_scale=torch.tensor(guidance),
            method=edit_method(config, [case.source for case in batch]),
        )
        for case, edited, old in zip(batch, to_crops(made.edited), to_crops(made.reconstruction), strict=True):
            rgb = case.rgb.copy()
            blend_face(rgb, edited, old, matrix=case.matrix, mask=case.mask, mode=config.blend)
            yield Edited(rgb, edited, old)


def _classify(editor: FaceEditor, crops: Sequence[NDArray[np.uint8]]) -> list[str]:
    names: list[str] = []
    for start in range(0, len(crops), BATCH):
        names += classify_sources(editor, to_model_range(crops[start : start + BATCH]))[0]
    return names
