"""What is stepped: frames noised and made again by a talker, differentiably in its weights (thesis 5.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stages.common.talking import TalkingModel
from stages.common.training.stepper import Draws
from stages.models.mouth_mask import mask_below, mask_top
from stages.models.process import Estimate
from stages.models.resampler import resample_each
from stages.models.samplers import edit_timesteps_of_each


class FrameMaker(nn.Module):
    """Frames of windows (B, W, 3, S, S) to (their latents, the latents made again), both (B W, C, H, W)."""

    def __init__(self, model: TalkingModel, steps: int) -> None:
        super().__init__()
        self.model = model
        self.talker = model.talker
        self.steps = steps

    def forward(self, on: Draws) -> tuple[Tensor, Tensor]:
        """``on`` as ``ClipWindows.batch`` gives them, with ``noise`` (B, W, C, H, W) of ``levels`` (B,) in 2..999."""
        model, talker, process = self.model, self.talker, self.model.process
        count = on["x"].shape[1]
        x, landmarks, labels, noise = (on[name].flatten(0, 1) for name in ("x", "landmarks", "labels", "noise"))
        with torch.no_grad():
            z0 = model.first_stage.encode(x)
            masked = model.first_stage.encode(mask_below(x, mask_top(landmarks)))
            identity = model.first_stage.encode(on["identity"]).repeat_interleave(count, dim=0)
        audio = on["audio"].flatten(0, 1) if "audio" in on else None
        context_BD = talker.context(audio, labels, landmarks / (model.size_px / 2) - 1).expand(len(x), -1)

        def predict(z_BCHW: Tensor, timesteps_B: Tensor) -> Estimate:
            output = talker.predict(z_BCHW, timesteps_B, identity, masked, context_BD).float()  # whatever autocast does
            return process.estimate(output, z_BCHW, timesteps_B)

        timesteps_SB = edit_timesteps_of_each(on["levels"].repeat_interleave(count), self.steps)
        made = resample_each(predict, process.add_noise(z0, noise, timesteps_SB[-1]), timesteps_SB, process.abar_T)
        return z0, made
