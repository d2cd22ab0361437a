"""Settings of patch-autoencoder training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.patch_autoencoder import PatchAutoencoderConfig


class AutoencoderConfig(StageConfig):
    """Loss of the decoder = l1 + ``perceptual_weight`` times the perceptual distance; components are fitted first."""

    network: PatchAutoencoderConfig = PatchAutoencoderConfig()
    loop: LoopConfig = LoopConfig(steps=4000, batch_size=16, learning_rate=1e-3, validate_every=1000)
    perceptual: Literal["lpips", "squeezenet", "none"] = "squeezenet"
    perceptual_weight: float = Field(default=0.1, ge=0)
    fit_samples: int = Field(default=2000, ge=1)
    """Training pictures whose patches the components are fitted to."""
    latent_noise: float = Field(default=0.15, ge=0)
    """Most noise added to latents in training, drawn for each picture: a denoiser's latents are never exact."""
