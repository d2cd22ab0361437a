"""Edit the expression of faces in one photo: find, align, invert, sample, and put back.

Shapes: B faces, C = 3, S crop size in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.defaults import NEUTRAL, classify_sources, guidance_for
from stages.common.edit_method import EditMethod
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, ConfigError
from stages.common.expression_edit import LEAST_CONFIDENCE, ExpressionTarget, PointMove, plan_expressions
from stages.common.face.basis import ExpressionBasis
from stages.common.face.blend import blend_face, make_face_mask
from stages.common.face.choose import likely_faces
from stages.common.face.cut import cut_face
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.expression import Expression
from stages.common.face.search import find_faces
from stages.common.face.warp_blend import warp_face
from stages.common.images import upright
from stages.common.provenance import describe_tool
from stages.common.tensors import from_model_range, to_crops, to_model_range
from stages.edit.config import BlendMode, EditConfig, make_edit_config
from stages.edit.method import edit_method
from stages.edit.photo import Photo, Pixels, upright_rgb
from stages.models.condition import Condition

EXPRESSION_GUIDANCE = 1.5
"""The guidance scale of edits by coefficients, where the model recommends none."""
WAY_BACK = 10
"""How many pictures of the way back are kept."""


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
    def editable(self) -> tuple[str, ...]: ...
    @property
    def artifact_id(self) -> str: ...
    @property
    def guide_id(self) -> str | None: ...
    @property
    def recommended_guidance(self) -> Mapping[str, float]: ...
    @property
    def recommended_settings(self) -> Mapping[str, int | float | str]: ...
    @property
    def hears_expression(self) -> bool: ...
    @property
    def basis(self) -> ExpressionBasis: ...

    def measure(self, images_BCHW: torch.Tensor) -> list[Expression]: ...

    def embed(self, images_BCHW: torch.Tensor) -> NDArray[np.float32]: ...

    def interpret(self, points_P3: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def enlarge(self, crop_SSC: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def classify(self, images_BCHW: torch.Tensor) -> torch.Tensor: ...

    def edit(
        self,
        images_BCHW: torch.Tensor,
        source: Condition | torch.Tensor,
        target: Condition | torch.Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: torch.Tensor,
        method: EditMethod,
        steady: Callable[[torch.Tensor], torch.Tensor] | None = None,
        watch: Callable[[torch.Tensor], None] | None = None,
    ) -> EditedBatch: ...


class EditedCrop(NamedTuple):
    """One face of ``EditedCrops``, as RGB in -1..1 (S, S, 3); ``matrix`` (2, 3) takes the photo to the crop.

    ``move`` is where its points were to go, ``found_P3`` where they are in the edit.
    """

    matrix: NDArray[np.float64]
    edited_SSC: NDArray[np.float32]
    reconstruction_SSC: NDArray[np.float32]
    move: PointMove | None
    found_P3: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class EditedCrops:
    """An ``EditedBatch``, and if the model knows, where each face's points were to go, and where the edit has them."""

    edited: torch.Tensor
    reconstruction: torch.Tensor
    moves: Sequence[PointMove | None] | None = None
    found: Sequence[NDArray[np.float32] | None] | None = None

    def each(self, matrices: Sequence[NDArray[np.float64]]) -> Iterator[EditedCrop]:
        """The faces, each with what cut it."""
        nothing = (None,) * len(self.edited)
        moves, found = self.moves or nothing, self.found or nothing
        pictures = zip(to_crops(self.edited), to_crops(self.reconstruction), strict=True)
        for matrix, (new, old), move, points in zip(matrices, pictures, moves, found, strict=True):
            yield EditedCrop(matrix, new, old, move, points)


@dataclass(frozen=True, slots=True)
class FaceEdit:
    """One edited face: box and transform (photo to crop) in upright pixels, crops uint8 (S, S, 3).

    ``way_back`` shows what the network saw behind the noise, from the first level of the way back to the last.
    """

    box_xyxy: tuple[float, ...]
    transform: NDArray[np.float64]
    source: str
    source_probability: float | None
    guidance: float
    crop_SSC: NDArray[np.uint8]
    reconstruction_SSC: NDArray[np.uint8]
    edited_SSC: NDArray[np.uint8]
    way_back: tuple[NDArray[np.uint8], ...] = ()


