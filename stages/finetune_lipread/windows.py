"""What a talking face is tuned on: windows of consecutive frames of clips, with the sound that belongs to them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.audio_features import AudioEncoder, audio_of
from stages.common.clips import ClipDataset
from stages.common.errors import BadInputError
from stages.common.shards import UNLABELLED
from stages.common.tensors import to_model_range
from stages.common.training.stepper import Draws
from stages.finetune_lipread.config import LipTuningConfig
from stages.models.talker import TalkerConfig

_CLIPS_KEPT = 256


class ClipWindows:
    """Windows of ``frames`` frames (W below) of the clips of a split that are so long.

    Raises ``BadInputError`` when there is none, or the clips have another rate than the talker.
    """

    def __init__(
        self, clips: ClipDataset, talker: TalkerConfig, config: LipTuningConfig, *, fps: float, device: str
    ) -> None:
        self.clips = clips
        self._talker = talker
        self._config = config
        self.long_enough = np.flatnonzero(clips.lengths >= config.frames)
        if not len(self.long_enough):
            raise BadInputError(f"no clip has {config.frames} frames", "Set frames to fewer")
        if clips.fps != fps:
            raise BadInputError(f"the clips have {clips.fps:g} frames a second, the model {fps:g}")
        audio = audio_of(talker)
        if audio is not None:
            self._encoder = AudioEncoder(audio, device)
        self._sound = lru_cache(maxsize=_CLIPS_KEPT)(self._encode)

    def batch(self, numbers: NDArray[np.int64], random: np.random.Generator) -> Draws:
        """Windows of these of the long enough clips, begun where ``random`` says.

        ``x`` (B, W, 3, S, S) in -1..1, ``identity`` (B, 3, S, S) another frame, ``landmarks`` (B, W, 68, 2) in pixels,
        ``labels`` (B, W), and for a talker that listens ``audio`` (B, W, 2w + 1, C).
        """
        drawn = [self._window(int(self.long_enough[number]), random) for number in numbers]
        return {name: torch.stack([window[name] for window in drawn]) for name in drawn[0]}

    def _window(self, clip: int, random: np.random.Generator) -> Draws:
        length, count = int(self.clips.lengths[clip]), self._config.frames
        start = int(random.integers(0, length - count + 1))
        numbers = np.arange(start, start + count)
        identity = self._identity(numbers, length, random)
        pictures = to_model_range(self.clips.frames(clip, [*numbers.tolist(), identity]))
        label = int(self.clips.labels[clip])
        window = {
            "x": pictures[:-1],
            "identity": pictures[-1],
            "landmarks": torch.from_numpy(self.clips.landmarks(clip)[numbers]),
            "labels": torch.full((count,), self._talker.num_classes if label == UNLABELLED else label),
        }
        if self._talker.audio is not None:
            around = numbers[:, None] + np.arange(-self._talker.window, self._talker.window + 1)
            window["audio"] = self._sound(clip)[around.clip(0, length - 1)]
        return window

    def _identity(self, numbers: NDArray[np.int64], length: int, random: np.random.Generator) -> int:
        """A frame of the clip within reach of the first of the window, and outside the window if the clip has more."""
        every = np.arange(length)
        others = every[~np.isin(every, numbers)]
        candidates = others if len(others) else every
        first, last = numbers[0] + np.array(self._config.identity_frames)
        missing = np.maximum(np.maximum(first - candidates, candidates - last), 0)
        return int(random.choice(candidates[missing == missing.min()]))

    def _encode(self, clip: int) -> Tensor:
        return torch.from_numpy(self._encoder.encode(self.clips.sound_file(clip), int(self.clips.lengths[clip])))
