"""One person's mouth, frame after frame: each frame that was made is the identity frame of the next (thesis 5.2.4).

S crop size, C channels, H W of latents.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.emotions import EMOTIONS
from stages.common.talking import FrameConditions, TalkingModel, synthesize_frames
from stages.common.tensors import to_crops, to_model_range
from stages.models.mouth_mask import below, mask_below, mask_top
from stages.models.samplers import SampleNoise
from stages.talk.config import TalkConfig
from stages.talk.listening import Heard


class Spoken(NamedTuple):
    """Crops (S, S, 3) in -1..1: the frame that was made, what the first stage makes of the source's, and its mask's top
    row."""

    made_SSC: NDArray[np.float32]
    reconstruction_SSC: NDArray[np.float32]
    top_px: float


class Speaker:
    """Makes the crops of one frame after another; what goes from one to the next is kept here."""

    def __init__(self, model: TalkingModel, heard: Heard, config: TalkConfig) -> None:
        self.size_px, self.blend = model.size_px, config.blend
        self._model, self._heard, self._config = model, heard, config
        self._noise = FrameNoise(config.seed, config.noise_memory, model.latent_shape, model.device)
        self._track: int | None = None
        self._since = 0

    @torch.no_grad()
    def speak(
        self, crop_SSC: NDArray[np.uint8], landmarks: NDArray[np.float64], track: int, time_s: Fraction
    ) -> Spoken:
        """The frame of ``time_s`` of the sound, from the source's crop with its landmarks (68, 2) in crop pixels."""
        model, config = self._model, self._config
        points = torch.from_numpy(landmarks.astype(np.float32))[None].to(model.device)
        x, top_B = to_model_range([crop_SSC]).to(model.device), mask_top(points)
        whole = model.first_stage.encode(x) if config.blend == "delta" or track != self._track else None
        if whole is not None and track != self._track:
            self._track, self._reference, self._identity, self._since = track, whole, whole, 0
        z = synthesize_frames(
            model.talker,
            model.process,
            FrameConditions(
                self._next_identity(), model.first_stage.encode(mask_below(x, top_B)), self._context(points, time_s)
            ),
            self._noise.next_frame(),
            steps=config.steps,
            sampler=config.sampler,
            guidance_scale=config.guidance,
        )
        made = model.first_stage.decode(z).clamp(-1, 1)
        # Above the mask the frame is known, so that errors add up nowhere but in what was made.
        self._identity = model.first_stage.encode(torch.where(below(top_B, x.shape[2]), made, x))
        old = x if whole is None or config.blend == "paste" else model.first_stage.decode(whole)
        return Spoken(to_crops(made)[0], to_crops(old)[0], float(top_B[0]))

    def _next_identity(self) -> Tensor:
        every, self._since = self._config.anchor_every, self._since + 1
        if every and self._since % every == 0:
            return self._reference
        return torch.lerp(self._identity, self._reference, self._config.anchor)

    def _context(self, points: Tensor, time_s: Fraction) -> Tensor:
        talker, emotion = self._model.talker, self._config.emotion
        label = talker.null_class if emotion is None else EMOTIONS.index(emotion)
        return talker.context(
            self._heard.window(time_s, talker.config.window),
            torch.tensor([label], device=points.device),
            points / (self._model.size_px / 2) - 1,
        )


class FrameNoise:
    """Unit noise for frame after frame, each like the one before: eps' = m eps + sqrt(1 - m^2) fresh."""

    def __init__(self, seed: int, memory: float, shape_CHW: tuple[int, int, int], device: str) -> None:
        self._fresh = SampleNoise(seed, [0], shape_CHW, device)
        self._on_the_way = SampleNoise(seed, [1], shape_CHW, device)
        self._memory = memory
        self._eps: Tensor | None = None

    def next_frame(self) -> Callable[[], Tensor]:
        """Gives the noise that a frame starts from, then what an ancestral sampler adds on its way."""
        if self._eps is None:
            self._eps = self._fresh()
        elif self._memory < 1:
            self._eps = self._memory * self._eps + (1 - self._memory**2) ** 0.5 * self._fresh()
        start = [self._eps]
        return lambda: start.pop() if start else self._on_the_way()
