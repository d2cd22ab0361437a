"""One person's mouth, frame after frame: each frame that was made is the identity frame of the next (thesis 5.2.4).

B people, L landmarks, S crop size, C channels, H W of pictures and of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Makes the crops of one frame after another, of one person at a time; another track begins anew."""

    def __init__(self, model: TalkingModel, heard: Heard, config: TalkConfig) -> None:
        self.size_px, self.blend = model.size_px, config.blend
        self._model, self._mouths = model, Mouths(model, [heard], config)
        self._track: int | None = None

    @torch.no_grad()
    def speak(
        self, crop_SSC: NDArray[np.uint8], landmarks: NDArray[np.float64], track: int, time_s: Fraction
    ) -> Spoken:
        """The frame of ``time_s`` of the sound, from the source's crop with its landmarks (68, 2) in crop pixels."""
        x = to_model_range([crop_SSC]).to(self._model.device)
        points = torch.from_numpy(landmarks.astype(np.float32))[None].to(self._model.device)
        if track != self._track:
            self._track = track
            self._mouths.meet(x)
        made, top_B = self._mouths.make(x, points, time_s)
        first_stage = self._model.first_stage
        old = first_stage.decode(first_stage.encode(x)) if self.blend == "delta" else x
        return Spoken(to_crops(made)[0], to_crops(old)[0], float(top_B[0]))


class Mouths:
    """B people side by side, each with a sound of their own; what goes from one frame to the next is kept here."""

    def __init__(self, model: TalkingModel, heards: Sequence[Heard], config: TalkConfig) -> None:
        self._model, self._heards, self._config = model, heards, config
        self._noise = FrameNoise(config.seed, config.noise_memory, model.latent_shape, model.device)

    @torch.no_grad()
    def meet(self, x_BCHW: Tensor) -> None:
        """Begin with these frames as references, in -1..1."""
        self._reference = self._identity = self._model.first_stage.encode(x_BCHW)
        self._since = 0

    @torch.no_grad()
    def make(self, x_BCHW: Tensor, points_BL2: Tensor, time_s: Fraction) -> tuple[Tensor, Tensor]:
        """The frames of a time, from the source's with their landmarks in pixels, and the first rows of their masks."""
        model, config, top_B = self._model, self._config, mask_top(points_BL2)
        noise = self._noise.next_frame()
        z = synthesize_frames(
            model.talker,
            model.process,
            FrameConditions(
                self._next_identity(),
                model.first_stage.encode(mask_below(x_BCHW, top_B)),
                self._context(points_BL2, time_s),
            ),
            lambda: noise().expand(len(x_BCHW), -1, -1, -1),
            steps=config.steps,
            sampler=config.sampler,
            guidance_scale=config.guidance,
        )
        made = model.first_stage.decode(z).clamp(-1, 1)
        # Above the mask the frame is known, so that errors add up nowhere but in what was made.
        self._identity = model.first_stage.encode(torch.where(below(top_B, x_BCHW.shape[2]), made, x_BCHW))
        return made, top_B

    def _next_identity(self) -> Tensor:
        every, self._since = self._config.anchor_every, self._since + 1
        if every and self._since % every == 0:
            return self._reference
        return torch.lerp(self._identity, self._reference, self._config.anchor)

    def _context(self, points_BL2: Tensor, time_s: Fraction) -> Tensor:
        talker, emotion = self._model.talker, self._config.emotion
        label = talker.null_class if emotion is None else EMOTIONS.index(emotion)
        heard = [window for each in self._heards if (window := each.window(time_s, talker.config.window)) is not None]
        context_BD = talker.context(
            torch.cat(heard) if heard else None,
            torch.full((len(points_BL2),), label, device=points_BL2.device),
            points_BL2 / (self._model.size_px / 2) - 1,
        )
        return context_BD.expand(len(points_BL2), -1)


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
