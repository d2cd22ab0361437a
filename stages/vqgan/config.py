"""Settings of first-stage training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.first_stage import FirstStageConfig


class VqganConfig(StageConfig):
    """Loss = ``l1_weight`` l1 + ``perceptual_weight`` perceptual + ``commitment_weight`` |z_e - sg[e]|^2 +
    ``codebook_weight`` |sg[z_e] - e|^2 + adaptive adversarial term.

    The weights of commitment and codebook, 1 and 0.25, are those of the thesis's published code, and of CompVis's and
    diffusers' on which it stands; the thesis's equation 3.73 and the VQ-VAE paper have them the other way round. What
    was published, and checkpoints that are imported, were trained so. Adam hardly minds how the codebook's term is
    scaled, as nothing else trains the codes; a commitment of 1 rather than 0.25 keeps latents closer to codes, which
    suits a denoiser whose latents are quantised when they are decoded. The equation: ``commitment_weight=0.25
    codebook_weight=1``.

    The bottleneck stays continuous for ``codebook_start`` steps; then the codebook is set to encoder outputs and used.
    The discriminator joins at ``adversarial_start`` (null: never). ``perceptual`` names the network of the perceptual
    distance; ``squeezenet`` is no standard LPIPS and is recorded under its own name. ``normalize_latents`` scales
    latents to unit standard deviation (the thesis keeps them as they are).
    """

    network: FirstStageConfig = FirstStageConfig()
    loop: LoopConfig = LoopConfig(steps=215_000, batch_size=8, learning_rate=3.6e-5, validate_every=5000)
    l1_weight: float = Field(default=1.0, ge=0)
    perceptual: Literal["lpips", "squeezenet", "none"] = "lpips"
    perceptual_weight: float = Field(default=1.0, ge=0)
    commitment_weight: float = Field(default=1.0, ge=0)
    codebook_weight: float = Field(default=0.25, ge=0)
    codebook_start: int = Field(default=0, ge=0)
    adversarial_start: int | None = Field(default=None, ge=0)
    adversarial_weight: float = Field(default=0.8, ge=0)
    revive_every: int = Field(default=200, ge=1)
    normalize_latents: bool = False
