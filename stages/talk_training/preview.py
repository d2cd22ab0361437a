"""What a talker makes of held-out frames while it trains: figures and pictures."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.talking import FrameConditions, synthesize_frames
from stages.common.tensors import to_grid
from stages.common.training.stepper import Draws
from stages.models.first_stage import FirstStage
from stages.models.mouth_mask import below, mask_below
from stages.models.process import ForwardProcess
from stages.models.talker import Talker

_STEPS = 8
_SEED = 0
_SHOWN = 8


@torch.no_grad()
def make_frames(talker: Talker, process: ForwardProcess, draws: Draws) -> Tensor:
    """Latents of the frames of ``draws`` made from the same noise every time (DDIM, 8 steps)."""
    context_BD = talker.context(draws.get("audio"), draws["labels"], draws["landmarks"])
    context_BD = context_BD.expand(len(draws["z0"]), -1)
    noise = torch.randn(draws["z0"].shape, generator=torch.Generator().manual_seed(_SEED)).to(process.abar_T.device)
    given = FrameConditions(draws["identity"], draws["masked"], context_BD)
    return synthesize_frames(talker, process, given, lambda: noise, steps=_STEPS)


@torch.no_grad()
def masked_psnr(first_stage: FirstStage, made: Tensor, draws: Draws) -> float:
    """PSNR (dB) below the mask's edge, of all frames together, to what the first stage makes of the true latents."""
    true, pictures = (first_stage.decode(z).clamp(-1, 1) for z in (draws["z0"], made))
    masked = below(draws["tops"], true.shape[2]).expand_as(true)
    return float(-10 * ((pictures - true)[masked] / 2).square().mean().log10())


@torch.no_grad()
def frame_grid(first_stage: FirstStage, made: Tensor, draws: Draws) -> NDArray[np.uint8]:
    """Rows: the identity frame, what is given of the target, what is made, the target (all through the first stage)."""
    identity, pictures, true = (first_stage.decode(z[:_SHOWN]).cpu() for z in (draws["identity"], made, draws["z0"]))
    tops = draws["tops"][:_SHOWN].cpu()
    pictures = torch.where(below(tops, true.shape[2]), pictures, true)
    return to_grid(torch.cat([identity, mask_below(true, tops), pictures, true]), columns=len(true))
