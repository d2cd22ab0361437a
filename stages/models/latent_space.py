"""The spaces in which a denoiser can work: each encodes pictures into latents and decodes them."""

from __future__ import annotations

from stages.models.first_stage import FirstStage, Pixels
from stages.models.patch_autoencoder import PatchAutoencoder

LatentSpace = FirstStage | PatchAutoencoder | Pixels
