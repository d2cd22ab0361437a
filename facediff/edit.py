"""``FaceEditPipeline``: another expression on the face in photos, as ``facediff edit`` gives it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facediff.loading import StrPath, load_pretrained, seed_of
from stages.common.errors import BadInputError
from stages.common.face.detect import FaceDetector, load_detector
from stages.common.images import upright
from stages.common.weights import DEFAULT_MODEL
from stages.edit.config import make_edit_config
from stages.edit.photo import Photo, load_photo, upright_rgb
from stages.edit.run import EditResult, FaceEdit, FaceEditor, edit_photo, measure_photo
from stages.edit.save import save_photo

Picture = StrPath | Image.Image | NDArray[np.uint8]
"""A file, a PIL image, or RGB pixels (H, W, 3)."""

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True)
class FaceEditOutput:
    """Edited photos, upright, and for each of them its edited faces and the record of how it was made."""

    images: list[Image.Image]
    faces: list[tuple[FaceEdit, ...]]
    provenance: list[Mapping[str, Any]]
    _results: list[tuple[Photo, EditResult]]

    def save(self, *paths: StrPath) -> None:
        """Write the photos as ``facediff edit`` does: rotation, profile and bit depth kept, and with their records."""
        for path, (photo, result) in zip(map(Path, paths), self._results, strict=True):
            save_photo(path, photo, result.stored_HWC, result.provenance)


class FaceEditPipeline:
    """A model and a face detector, kept in memory for as many edits as you like."""

    def __init__(self, editor: FaceEditor, detector: FaceDetector) -> None:
        self.editor = editor
        self.detector = detector

    @classmethod
    def from_pretrained(
        cls,
        name_or_dir: StrPath = DEFAULT_MODEL,
        *,
        base: StrPath | None = None,
        device: str = "cpu",
        detector: Literal["auto", "fan", "dlib"] = "dlib",
    ) -> Self:
        """A model by name (``facediff models list``) or folder, also one that ``facediff finetune`` wrote.

        ``base`` is the model that such an update changes, if it is not in the store. Raises ``MissingModelError``.
        """
        return cls(load_pretrained(name_or_dir, device=device, base=base), load_detector(detector, device))

    def __call__(
        self,
        images: Picture | Sequence[Picture],
        emotion: str | None = None,
        *,
        source: str = "auto",
        strength: int | None = None,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> FaceEditOutput:
        """Edit one picture or several. The same pictures and settings give the same bits as the command.

        What is None is what the model recommends.

        ``settings`` are the other fields of ``stages.edit.config.EditConfig``: ``au`` ({"AU12": 0.8}), ``expression``
        ({"jawOpen": "+0.2"}), ``valence``, ``arousal``, ``copied`` (what ``measure`` gives), ``amount``, ``sampler``,
        ``blend``, ``face``, ``guided``, ... ``seed`` (or that of ``generator``) is recorded; sampling itself is
        deterministic.
        Raises ``ConfigError`` for settings, and ``BadInputError`` for a picture that cannot be read or has no face.
        """
        given = {
            "emotion": emotion,
            "strength": strength,
            "guidance": guidance_scale,
            "steps": num_inference_steps,
            **settings,
        }
        config = make_edit_config(
            source=source,
            seed=seed_of(seed, generator),
            **{name: value for name, value in given.items() if value is not None},
        )
        results = []
        for number, picture in enumerate(_as_list(images)):
            photo = _as_photo(picture, f"image {number}")
            results.append((photo, edit_photo(photo, self.editor, self.detector, config)))
        shown = [
            Image.fromarray(result.faces[0].edited_SSC) if config.crop_only else _as_image(photo, result)
            for photo, result in results
        ]
        edited = [result for _, result in results]
        return FaceEditOutput(shown, [r.faces for r in edited], [r.provenance for r in edited], results)

    def measure(self, image: Picture) -> dict[str, float]:
        """The expression coefficients of the largest face, by name; to be given to a call as ``copied``.

        Raises ``BadInputError`` for a picture without a face, ``MissingModelError`` where the model measures nothing.
        """
        return measure_photo(_as_photo(image, "image"), self.editor, self.detector)


def _as_list(images: Picture | Sequence[Picture]) -> list[Picture]:
    if isinstance(images, str | os.PathLike | Image.Image | np.ndarray):
        return [images]
    return list(images)


def _as_photo(picture: Picture, name: str) -> Photo:
    if isinstance(picture, str | os.PathLike):
        return load_photo(Path(picture))
    pixels = _from_pil(picture) if isinstance(picture, Image.Image) else picture
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in _MODES:
        raise BadInputError(f"{name} is {pixels.dtype} {pixels.shape}", "Give uint8 RGB pixels (H, W, 3)")
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return Photo(Path(name), digest, pixels, orientation=1, file_format="PNG")


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    standing = ImageOps.exif_transpose(image)
    if standing.mode not in _MODES.values():
        standing = standing.convert("RGBA" if standing.has_transparency_data else "RGB")
    pixels = np.asarray(standing)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _as_image(photo: Photo, result: EditResult) -> Image.Image:
    stored = result.stored_HWC
    if stored.dtype != np.uint8:
        return Image.fromarray(upright_rgb(photo, stored))
    pixels = np.ascontiguousarray(upright(stored, photo.orientation))
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
