"""Settings of the emotion classifier."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.emotion_classifier import EmotionClassifierConfig


class EmotionConfig(StageConfig):
    """``class_balance`` as in ``SampleOrder``; ``max_shift`` (part of the side) and ``max_gain`` bound augmentation."""

    network: EmotionClassifierConfig = EmotionClassifierConfig()
    loop: LoopConfig = LoopConfig(steps=20_000, batch_size=128, learning_rate=1e-3, warmup_steps=100, decay=True)
    class_balance: float = Field(default=0.5, ge=0, le=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_shift: float = Field(default=0.06, ge=0, le=0.5)
    max_gain: float = Field(default=0.3, ge=0, le=1)
