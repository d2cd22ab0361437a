"""What is synthesized: every setting that changes a picture."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion
from stages.models.sampler_names import SamplerName


class SynthesizeConfig(StageConfig):
    """``count`` pictures of each of ``emotions`` (none: all that the model can do), numbered from ``first``.

    A picture depends on the seed, its emotion and its number, and not on how many others are made. ``eta`` None is 1
    for ddim, as in the thesis. ``bound`` is the power of ``bound_x0``, which holds small models together at nearly pure
    noise, where the model knows how large its latents are; None trusts the model. ``classifier_scale`` is how hard a
    classifier pulls, where there is one. ``shared_noise`` lets equal numbers start from equal noise under every
    expression, to compare expressions; sets of several expressions are then not independent samples.
    """

    emotions: tuple[str, ...] = ()
    first: int = Field(default=0, ge=0)
    count: int = Field(default=8, ge=1)
    sampler: SamplerName = "ddim"
    steps: int = Field(default=50, ge=1, le=999)
    guidance: float = Field(default=1.0, ge=0, le=50)
    eta: float | None = Field(default=None, ge=0, le=1)
    bound: float | None = Field(default=0.25, ge=0, le=1)
    classifier_scale: float = Field(default=0.0, ge=0)
    shared_noise: bool = False

    @field_validator("emotions")
    @classmethod
    def _canonical_emotions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(parse_emotion, value)))

    @model_validator(mode="after")
    def _eta_is_ddims(self) -> SynthesizeConfig:
        if self.eta is not None and self.sampler != "ddim":
            raise ValueError(f"eta is for ddim; {self.sampler} has none")
        return self

    @property
    def noise(self) -> float:
        """``eta`` where it means something."""
        if self.sampler == "ddim":
            return 1.0 if self.eta is None else self.eta
        return 1.0 if self.sampler == "ddpm" else 0.0
