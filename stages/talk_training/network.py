"""What is stepped: a talker, and where it is asked for a layer that reads the lips from the vector of the sound."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.common.training.stepper import Draws
from stages.models.hearing import VECTOR_DIMS
from stages.models.talker import Talker
from stages.talk_training.data import LIP_POINTS


class TalkNetwork(nn.Module):
    """``lips`` is None unless they are asked for.

    Vectors of sound that tell the shape of the lips are a short way to lips that follow the sound: the gradient of the
    denoiser's loss says little of them as long as it does not use them. It needs no latents, so many frames serve.
    """

    def __init__(self, talker: Talker, *, read_lips: bool) -> None:
        super().__init__()
        self.talker = talker
        audio = talker.config.audio
        self.lips = nn.Linear(VECTOR_DIMS[audio], 2 * LIP_POINTS) if read_lips and audio is not None else None

    def forward(self, z_t: Tensor, on: Draws) -> tuple[Tensor, Tensor | None]:
        """What the talker says of noisy latents, and the loss (scalar) of reading the lips."""
        talker = self.talker
        context_BD = talker.context(on.get("audio"), on["labels"], on["landmarks"]).expand(len(z_t), -1)
        context_BD = torch.where(on["dropped"][:, None], talker.null_context(len(z_t)), context_BD)
        output = talker.predict(z_t, on["timesteps"], on["identity"], on["masked"], context_BD)
        if self.lips is None:
            return output, None
        heard = talker.conditioning["audio"](on["lip_audio"].flatten(0, 1))
        return output, F.mse_loss(self.lips(heard).float(), on["lips"].flatten(0, 1))
