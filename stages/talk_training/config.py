"""Settings of talking-face training."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.schedule import ScheduleConfig
from stages.models.talker import TalkerConfig


class TalkTrainingConfig(StageConfig):
    """Defaults are the thesis's (5.2, 5.3). ``min_snr_gamma`` as for the denoiser of pictures.

    The identity frame is drawn between ``identity_frames`` (first and last, counted from the target's; where a clip
    ends before, from what is left), and gets Gaussian noise of standard deviation ``identity_noise`` in its latents,
    as frames that were made themselves are not quite what frames of a video are. Every ``frame_stride``-th frame of a
    clip is learnt from. ``unmasked_weight`` weighs the error above the mask, where the picture is given. With
    ``lips_weight`` a linear layer, not kept, has to read the shape of the lips from the vector of the sound, of
    ``lip_frames`` frames for each sample of a step.
    """

    network: TalkerConfig = TalkerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    loop: LoopConfig = LoopConfig(steps=360_000, batch_size=32, learning_rate=3.2e-5, validate_every=5000)
    identity_frames: tuple[int, int] = (1, 60)
    identity_noise: float = Field(default=0.0, ge=0)
    frame_stride: int = Field(default=1, ge=1)
    unmasked_weight: float = Field(default=1.0, ge=0)
    lips_weight: float = Field(default=0.0, ge=0)
    lip_frames: int = Field(default=8, ge=1)
    min_snr_gamma: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    unconditional_probability: float = Field(default=0.2, ge=0, lt=1)
    ema_decay: float = Field(default=0.9999, gt=0, lt=1)
    ema_warmup: bool = False

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.identity_frames[0] > self.identity_frames[1]:
            raise ValueError("identity_frames must be first and last")
        if self.lips_weight and self.network.audio is None:
            raise ValueError("lips_weight needs network.audio")
        return self
