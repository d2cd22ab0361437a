"""Edit the expression of faces in one photo: find, align, invert, sample, and put back.

Shapes: B faces, C = 3, S crop size in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.edit_method import EditMethod
from stages.common.editor import classify_sources, guidance_for
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, ConfigError
from stages.common.face.choose import likely_faces
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.provenance import describe_tool
from stages.common.tensors import to_model_range
from stages.edit.blend import blend_face, make_face_mask
from stages.edit.config import EditConfig
from stages.edit.photo import Photo, Pixels, upright, upright_rgb


class EditedBatch(Protocol):
    """Both in -1..1; the reconstruction is what the model makes of the unedited crop."""

    @property
    def edited(self) -> torch.Tensor: ...
    @property
    def reconstruction(self) -> torch.Tensor: ...


class FaceEditor(Protocol):
    """What an edit needs of a model. Images are float in -1..1, labels index ``EMOTIONS``."""

    @property
    def size_px(self) -> int: ...
    @property
    def supported(self) -> tuple[str, ...]: ...
    @property
    def artifact_id(self) -> str: ...
    @property
    def guide_id(self) -> str | None: ...
    @property
    def recommended_guidance(self) -> Mapping[str, float]: ...

    def classify(self, images_BCHW: torch.Tensor) -> torch.Tensor: ...

    def edit(
        self,
        images_BCHW: torch.Tensor,
        source_labels: torch.Tensor,
        target_labels: torch.Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: torch.Tensor,
        method: EditMethod,
    ) -> EditedBatch: ...


@dataclass(frozen=True, slots=True)
class FaceEdit:
    """One edited face: box and transform (photo to crop) in upright pixels, crops uint8 (S, S, 3)."""

    box_xyxy: tuple[float, ...]
    transform: NDArray[np.float64]
    source: str
    source_probability: float | None
    guidance: float
    crop_SSC: NDArray[np.uint8]
    reconstruction_SSC: NDArray[np.uint8]
    edited_SSC: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EditResult:
    """``stored_HWC`` is laid out like the photo's; ``provenance`` is what to write into the file."""

    stored_HWC: Pixels
    faces: tuple[FaceEdit, ...]
    provenance: Mapping[str, Any]

    def without_pixels(self) -> EditResult:
        """The same without the full-size photo."""
        return replace(self, stored_HWC=np.empty((0, 0, 0), np.uint8))


def check_supported(editor: FaceEditor, config: EditConfig, model_name: str = "the model") -> None:
    """Raise ``ConfigError``, naming what the model can do, when it has not learned the emotion or the source label."""
    for emotion in (config.emotion, config.source, config.negative):
        if emotion not in {"auto", "null", "source"} and emotion not in editor.supported:
            raise ConfigError(f"{model_name} has not learned {emotion}", "It can do: " + ", ".join(editor.supported))


