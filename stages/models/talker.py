"""The talking-face denoiser: makes the lower half of a frame anew, to sound, emotion and landmarks (thesis 5.2).

B frames, C channels, H W height and width of latents, L = 2w + 1 rows of sound, D of the context.
"""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import UNet2DConditionModel
from pydantic import Field
from torch import Tensor, nn

from stages.models.audio import AudioKind
from stages.models.hearing import VECTOR_DIMS, Hearing, HearingKind
from stages.models.mouth_mask import EYES_NOSE_JAW
from stages.models.unet import UNetConfig, build_unet

_EMOTION_DIM = 256
_LANDMARK_DIM = 128
_LANDMARKS = EYES_NOSE_JAW.stop


class TalkerConfig(UNetConfig):
    """The network. Defaults are the thesis's: wav2vec 2.0 and emotion, a context of 768 + 256.

    ``audio`` names the features, ``window`` the w of their rows t-w..t+w, ``hearing`` what makes one vector of them,
    ``audio_stretch`` as in ``SpeechFeatures``. ``landmarks`` adds the 48 that are not of the mouth (the jaw is among
    them). ``context_in_blocks`` gives the context to every residual block as well as to the attention.
    """

    audio: AudioKind | None = "wav2vec"
    audio_stretch: Literal["before", "after"] = "before"
    window: int = Field(default=8, ge=0)
    hearing: HearingKind = "attention"
    emotion: bool = True
    num_classes: int = 8
    landmarks: bool = False
    context_in_blocks: bool = False

    @property
    def context_dim(self) -> int:
        audio = VECTOR_DIMS[self.audio] if self.audio is not None else 0
        return (audio + self.emotion * _EMOTION_DIM + self.landmarks * _LANDMARK_DIM) or 1


class Talker(nn.Module):
    """A U-Net over [noisy target, identity frame, masked target] (3C channels), and what makes its context.

    Parts of the context that the configuration leaves out are None. Without any the context is one zero.
    """

    def __init__(self, config: TalkerConfig, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.config = config
        self.unet = unet
        self.conditioning = nn.ModuleDict()
        if config.audio is not None:
            self.conditioning["audio"] = Hearing(config.audio, config.window, config.hearing)
        if config.emotion:
            self.conditioning["emotion"] = nn.Embedding(config.num_classes + 1, _EMOTION_DIM)
        if config.landmarks:
            self.conditioning["landmarks"] = nn.Sequential(
                nn.Linear(2 * _LANDMARKS, _LANDMARK_DIM), nn.SiLU(), nn.Linear(_LANDMARK_DIM, _LANDMARK_DIM)
            )
        self.conditioning["null"] = _Null(config.context_dim)

    @property
    def null_class(self) -> int:
        """The label of a frame whose emotion is not known."""
        return self.config.num_classes

    def context(
        self,
        audio_BLC: Tensor | None = None,
        labels_B: Tensor | None = None,
        landmarks_BK2: Tensor | None = None,
    ) -> Tensor:
        """The context vectors (B, D) of windows of sound, emotions, and landmarks (B, 68, 2) in -1..1 of the picture.

        What the network does not use is not looked at. Raises ``ValueError`` where something that it uses is None.
        """
        given = {"audio": audio_BLC, "emotion": labels_B}
        given["landmarks"] = None if landmarks_BK2 is None else landmarks_BK2[:, EYES_NOSE_JAW].flatten(1)
        parts: list[Tensor] = []
        for name, module in self.conditioning.items():
            if name == "null":
                continue
            value = given[name]
            if value is None:
                raise ValueError(f"this talker needs {name}")
            parts.append(module(value))
        return torch.cat(parts, dim=1) if parts else self.null_context(1).new_zeros(1, 1)

    def null_context(self, count: int) -> Tensor:
        """The context of nothing (count, D), for classifier-free guidance."""
        context_BD: Tensor = self.conditioning["null"](count)
        return context_BD

    def predict(
        self, z_t_BCHW: Tensor, timesteps_B: Tensor, identity_BCHW: Tensor, masked_BCHW: Tensor, context_BD: Tensor
    ) -> Tensor:
        """What the network says (B, C, H, W) of noisy latents ``z_t_BCHW``.

        ``identity_BCHW`` are latents of another frame of the same person, ``masked_BCHW`` those of the frame to be made
        with its lower half masked (``mouth_mask``).
        """
        output: Tensor = self.unet(
            torch.cat([z_t_BCHW, identity_BCHW, masked_BCHW], dim=1),
            timesteps_B,
            encoder_hidden_states=context_BD.unsqueeze(1),
            class_labels=context_BD if self.config.context_in_blocks else None,
        ).sample
        return output


class _Null(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(dim))

    def forward(self, count: int) -> Tensor:
        return self.vector.expand(count, -1)


def build_talker(config: TalkerConfig) -> Talker:
    """A randomly initialised talker."""
    unet = build_unet(
        config,
        in_channels=3 * config.latent_channels,
        out_channels=config.latent_channels,
        context_dim=config.context_dim,
        context_in_blocks=config.context_in_blocks,
    )
    return Talker(config, unet)
