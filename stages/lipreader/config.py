"""Settings of the lip reader."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.lip_reader import LipReaderSizes


class LipReaderTrainConfig(StageConfig):
    """A batch is of clips. ``ctc_weight`` is the share of CTC in the loss, the decoder's cross-entropy has the rest.

    Where it is known when words are said, training begins with spans of one word and goes on to longer ones; whole
    clips come in more and more often until ``spans_until``, a share of the steps, after which there are no others.
    """

    network: LipReaderSizes = LipReaderSizes()
    loop: LoopConfig = LoopConfig(steps=100_000, batch_size=16, learning_rate=1e-3, warmup_steps=5000, decay=True)
    ctc_weight: float = Field(default=0.1, ge=0, le=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.03, ge=0)
    spans_until: float = Field(default=0.6, ge=0, le=1)
    longest_span: int = Field(default=3, ge=1)
    shift_px: int = Field(default=4, ge=0)
    """Crops of training are moved by up to so many pixels, up, down and sideways."""
    mirrored: float = Field(default=0.5, ge=0, le=1)
    """The share of clips that are seen in a mirror."""
    mask_s: float = Field(default=0.4, ge=0)
    """In each second of training clips up to so much is blackened out."""
