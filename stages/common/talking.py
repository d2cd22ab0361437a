"""A loaded talking-face model, and how frames are made with it in few steps (thesis 5.2.4).

B frames, C channels, H W height and width of latents, D of the context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stages.common.checkpoint import load_latent_space, load_schedule_config
from stages.common.manifest import read_manifest
from stages.common.talker_checkpoint import load_talker, load_talker_info
from stages.models.guidance import classifier_free_guidance
from stages.models.latent_space import LatentSpace
from stages.models.process import ForwardProcess, forward_process
from stages.models.sampler_names import SamplerName
from stages.models.samplers import Predict, sample, sampler_timesteps
from stages.models.talker import Talker


@dataclass(frozen=True)
class TalkingModel:
    """Everything that makes frames of ``fps`` a second; pictures are square crops in -1..1.

    ``pause_C`` as in ``TalkerInfo``.
    """

    first_stage: LatentSpace
    talker: Talker
    process: ForwardProcess
    fps: float
    artifact_id: str
    device: str
    pause_C: tuple[float, ...] | None = None

    @property
    def size_px(self) -> int:
        return self.first_stage.config.size_px

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture's latents."""
        config = self.talker.config
        return config.latent_channels, config.latent_size, config.latent_size


def load_talking_model(root: Path, device: str = "cpu") -> TalkingModel:
    """Read a model folder. Raises ``MissingModelError`` when a part of it is absent or wrong."""
    info = load_talker_info(root)
    return TalkingModel(
        first_stage=load_latent_space(root, device),
        talker=load_talker(root, device),
        process=forward_process(load_schedule_config(root)).to(device),
        fps=info.fps,
        artifact_id=read_manifest(root / "manifest.json").artifact_id,
        device=device,
        pause_C=info.pause,
    )


class FrameConditions(NamedTuple):
    """What frames are made from: latents of another frame of the person, those of the masked frame itself, contexts."""

    identity_BCHW: Tensor
    masked_BCHW: Tensor
    context_BD: Tensor


def predict_frames(
    talker: Talker, process: ForwardProcess, given: FrameConditions, guidance_scale: float = 1.0
) -> Predict:
    """The talker under its conditions as samplers call it; away from its null context by ``guidance_scale``."""
    context_BD = given.context_BD
    scales_B = torch.full((len(context_BD),), guidance_scale, device=context_BD.device)
    return classifier_free_guidance(_Frames(talker, given), process, context_BD, scales_B)


@torch.no_grad()
def synthesize_frames(
    talker: Talker,
    process: ForwardProcess,
    given: FrameConditions,
    noise: Callable[[], Tensor],
    *,
    steps: int = 8,
    sampler: SamplerName = "ddim",
    guidance_scale: float = 1.0,
) -> Tensor:
    """Latents (B, C, H, W) of frames, each on its own, from pure ``noise()`` of the same shape.

    An ancestral sampler calls ``noise`` once more for every step.
    """
    predict = predict_frames(talker, process, given, guidance_scale)
    timesteps = sampler_timesteps(sampler, steps, process.abar_T)
    return sample(sampler, predict, noise(), timesteps, process.abar_T, noise=noise)


@dataclass(frozen=True)
class _Frames:
    """The talker with all of its input but noise and context given; guidance evaluates every frame twice."""

    talker: Talker
    given: FrameConditions

    def null_context(self, count: int) -> Tensor:
        return self.talker.null_context(count)

    def predict(self, z_BCHW: Tensor, timesteps_B: Tensor, context_BD: Tensor) -> Tensor:
        times = len(z_BCHW) // len(self.given.context_BD)
        identity, masked = (x.repeat(times, 1, 1, 1) for x in (self.given.identity_BCHW, self.given.masked_BCHW))
        return self.talker.predict(z_BCHW, timesteps_B, identity, masked, context_BD).float()  # whatever autocast does
