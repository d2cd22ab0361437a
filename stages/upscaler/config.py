"""Settings of the upscaler's training."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.upscaler import UpscalerConfig


class UpscalerTrainingConfig(StageConfig):
    """How the network learns what a first stage loses, in patches of the mouth and the eyes."""

    network: UpscalerConfig = UpscalerConfig()
    loop: LoopConfig = LoopConfig(
        steps=2500, batch_size=8, learning_rate=1e-3, warmup_steps=50, decay=True, gradient_clip=1.0
    )
    variants: int = Field(default=8, ge=1)
    """How many times each picture goes through the first stage, shifted, turned, scaled and mirrored."""
    patch_hw: tuple[int, int] = (32, 48)
    """Height and width of a patch, in pixels of a crop that the first stage decodes."""
    mouths: float = Field(default=0.6, ge=0, le=1)
    eyes: float = Field(default=0.3, ge=0, le=1)
    """The shares of patches round a mouth and round an eye; the rest lies anywhere."""
    max_turn_degrees: float = Field(default=6.0, ge=0)
    max_shift: float = Field(default=0.03, ge=0, le=0.2)
    max_zoom: float = Field(default=0.1, ge=0, lt=0.5)
    max_gain: float = Field(default=0.15, ge=0, lt=1)
    """Bounds of the variants: shift in crop sizes, zoom and each channel's gain as shares."""
    gradient_weight: float = Field(default=1.0, ge=0)
    sharpness_weight: float = Field(default=1.0, ge=0)
    """The weight of local contrast (``sharpness_loss``): against the blur that an l1 error alone prefers."""
    perceptual_weight: float = Field(default=0.2, ge=0)
    """The weight of SqueezeNet's distance, whose weights the cache must hold; 0 needs none."""
