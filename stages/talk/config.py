"""What one synthesis is: every setting that changes the result."""

from __future__ import annotations

from pydantic import Field, field_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion
from stages.common.face.blend import BlendMode
from stages.models.sampler_names import SamplerName


class TalkConfig(StageConfig):
    """``emotion`` None leaves the expression to the model.

    Against drift, each frame's identity latents hold a share ``anchor`` of the reference frame's, and every
    ``anchor_every``-th frame takes the reference frame alone (0: never); the reference is the first frame in which the
    person is seen. ``noise_memory`` m makes a frame's noise from that of the frame before: m eps + sqrt(1 - m^2) eps';
    1 is the same noise for all. ``smoothing`` is that of landmarks (``follow``), ``crf`` the quality of H.264 (0 best).
    """

    emotion: str | None = None
    steps: int = Field(default=8, ge=1, le=999)
    sampler: SamplerName = "ddim"
    guidance: float = Field(default=1.0, ge=0, le=50)
    seed: int = Field(default=0, ge=0)
    anchor: float = Field(default=0.6, ge=0, le=1)
    anchor_every: int = Field(default=0, ge=0)
    noise_memory: float = Field(default=1.0, ge=0, le=1)
    blend: BlendMode = "paste"
    smoothing: float = Field(default=2.0, ge=0, le=10)
    crf: int = Field(default=18, ge=0, le=51)

    @field_validator("emotion")
    @classmethod
    def _canonical_emotion(cls, value: str | None) -> str | None:
        return None if value is None else parse_emotion(value)
