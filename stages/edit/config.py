"""What one edit is: every setting that changes the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stages.common.config import StageConfig, set_field
from stages.common.emotions import format_mixture, parse_emotion, parse_mixture
from stages.common.errors import ConfigError
from stages.common.expression_edit import ExpressionTarget
from stages.common.face.directions import coefficient_names, unit_direction
from stages.models.sampler_names import RoundTripName

BlendMode = Literal["warp", "delta", "paste"]
_LONGEST_NAME = 60


class VideoConfig(StageConfig):
    """How the edit of a video is kept steady.

    ``smoothing`` is the standard deviation in frames of the weights with which landmarks are smoothed; 0 is off.
    ``memory`` is the share that the frames before have in the inverted noise of a face. ``crf`` is the quality of H.264
    and VP9 (0 best).
    """

    smoothing: float = Field(default=2.0, ge=0, le=10)
    memory: float = Field(default=0.6, ge=0, lt=1)
    crf: int = Field(default=18, ge=0, le=51)


class EditConfig(StageConfig):
    """``strength`` is the timestep t0 that the face is inverted to; ``guidance`` None takes the model's own.

    ``emotion`` is one name, or a mixture (``parse_mixture``); ``amount`` goes from the face's own expression (0) to it
    (1), and beyond. ``progressive`` keeps pictures of the way back; ``video`` concerns videos alone.
    ``face`` counts from the left, starting at 1. ``guided`` "back" inverts without guidance; ``guided_levels`` guides
    only from the one timestep to the other; ``negative`` is what guidance leads away from: "null" (no expression in
    particular), "source", or an expression. ``classifier_scale`` is how hard a classifier pulls, where there is one.
    """

    emotion: str | None = None
    au: Mapping[str, float] = {}
    """Action units to add, such as {"AU12": 0.8, "AU4L": 0.3}; 1 is as much as few faces show."""
    expression: Mapping[str, str] = {}
    """Coefficients to set ("0.4") or to add to ("+0.2", "-0.2"), by name; without a side, both."""
    valence: float | None = Field(default=None, ge=-1, le=1)
    """How much more pleasant (to 1) or unpleasant (to -1) the face is to look."""
    arousal: float | None = Field(default=None, ge=-1, le=1)
    """How much more excited (to 1) or calm (to -1) the face is to look."""
    copied: Mapping[str, float] = {}
    """Coefficients of another face, which take the place of this one's, but for gaze and blink."""
    amount: float = Field(default=1.0, ge=0, le=1.5)
    source: str = "auto"
    strength: int = Field(default=500, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=50)
    steps: int = Field(default=40, ge=1, le=1000)
    sampler: RoundTripName = "ddim"
    guided: Literal["auto", "both", "back"] = "auto"
    """Guidance both ways, or on the way back alone; auto is the latter for models that hear expressions."""
    guided_levels: tuple[int, int] | None = None
    negative: str = "null"
    classifier_scale: float = Field(default=0.0, ge=0)
    blend: BlendMode = "warp"
    """"warp" moves the photo's own pixels (models that know labels alone: "delta"), "delta" adds the change of the crop
    to them, "paste" replaces them."""
    face: Literal["largest", "all"] | int = "largest"
    crop_only: bool = False
    progressive: bool = False
    seed: int = 0
    video: VideoConfig = VideoConfig()

    @property
    def mixture(self) -> dict[str, float]:
        """The weight of each emotion of the target; they add up to 1. Empty where no emotion is asked for."""
        return {} if self.emotion is None else parse_mixture(self.emotion)

    @property
    def target(self) -> ExpressionTarget:
        """What faces are to express."""
        return ExpressionTarget(
            self.mixture,
            self.amount,
            self.au,
            self.expression,
            self.valence or 0.0,
            self.arousal or 0.0,
            self.copied,
        )

    @property
    def by_coefficients(self) -> bool:
        """Whether more than an emotion is asked for: what only a model that hears expressions can do."""
        return bool(self.au or self.expression or self.copied or self.valence or self.arousal)

    @property
    def target_name(self) -> str:
        """The target in the names of files."""
        parts = [*self.mixture, *(unit.lower() for unit in self.au), *self.expression]
        parts += [name for name in ("valence", "arousal") if getattr(self, name)]
        parts += ["copy"] if self.copied else []
        return "-".join(parts)[:_LONGEST_NAME]

    @field_validator("emotion")
    @classmethod
    def _canonical_emotion(cls, value: str | None) -> str | None:
        return None if value is None else format_mixture(parse_mixture(value))

    @field_validator("au")
    @classmethod
    def _known_units(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        for name, amount in value.items():
            unit_direction(name)
            if not math.isfinite(amount):
                raise ConfigError(f"{name}={amount} is not a number", "Such as AU12=0.8")
        return {"AU" + name.strip().upper().removeprefix("AU"): amount for name, amount in value.items()}

    @field_validator("expression", mode="before")
    @classmethod
    def _known_coefficients(cls, value: Mapping[str, object]) -> Mapping[str, str]:
        for name, setting in value.items():
            coefficient_names(name)
            if not _is_number(str(setting)):
                raise ConfigError(f"{name}={setting} is not a number", "Such as jawOpen=0.4 or jawOpen=+0.2")
        return {name: str(setting).strip() for name, setting in value.items()}

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
        if self.emotion is None and not self.by_coefficients:
            raise ConfigError("no expression is asked for", "Add --emotion happy, --au AU12=0.8, or --like RESULT")
        if self.emotion is not None and self.copied:
            raise ConfigError(
                "an emotion and another face's expression cannot both be given", "Leave out --emotion or --copy-from"
            )
        if self.steps > self.strength:
            raise ValueError(f"{self.steps} steps need a strength of {self.steps} or more")
        if isinstance(self.face, int) and self.face < 1:
            raise ValueError("faces are counted from 1")
        if self.classifier_scale > 0 and (len(self.mixture) > 1 or self.amount != 1):
            raise ConfigError(
                "a classifier can pull towards one emotion alone", "Leave out --classifier, or the mixture and --amount"
            )
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


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _option(field: str, settings: Sequence[str]) -> str:
    if any(setting.partition("=")[0] == field for setting in settings):
        return f"--set {field}: "
    return f"--{field.replace('_', '-')}: "
