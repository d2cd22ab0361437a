"""The edit stage over many photos at once: one network call for a batch of faces, one detection for all targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.defaults import classify_sources
from stages.common.errors import BadInputError
from stages.common.face.blend import FaceMask, make_face_mask
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.warp_blend import make_warp_mask
from stages.common.images import read_rgb
from stages.common.tensors import to_model_range
from stages.edit.config import EditConfig
from stages.edit.run import EditedCrop, FaceEditor, as_recommended, edit_crops, put_back

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
    """One edited photo, the crops behind it, float (S, S, 3) in -1..1, and where it may differ from the source."""

    rgb: NDArray[np.uint8]
    edited: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    inside_HW: NDArray[np.bool_]


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
    for target, group in groupby(zip(cases, targets, strict=True), key=itemgetter(1)):
        wanted = as_recommended(config.model_copy(update={"emotion": target}), editor)
        of_target = [case for case, _ in group]
        for start in range(0, len(of_target), BATCH):
            batch = of_target[start : start + BATCH]
            made = edit_crops(
                editor, to_model_range([case.crop for case in batch]), [case.source for case in batch], wanted
            )
            for case, edit in zip(batch, made.each([case.matrix for case in batch]), strict=True):
                rgb = case.rgb.copy()
                put_back(rgb, case.face, edit, editor, wanted.blend)
                yield Edited(rgb, edit.edited_SSC, edit.reconstruction_SSC, _changeable(case, edit))


def _changeable(case: Case, edit: EditedCrop) -> NDArray[np.bool_]:
    """Where the way back may change the photo (H, W)."""
    inside = case.inside_HW
    if edit.move is not None:
        source, target = (points_P3.astype(np.float64) for points_P3 in edit.move)
        mask = make_warp_mask(source, target, case.matrix, len(case.crop), (case.rgb.shape[0], case.rgb.shape[1]))
        inside[mask.region] |= mask.weights_hw > 0
    return inside


def _classify(editor: FaceEditor, crops: Sequence[NDArray[np.uint8]]) -> list[str]:
    names: list[str] = []
    for start in range(0, len(crops), BATCH):
        names += classify_sources(editor, to_model_range(crops[start : start + BATCH]))[0]
    return names
