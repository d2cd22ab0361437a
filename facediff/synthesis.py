"""``FaceSynthesisPipeline``: new faces from pure noise, as ``facediff synthesize`` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from PIL import Image

from facediff.loading import StrPath, load_pretrained, seed_of
from stages.common.config import make_config
from stages.common.editor import Editor
from stages.common.model_input import supported_emotions
from stages.common.weights import DEFAULT_MODEL
from stages.synthesize.config import SynthesizeConfig
from stages.synthesize.run import FaceJob, describe_face, draw_faces, suited


@dataclass(frozen=True, slots=True)
class FaceSynthesisOutput:
    """New faces, and the record of how each was made."""

    images: list[Image.Image]
    provenance: list[Mapping[str, Any]]


class FaceSynthesisPipeline:
    """A model, kept in memory for as many faces as you like."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor

    @classmethod
    def from_pretrained(
        cls, name_or_dir: StrPath = DEFAULT_MODEL, *, base: StrPath | None = None, device: str = "cpu"
    ) -> Self:
        """As ``FaceEditPipeline.from_pretrained``. Raises ``MissingModelError``."""
        return cls(load_pretrained(name_or_dir, device=device, base=base))

    def __call__(
        self,
        emotion: str,
        *,
        num_images: int = 1,
        first: int = 0,
        guidance_scale: float = 1.0,
        num_inference_steps: int = 50,
        seed: int = 0,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> FaceSynthesisOutput:
        """Faces number ``first``, ``first`` + 1, ... of a seed: on a CPU the same bits as the command's.

        ``settings`` are the other fields of ``stages.synthesize.config.SynthesizeConfig``: ``sampler``, ``eta``,
        ``bound``, ``shared_noise``. Raises ``ConfigError`` for settings, and for an emotion that it has not learned.
        """
        fields = {"first": first, "count": num_images, "guidance": guidance_scale, "steps": num_inference_steps}
        config = make_config(SynthesizeConfig, {"emotions": (emotion,), **fields, **settings})
        config = suited(config, self.editor)
        (name,) = supported_emotions(config.emotions, self.editor.supported)
        seed = seed_of(seed, generator)
        jobs = [FaceJob(name, number) for number in range(first, first + num_images)]
        together = 1 if self.editor.device == "cpu" else num_images
        pictures = [
            picture
            for start in range(0, num_images, together)
            for picture in draw_faces(self.editor, config, seed, jobs[start : start + together])
        ]
        records: list[Mapping[str, Any]] = [describe_face(job, config, seed, self.editor.artifact_id) for job in jobs]
        return FaceSynthesisOutput([Image.fromarray(picture) for picture in pictures], records)