@dataclass(frozen=True, slots=True)
class EditResult:
    """``stored_HWC`` is laid out like the photo's; ``provenance`` is what to write into the file."""

    stored_HWC: Pixels
    faces: tuple[FaceEdit, ...]
    provenance: Mapping[str, Any]


def check_supported(editor: FaceEditor, config: EditConfig, model_name: str = "the model") -> None:
    """Raise ``ConfigError``, naming what the model can do, when it has not learned the emotion or the source label."""
    if editor.hears_expression:
        return
    if config.by_coefficients:
        raise ConfigError(
            f"{model_name} knows emotions by their labels alone", "Use --emotion, or a model that hears expressions"
        )
    for emotion in (*config.mixture, config.source, config.negative):
        if emotion not in {"auto", "null", "source"} and emotion not in editor.supported:
            raise ConfigError(f"{model_name} has not learned {emotion}", "It can do: " + ", ".join(editor.supported))


def as_recommended(config: EditConfig, editor: FaceEditor) -> EditConfig:
    """The settings, with the model's own in place of those that nobody gave."""
    given = config.model_dump(include=config.model_fields_set)
    return make_edit_config(**{**editor.recommended_settings, **given})


def measure_photo(photo: Photo, editor: FaceEditor, detector: FaceDetector) -> dict[str, float]:
    """The coefficients of the largest face, by name. Raises ``BadInputError`` ("no face"), ``MissingModelError``."""
    rgb = upright_rgb(photo)
    faces = find_faces(detector, rgb, photo.path, every=False)
    crop, _ = cut_face(rgb, faces[0], editor.size_px)
    return editor.measure(to_model_range([crop]))[0].named()


def edit_photo(photo: Photo, editor: FaceEditor, detector: FaceDetector, config: EditConfig) -> EditResult:
    """Edit the chosen faces of ``photo`` into ``config.emotion``; pixels outside their masks are returned bit for bit.

    Raises ``BadInputError`` ("no face", "no such face") and ``ConfigError`` (an emotion not learned).
    """
    config = as_recommended(config, editor)
    check_supported(editor, config)
    rgb = upright_rgb(photo)
    faces = choose_faces(find_faces(detector, rgb, photo.path, every=config.face != "largest"), config, photo)
    crops, matrices = zip(*(cut_face(rgb, face, editor.size_px) for face in faces), strict=True)
    del rgb
    images_BCHW = to_model_range(crops)
    sources, probabilities = source_labels(editor, images_BCHW, config)
    guidance = guidance_scales(editor, sources, config)
    seen: list[torch.Tensor] = []
    batch = edit_crops(editor, images_BCHW, sources, config, watch=seen.append if config.progressive else None)
    stored = photo.stored_HWC
    if not config.crop_only:
        stored = stored.copy()
        view = upright(stored, photo.orientation)[..., : photo.color_channels]
        for face, edit in zip(faces, batch.each(matrices), strict=True):
            put_back(view, face, edit, editor, config.blend)
    edited_BSSC, reconstruction_BSSC = from_model_range(batch.edited), from_model_range(batch.reconstruction)
    way_back = [from_model_range(pictures_BCHW) for pictures_BCHW in spread(seen)]
    edits = tuple(
        FaceEdit(
            box_xyxy=tuple(round(float(v), 2) for v in face.box_xyxy),
            transform=matrix,
            source=source,
            source_probability=probability,
            guidance=scale,
            crop_SSC=crop,
            reconstruction_SSC=reconstruction_BSSC[index],
            edited_SSC=edited_BSSC[index],
            way_back=tuple(pictures_BSSC[index] for pictures_BSSC in way_back),
        )
        for index, (face, matrix, source, probability, scale, crop) in enumerate(
            zip(faces, matrices, sources, probabilities, guidance, crops, strict=True)
        )
    )
    return EditResult(stored, edits, _provenance(photo, editor, detector, config, edits))


