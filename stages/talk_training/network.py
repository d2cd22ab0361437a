"""What is stepped: a talker, and where it is asked for a layer that reads the lips from the vector of the sound."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.common.training.stepper import Draws
from stages.models.hearing import VECTOR_DIMS
from stages.models.mouth_mask import MOUTH
from stages.models.talker import Talker

_LIP_SCALE = 8.0
"""Brings the shape of lips, in halves of a picture, to about unit size."""


class TalkNetwork(nn.Module):
    """``lips`` is None unless they are asked for.

    Vectors of sound that tell the shape of the lips are a short way to lips that follow the sound: the gradient of the
    denoiser's loss says little of them as long as it does not use them.
    """

    def __init__(self, talker: Talker, *, read_lips: bool) -> None:
        super().__init__()
        self.talker = talker
        audio = talker.config.audio
        self.lips: nn.Linear | None = None
        if read_lips and audio is not None:
            self.lips = nn.Linear(VECTOR_DIMS[audio], 2 * (MOUTH.stop - MOUTH.start))

    def forward(self, z_t: Tensor, on: Draws) -> tuple[Tensor, Tensor | None]:
        """What the talker says of noisy latents, and the loss (scalar) of reading the lips."""
        talker = self.talker
        context_BD = talker.context(on.get("audio"), on["labels"], on["landmarks"]).expand(len(z_t), -1)
        loss = None if self.lips is None else self._lip_loss(self.lips, context_BD, on["landmarks"])
        context_BD = torch.where(on["dropped"][:, None], talker.null_context(len(z_t)), context_BD)
        return talker.predict(z_t, on["timesteps"], on["identity"], on["masked"], context_BD), loss

    def _lip_loss(self, lips: nn.Linear, context_BD: Tensor, landmarks_BK2: Tensor) -> Tensor:
        """Mean squared error of the mouth's landmarks about their centre. The sound comes first in a context."""
        mouth = landmarks_BK2[:, MOUTH]
        shape = _LIP_SCALE * (mouth - mouth.mean(dim=1, keepdim=True)).flatten(1)
        return F.mse_loss(lips(context_BD[:, : lips.in_features]).float(), shape)
