"""The denoiser: a U-Net that sees the noise in latents, under a condition (LDM; thesis 3.4.2, 4.3.3)."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from pydantic import Field
from torch import Tensor, nn

from stages.models.condition import Condition, Context, ExpressionEmbedding, fold_geometry
from stages.models.unet import UNetConfig, build_unet


class DenoiserConfig(UNetConfig):
    """The network. Defaults are the thesis's for 32x32x3 latents: 156,760,483 parameters and the embedding.

    With ``learned_variance`` the network gives twice the channels: its prediction, and where the variance of a sampling
    step lies between its bounds (Nichol and Dhariwal 2021, eq. 15).
    """

    context_dim: int = 512
    num_classes: int = 8
    learned_variance: bool = False
    coefficients: int = Field(default=0, ge=0)
    """How many expression coefficients the network hears; 0 is none."""
    identity: int = Field(default=0, ge=0)
    """How many numbers of an identity's embedding the network hears; 0 is none."""
    geometry_maps: int = Field(default=0, ge=0)
    """How many maps of the face's geometry lie beside the latents; 0 is none."""
    geometry_px: int = Field(default=64, ge=1)
    context_in_blocks: bool = False
    """Whether the condition scales and shifts every residual block, besides the cross-attention."""

    @property
    def hears_expression(self) -> bool:
        """Whether faces are described by more than a class."""
        return self.coefficients > 0


class Denoiser(nn.Module):
    """diffusers' ``UNet2DConditionModel``, a learnable context vector for each class (the last for "no class"), and the
    tokens of coefficients and identity where the network hears them.

    A tensor of labels (B,) stands for the condition that is nothing but them.
    """

    def __init__(self, config: DenoiserConfig, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.config = config
        self.unet = unet
        self.emotion_embedding = nn.Embedding(config.num_classes + 1, config.context_dim)
        self.expression_embedding = (
            ExpressionEmbedding(config.coefficients, config.identity, config.context_dim)
            if config.coefficients or config.identity
            else None
        )

    @property
    def null_class(self) -> int:
        return self.config.num_classes

    def forward(self, z_BCHW: Tensor, timesteps_B: Tensor, condition: Condition | Tensor) -> Tensor:
        """What the network says (B, C or 2C, H, W) of noisy latents at integer ``timesteps_B`` under a condition."""
        return self.predict(z_BCHW, timesteps_B, self.context(condition))

    def context(self, condition: Condition | Tensor) -> Context:
        """A condition as the U-Net takes it."""
        if isinstance(condition, Tensor):
            condition = Condition(condition)
        return self._context(self.emotion_embedding(condition.labels_B), condition)

    def null_context(self, count: int) -> Context:
        """The context of which nothing is known."""
        return self.context(torch.full((count,), self.null_class, device=self.emotion_embedding.weight.device))

    def mixed_context(self, weights_BK: Tensor) -> Context:
        """Weighted sums of the context vectors of all classes (K, without "no class"); weights may be below 0.

        Weights that are 1 for a class and else 0 give its own vector to the bit, where products are in full precision.
        """
        labels_B = torch.full((len(weights_BK),), self.null_class, device=weights_BK.device)
        return self._context(weights_BK @ self.emotion_embedding.weight[: self.null_class], Condition(labels_B))

    def predict(self, z_BCHW: Tensor, timesteps_B: Tensor, context: Context) -> Tensor:
        """As calling the network, under any context."""
        if context.maps_BCHW is not None:
            z_BCHW = torch.cat([z_BCHW, context.maps_BCHW.to(z_BCHW.dtype)], dim=1)
        output: Tensor = self.unet(
            z_BCHW, timesteps_B, encoder_hidden_states=context.tokens_BND, class_labels=context.vector_BD
        ).sample
        return output

    def _context(self, emotion_BD: Tensor, condition: Condition) -> Context:
        tokens_BND = emotion_BD.unsqueeze(1)
        if self.expression_embedding is not None:
            tokens_BND = torch.cat([tokens_BND, self.expression_embedding(condition)], dim=1)
        vector_BD = tokens_BND.mean(dim=1) if self.config.context_in_blocks else None
        return Context(tokens_BND, vector_BD, self._maps(condition, tokens_BND.device))

    def _maps(self, condition: Condition, device: torch.device) -> Tensor | None:
        config = self.config
        if not config.geometry_maps:
            return None
        geometry_BGSS = condition.geometry_BGSS
        if geometry_BGSS is None:
            shape = (len(condition.labels_B), config.geometry_maps, config.geometry_px, config.geometry_px)
            geometry_BGSS = torch.zeros(shape, device=device)
        return fold_geometry(geometry_BGSS, config.latent_size)


def build_denoiser(config: DenoiserConfig) -> Denoiser:
    """A randomly initialised denoiser."""
    folded = config.geometry_maps * (config.geometry_px // config.latent_size) ** 2
    unet = build_unet(
        config,
        in_channels=config.latent_channels + folded,
        out_channels=config.latent_channels * (2 if config.learned_variance else 1),
        context_dim=config.context_dim,
        context_in_blocks=config.context_in_blocks,
    )
    return Denoiser(config, unet)
