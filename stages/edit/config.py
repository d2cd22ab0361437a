"""What one edit is: every setting that changes the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stages.common.config import StageConfig, set_field
from stages.common.emotions import parse_emotion
from stages.common.errors import ConfigError
from stages.edit.blend import BlendMode
from stages.models.sampler_names import RoundTripName


class EditConfig(StageConfig):
    """``strength`` is the timestep t0 that the face is inverted to; ``guidance`` None takes the model's own.

    ``face`` counts from the left, starting at 1. ``guided`` "back" inverts without guidance; ``guided_levels`` guides
    only from the one timestep to the other; ``negative`` is what guidance leads away from: "null" (no expression in
    particular), "source", or an expression. ``classifier_scale`` is how hard a classifier pulls, where there is one.
    """

    emotion: str
    source: str = "auto"
    strength: int = Field(default=500, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=50)
    steps: int = Field(default=40, ge=1, le=1000)
    sampler: RoundTripName = "ddim"
    guided: Literal["both", "back"] = "both"
    guided_levels: tuple[int, int] | None = None
    negative: str = "null"
    classifier_scale: float = Field(default=0.0, ge=0)
    blend: BlendMode = "delta"
    face: Literal["largest", "all"] | int = "largest"
    crop_only: bool = False
    seed: int = 0

    @field_validator("emotion")
    @classmethod
    def _canonical_emotion(cls, value: str) -> str:
        return parse_emotion(value)

    @field_validator("source")
    @classmethod
    def _canonical_source(cls, value: str) -> str:
        if value.strip().lower() == "auto":
            return "auto"
        try:
            return parse_emotion(value)
        except ConfigError as error:
            raise ConfigError(f"--source: {error.what}", error.hint) from error

    @field_validator("guided_levels")
    @classmethod
    def _ascending(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] <= value[1] < 1000:
            raise ValueError("two levels in ascending order, from 0 to 999")
        return value

    @field_validator("negative")
    @classmethod
    def _canonical_negative(cls, value: str) -> str:
        if value in {"null", "source"}:
            return value
        try:
            return parse_emotion(value)
        except ConfigError as error:
            raise ConfigError(f"--set negative: {error.what}", error.hint) from error

    @field_validator("face", mode="before")
    @classmethod
    def _face_number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @model_validator(mode="after")
    def _check_combinations(self) -> EditConfig:
        if self.steps > self.strength:
            raise ValueError(f"{self.steps} steps need a strength of {self.steps} or more")
        if isinstance(self.face, int) and self.face < 1:
            raise ValueError("faces are counted from 1")
        return self


def make_edit_config(settings: Sequence[str] = (), **fields: Any) -> EditConfig:
    """``EditConfig`` from command line values, and ``a=value`` ``settings`` that are stronger.

    Raises ``ConfigError`` that names the first wrong option.
    """
    for setting in settings:
        set_field(fields, setting)
    try:
        return EditConfig.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        option = _option(str(problem["loc"][0]), settings) if problem["loc"] else ""
        if problem["loc"] and problem["loc"][0] == "face":
            raise ConfigError(f"--face {fields.get('face')!r} must be a number from 1, all or largest") from error
        raise ConfigError(option + problem["msg"].removeprefix("Value error, ")) from error


def _option(field: str, settings: Sequence[str]) -> str:
    if any(setting.partition("=")[0] == field for setting in settings):
        return f"--set {field}: "
    return f"--{field.replace('_', '-')}: "
