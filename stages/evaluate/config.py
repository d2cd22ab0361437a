"""What an evaluation measures, and on which pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion
from stages.common.face.clip_tracker import TrackingConfig
from stages.common.face.detect import DetectorName

AUTO = "auto"

_PAIRED = (
    "accuracy_hsemotion", "accuracy_fer2013", "accuracy_own",
    "psnr", "ssim", "l1", "lpips", "squeezenet", "csim", "csim_dlib",
)  # fmt: skip


class MetricsConfig(StageConfig):
    """``metrics`` by name; ``missing`` is what ``auto`` would have measured too, each with the reason why it could not.

    ``measurable`` are the metrics that this evaluation knows, in the order of its columns.
    """

    measurable: ClassVar[tuple[str, ...]] = ()

    metrics: tuple[str, ...] = (AUTO,)
    missing: Mapping[str, str] = {}


class ReconstructionConfig(MetricsConfig):
    """``limit``: so many faces of the split, always the same ones, whatever their order."""

    measurable: ClassVar[tuple[str, ...]] = ("l1", "lpips", "squeezenet", "psnr", "ssim", "rfid", "rfd_squeezenet")

    split: str = "test"
    limit: int | None = Field(default=None, ge=1)


class FoldersConfig(MetricsConfig):
    """``targets`` says for each system by name which emotion its pictures show; None: one folder for each emotion."""

    measurable: ClassVar[tuple[str, ...]] = _PAIRED

    targets: Mapping[str, str | None]

    @field_validator("targets")
    @classmethod
    def _canonical(cls, value: Mapping[str, str | None]) -> Mapping[str, str | None]:
        return {name: parse_emotion(target) if target else None for name, target in value.items()}


class EditGridConfig(MetricsConfig):
    """All combinations of targets, strengths (t0), guidance scales and steps. The same guidance runs both ways.

    ``source`` is the expression that a face is inverted under: its label, or what the model's classifier says.
    ``targets`` empty: those of the thesis's six that the model can do. ``examples``: so many faces are kept as
    pictures, beside what became of them.
    """

    measurable: ClassVar[tuple[str, ...]] = _PAIRED

    split: str = "test"
    limit: int | None = Field(default=None, ge=1)
    source: Literal["label", "auto"] = "label"
    targets: tuple[str, ...] = ()
    strengths: tuple[int, ...] = (500,)
    guidance_scales: tuple[float, ...] = (3.0,)
    steps: tuple[int, ...] = (40,)
    examples: int = Field(default=6, ge=0)

    @field_validator("targets")
    @classmethod
    def _canonical(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_emotion(target) for target in value)

    @model_validator(mode="after")
    def _check_grid(self) -> EditGridConfig:
        for name in ("strengths", "guidance_scales", "steps"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be some numbers, each once")
        if not all(1 <= strength <= 1000 for strength in self.strengths):
            raise ValueError("strengths must be in 1..1000")
        if not all(1 <= steps <= min(self.strengths) for steps in self.steps):
            raise ValueError("steps must be in 1..strength")
        return self


class GenerationConfig(MetricsConfig):
    """``limit``: so many pictures of each emotion on either side. ``emotions`` empty: all that are generated.

    ``together_limit``: so many real faces of each emotion where all emotions are taken together (the thesis: 3750), so
    that the real side is as balanced as the generated one.
    """

    measurable: ClassVar[tuple[str, ...]] = (
        "fid", "kid", "precision", "recall", "is",
        "fd_squeezenet", "kd_squeezenet", "precision_squeezenet", "recall_squeezenet",
    )  # fmt: skip

    split: str = "train"
    emotions: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    together_limit: int | None = Field(default=None, ge=1)

    @field_validator("emotions")
    @classmethod
    def _canonical(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_emotion(emotion) for emotion in value)


class TalkingConfig(MetricsConfig):
    """``systems`` by name, each with videos of the same clips; ``limit``: so many clips, always the same ones.

    ``fps`` at which folders of videos are read: that of the real clips' artifact where there is none, else 25.
    """

    split: str = "test"
    limit: int | None = Field(default=None, ge=1)
    systems: tuple[str, ...] = ()
    fps: float | None = Field(default=None, ge=1, le=120)
    detector: DetectorName = "auto"
    tracking: TrackingConfig = TrackingConfig(several="largest")
    max_rejected: float = Field(default=0.5, ge=0, le=1)


class LipreadConfig(TalkingConfig):
    """``silent`` are the systems of which there are also clips that silence speaks.

    ``open_above``: a mouth counts as open there. Of the frames of GRID speaker 1 (dlib's landmarks), 10 % are above 0.1
    before and after the sentence, and 88 % within it.
    """

    measurable: ClassVar[tuple[str, ...]] = ("wer", "cer", "werv", "cerv", "lipscore", "lipleak", "lip_opening")

    silent: tuple[str, ...] = ()
    open_above: float = Field(default=0.1, gt=0)


class SyncConfig(TalkingConfig):
    """How sound and mouth fit in time."""

    measurable: ClassVar[tuple[str, ...]] = (
        "syncnet_offset", "syncnet_confidence", "syncnet_distance",
        "lag", "lag_spread", "lag_correlation", "lag_peak_ratio",
    )  # fmt: skip