def edit_photo(photo: Photo, editor: FaceEditor, detector: FaceDetector, config: EditConfig) -> EditResult:
    """Edit the chosen faces of ``photo`` into ``config.emotion``; pixels outside their masks are returned bit for bit.

    Raises ``BadInputError`` ("no face", "no such face") and ``ConfigError`` (an emotion not learned).
    """
    check_supported(editor, config)
    rgb = upright_rgb(photo)
    faces = choose_faces(detector(rgb), config, photo)
    crops, matrices = zip(*(cut_face(rgb, face, editor.size_px) for face in faces), strict=True)
    del rgb
    images_BCHW = to_model_range(crops)
    sources, probabilities = _source_labels(editor, images_BCHW, config)
    guidance = [guidance_for(editor, source, config.emotion, config.guidance) for source in sources]
    batch = editor.edit(
        images_BCHW,
        torch.tensor([EMOTIONS.index(s) for s in sources]),
        torch.full((len(faces),), EMOTIONS.index(config.emotion)),
        strength=config.strength,
        steps=config.steps,
        guidance_scale=torch.tensor(guidance),
        method=edit_method(config, sources),
    )
    edited, reconstruction = to_crops(batch.edited), to_crops(batch.reconstruction)
    stored = photo.stored_HWC
    if not config.crop_only:
        stored = stored.copy()
        view = upright(stored, photo.orientation)[..., : photo.color_channels]
        for face, matrix, new, old in zip(faces, matrices, edited, reconstruction, strict=True):
            mask = make_face_mask(face.landmarks, matrix, editor.size_px, (view.shape[0], view.shape[1]))
            blend_face(view, new, old, matrix=matrix, mask=mask, mode=config.blend)
    edits = tuple(
        FaceEdit(
            box_xyxy=tuple(round(float(v), 2) for v in face.box_xyxy),
            transform=matrix,
            source=source,
            source_probability=probability,
            guidance=scale,
            crop_SSC=crop,
            reconstruction_SSC=_to_uint8(old),
            edited_SSC=_to_uint8(new),
        )
        for face, matrix, source, probability, scale, crop, new, old in zip(
            faces, matrices, sources, probabilities, guidance, crops, edited, reconstruction, strict=True
        )
    )
    return EditResult(stored, edits, _provenance(photo, editor, config, edits))


def edit_method(config: EditConfig, sources: Sequence[str]) -> EditMethod:
    """The settings that say how, for faces with these source labels."""
    negative = [source if config.negative == "source" else config.negative for source in sources]
    return EditMethod(
        sampler=config.sampler,
        guided=config.guided,
        guided_levels=config.guided_levels,
        classifier_scale=config.classifier_scale,
        negative_labels=None if config.negative == "null" else torch.tensor([EMOTIONS.index(n) for n in negative]),
    )


def choose_faces(faces: Sequence[Face], config: EditConfig, photo: Photo) -> list[Face]:
    """The faces to edit. Numbers count from the left, starting at 1; ``faces`` come largest first."""
    likely = likely_faces(faces, photo.path)
    if config.face == "largest":
        return [likely[0]]
    from_left = sorted(likely, key=lambda face: face.box_xyxy[0])
    if config.face == "all":
        return from_left
    if config.face > len(from_left):
        raise BadInputError(
            f"{photo.path} has {len(from_left)} face(s)", f"--face {config.face} does not exist", reason="no such face"
        )
    return [from_left[config.face - 1]]


def to_crops(images_BCHW: torch.Tensor) -> list[NDArray[np.float32]]:
    """A batch in -1..1 to float crops (S, S, 3), still in -1..1."""
    return list(images_BCHW.detach().float().clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy())


def _to_uint8(crop_SSC: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint((crop_SSC + 1) * 127.5), np.uint8)


def _source_labels(
    editor: FaceEditor, images_BCHW: torch.Tensor, config: EditConfig
) -> tuple[list[str], list[float | None]]:
    if config.source != "auto":
        return [config.source] * len(images_BCHW), [None] * len(images_BCHW)
    names, probabilities = classify_sources(editor, images_BCHW)
    return names, [round(p, 4) for p in probabilities]


def _provenance(photo: Photo, editor: FaceEditor, config: EditConfig, faces: Sequence[FaceEdit]) -> dict[str, Any]:
    return {
        **describe_tool(),
        "stage": "edit",
        "model": editor.artifact_id,
        "classifier": editor.guide_id,
        "source_sha256": photo.sha256,
        "emotion": config.emotion,
        "seed": config.seed,
        "settings": config.model_dump(mode="json", exclude={"emotion", "seed", "source", "guidance"}),
        "faces": [
            {
                "box_xyxy": list(face.box_xyxy),
                "transform": [round(float(v), 6) for v in face.transform.ravel()],
                "source": face.source,
                "source_was_auto": face.source_probability is not None,
                "source_probability": face.source_probability,
                "guidance": face.guidance,
            }
            for face in faces
        ],
    }