def edit_crops(
    editor: FaceEditor,
    images_BCHW: torch.Tensor,
    sources: Sequence[str],
    config: EditConfig,
    *,
    steady: Callable[[torch.Tensor], torch.Tensor] | None = None,
    watch: Callable[[torch.Tensor], None] | None = None,
    least_confidence: float = LEAST_CONFIDENCE,
) -> EditedCrops:
    """Aligned faces in -1..1 with these expressions, edited as ``config`` says.

    Raises ``BadInputError`` as ``plan_expressions`` does.
    """
    plan = None
    if editor.hears_expression:
        plan = plan_expressions(editor, images_BCHW, [_of_face(config, s) for s in sources], least_confidence)
    made = editor.edit(
        images_BCHW,
        torch.tensor([EMOTIONS.index(s) for s in sources]) if plan is None else plan.source,
        strongest_label(config.mixture, len(sources)) if plan is None else plan.target,
        strength=config.strength,
        steps=config.steps,
        guidance_scale=torch.tensor(guidance_scales(editor, sources, config)),
        method=edit_method(config, sources, by_labels=plan is None),
        steady=steady,
        watch=watch,
    )
    if plan is None:
        return EditedCrops(made.edited, made.reconstruction)
    found = [expression.points_P3 for expression in editor.measure(made.edited)]
    return EditedCrops(made.edited, made.reconstruction, plan.moves, found)


def _of_face(config: EditConfig, source: str) -> ExpressionTarget:
    """What a face with this expression is to show; one that rests already and is to rest stays as it is."""
    rests = source == NEUTRAL and set(config.mixture) == {NEUTRAL}
    return replace(config.target, amount=0.0) if rests else config.target


def strongest_label(mixture: Mapping[str, float], count: int) -> torch.Tensor:
    """Labels (``count``,) of the emotion of most weight."""
    return torch.full((count,), EMOTIONS.index(max(mixture, key=mixture.__getitem__)))


def guidance_scales(editor: FaceEditor, sources: Sequence[str], config: EditConfig) -> list[float]:
    """The guidance scale of each face; of a mixture the mean of what suits its parts."""
    if editor.hears_expression:
        return [EXPRESSION_GUIDANCE if config.guidance is None else config.guidance] * len(sources)
    return [
        sum(
            weight * guidance_for(editor, source, emotion, config.guidance)
            for emotion, weight in config.mixture.items()
        )
        for source in sources
    ]


def put_back(view_HWC: Pixels, face: Face, edit: EditedCrop, editor: FaceEditor, mode: BlendMode) -> None:
    """Blend an edited crop into an upright photo, in place; "warp" is "delta" where no points of the edit are known."""
    if mode == "warp" and edit.move is not None:
        source_P3, target_P3 = edit.move
        warp_face(
            view_HWC,
            edit.edited_SSC,
            edit.reconstruction_SSC,
            matrix=edit.matrix,
            source_points=source_P3.astype(np.float64),
            target_points=target_P3.astype(np.float64),
            edit_points=None if edit.found_P3 is None else edit.found_P3.astype(np.float64),
            upscale=editor.enlarge,
        )
        return
    mask = make_face_mask(face.landmarks, edit.matrix, len(edit.edited_SSC), (view_HWC.shape[0], view_HWC.shape[1]))
    blend_face(
        view_HWC,
        edit.edited_SSC,
        edit.reconstruction_SSC,
        matrix=edit.matrix,
        mask=mask,
        mode="delta" if mode == "warp" else mode,
    )


def spread(pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """At most ``WAY_BACK`` of them, evenly spread, the first and the last among them."""
    count = min(WAY_BACK, len(pictures))
    return [pictures[round(i * (len(pictures) - 1) / max(1, count - 1))] for i in range(count)]


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


def source_labels(
    editor: FaceEditor, images_BCHW: torch.Tensor, config: EditConfig
) -> tuple[list[str], list[float | None]]:
    """The expression of each crop, and the classifier's probability where it was asked."""
    if config.source != "auto":
        return [config.source] * len(images_BCHW), [None] * len(images_BCHW)
    names, probabilities = classify_sources(editor, images_BCHW)
    return names, [round(p, 4) for p in probabilities]


def _provenance(
    photo: Photo, editor: FaceEditor, detector: FaceDetector, config: EditConfig, faces: Sequence[FaceEdit]
) -> dict[str, Any]:
    return {
        **describe_edit(editor, detector, config),
        "source_sha256": photo.sha256,
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


def describe_edit(editor: FaceEditor, detector: FaceDetector, config: EditConfig) -> dict[str, Any]:
    """All that has to be the same so that the same photo gives the same pixels."""
    return {
        **describe_tool(),
        "stage": "edit",
        "model": editor.artifact_id,
        "classifier": editor.guide_id,
        "detector": detector.name,
        "emotion": config.emotion,
        "seed": config.seed,
        "settings": config.model_dump(mode="json", exclude={"emotion", "seed"}),
    }
