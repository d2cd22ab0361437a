"""The denoiser: a U-Net that sees the noise in latents, conditioned on an emotion (LDM; thesis 3.4.2, 4.3.3)."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from stages.models.unet import UNetConfig, build_unet


class DenoiserConfig(UNetConfig):
    """The network. Defaults are the thesis's for 32x32x3 latents: 156,760,483 parameters and the embedding.

    With ``learned_variance`` the network gives twice the channels: its prediction, and where the variance of a sampling
    step lies between its bounds (Nichol and Dhariwal 2021, eq. 15).
    """

    context_dim: int = 512
    num_classes: int = 8
    learned_variance: bool = False


class Denoiser(nn.Module):
    """diffusers' ``UNet2DConditionModel`` and a learnable context vector for each class, the last for "no class"."""

    def __init__(self, config: DenoiserConfig, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.config = config
        self.unet = unet
        self.emotion_embedding = nn.Embedding(config.num_classes + 1, config.context_dim)

    @property
    def null_class(self) -> int:
        return self.config.num_classes

    def forward(self, z_BCHW: Tensor, timesteps_B: Tensor, labels_B: Tensor) -> Tensor:
        """What the network says (B, C or 2C, H, W) of noisy latents at integer ``timesteps_B`` under ``labels_B``."""
        return self.predict(z_BCHW, timesteps_B, self.context(labels_B))

    def context(self, labels_B: Tensor) -> Tensor:
        """The context vectors (B, D) of classes."""
        context_BD: Tensor = self.emotion_embedding(labels_B)
        return context_BD

    def null_context(self, count: int) -> Tensor:
        """The context of "no class" (count, D)."""
        return self.emotion_embedding.weight[self.null_class].expand(count, -1)

    def mixed_context(self, weights_BK: Tensor) -> Tensor:
        """Weighted sums (B, D) of the context vectors of all classes (K, without "no class"); weights may be below 0.

        Weights that are 1 for a class and else 0 give its own vector to the bit, where products are in full precision.
        """
        context_BD: Tensor = weights_BK @ self.emotion_embedding.weight[: self.null_class]
        return context_BD

    def predict(self, z_BCHW: Tensor, timesteps_B: Tensor, context_BD: Tensor) -> Tensor:
        """As calling the network, under any context."""
        output: Tensor = self.unet(z_BCHW, timesteps_B, encoder_hidden_states=context_BD.unsqueeze(1)).sample
        return output


def build_denoiser(config: DenoiserConfig) -> Denoiser:
    """A randomly initialised denoiser."""
    unet = build_unet(
        config,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels * (2 if config.learned_variance else 1),
        context_dim=config.context_dim,
    )
    return Denoiser(config, unet)
