"""What a talker learns from: frames of clips with another frame of the same clip, sound, emotion and landmarks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.audio_features import AudioEncoder, audio_of
from stages.common.clips import ClipDataset
from stages.common.shards import UNLABELLED
from stages.common.silence import frame_levels, pause_frames
from stages.common.stage import RunContext
from stages.common.training.stepper import Draws
from stages.models.audio import CHANNELS
from stages.models.mouth_mask import MOUTH, mask_top
from stages.models.talker import TalkerConfig
from stages.talk_training.latents import FrameLatents, FrameNumbers

LIP_POINTS = MOUTH.stop - MOUTH.start
_LIP_SCALE = 8.0
"""Brings the shape of lips, in halves of a picture, to about unit size."""


class TalkData:
    """One split. A row is a frame that is taken; windows of sound reach over all frames of its clip.

    ``identity_frames`` as in ``TalkTrainingConfig``; ``size_px`` is the side of the pictures.
    """

    def __init__(
        self,
        clips: ClipDataset,
        numbers: FrameNumbers,
        latents: FrameLatents,
        config: TalkerConfig,
        identity_frames: tuple[int, int],
        *,
        size_px: int,
        context: RunContext,
    ) -> None:
        self.latents = latents
        self._config = config
        self._reach = identity_frames
        taken = [len(n) for n in numbers]
        clip_N = np.repeat(np.arange(len(taken)), taken)
        self.numbers = np.concatenate(numbers)
        self._row_ends = np.cumsum(taken)
        self._row_starts = (self._row_ends - taken)[clip_N]
        self._row_ends = self._row_ends[clip_N]
        self._sound_starts = (np.cumsum(clips.lengths) - clips.lengths)[clip_N]
        every = np.concatenate([clips.landmarks(i) for i in range(len(clips))])
        landmarks = every[self._sound_starts + self.numbers]
        self.tops = torch.from_numpy(mask_top(landmarks))
        self.landmarks = torch.from_numpy(landmarks / (size_px / 2) - 1)
        mouths = every[:, MOUTH]
        shapes = (mouths - mouths.mean(axis=1, keepdims=True)) * (_LIP_SCALE / (size_px / 2))
        self._lips = torch.from_numpy(shapes.reshape(len(every), -1))
        self._clip_starts = np.repeat(np.cumsum(clips.lengths) - clips.lengths, clips.lengths)
        self._clip_ends = np.repeat(np.cumsum(clips.lengths), clips.lengths)
        labels = clips.labels[clip_N]
        self.labels = torch.from_numpy(np.where(labels == UNLABELLED, config.num_classes, labels))
        self.sound_TC = _encode_sound(clips, config, context)

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, rows: NDArray[np.int64], random: np.random.Generator) -> Draws:
        """Targets ``z0`` and what goes with them; ``random`` chooses the identity frames."""
        draws = {
            "z0": self.latents.whole(rows),
            "masked": self.latents.masked(rows),
            "identity": self.latents.whole(self.identities(rows, random)),
            "tops": self.tops[rows],
            "labels": self.labels[rows],
            "landmarks": self.landmarks[rows],
        }
        return draws | ({"audio": self.windows(rows)} if self.sound_TC is not None else {})

    def identities(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """For each row another of the same clip within reach; where there is none, the nearest to it that there is."""
        chosen = np.empty_like(rows)
        for i, row in enumerate(rows):
            candidates = np.arange(self._row_starts[row], self._row_ends[row])
            candidates = candidates[candidates != row] if len(candidates) > 1 else candidates
            offsets = self.numbers[candidates] - self.numbers[row]
            within = candidates[(offsets >= self._reach[0]) & (offsets <= self._reach[1])]
            if len(within):
                chosen[i] = random.choice(within)
            else:
                missing = np.maximum(self._reach[0] - offsets, offsets - self._reach[1])
                chosen[i] = candidates[missing.argmin()]
        return chosen

    def windows(self, rows: NDArray[np.int64]) -> Tensor:
        """Sound features (B, 2w + 1, C) about each row's frame; at the ends of a clip the edge is repeated."""
        return self._windows(self._sound_starts[rows] + self.numbers[rows])

    def lips(self, shape: tuple[int, int], random: np.random.Generator) -> Draws:
        """Of frames that are drawn from all there are: ``lip_audio`` (B, K, 2w + 1, C), ``lips`` (B, K, 40).

        ``lips`` are the mouth's landmarks about their centre, in about unit size; ``shape`` is (B, K).
        """
        frames = random.integers(len(self._lips), size=shape)
        return {"lip_audio": self._windows(frames), "lips": self._lips[frames]}

    def _windows(self, frames: NDArray[np.int64]) -> Tensor:
        assert self.sound_TC is not None, "this talker does not listen"
        w = self._config.window
        at = frames[..., None] + np.arange(-w, w + 1)
        first, last = self._clip_starts[frames][..., None], self._clip_ends[frames][..., None] - 1
        return torch.from_numpy(self.sound_TC[at.clip(first, last)])


def mean_pause(clips: ClipDataset, sound_TC: NDArray[np.float32] | None) -> tuple[float, ...] | None:
    """The mean (C,) of the rows that lie in pauses; None where there are none."""
    if sound_TC is None:
        return None
    levels = [frame_levels(clips.sound(clip), int(length)) for clip, length in enumerate(clips.lengths)]
    rows_TC = sound_TC[np.concatenate([pause_frames(levels_T) for levels_T in levels])]
    return tuple(rows_TC.mean(axis=0).tolist()) if len(rows_TC) else None


def _encode_sound(clips: ClipDataset, config: TalkerConfig, context: RunContext) -> NDArray[np.float32] | None:
    """Features of all frames of all clips, one after another; None for a talker that does not listen."""
    audio = audio_of(config)
    if audio is None:
        return None
    encoder = AudioEncoder(audio, context.device)
    rows = np.empty((int(clips.lengths.sum()), CHANNELS[audio.kind]), np.float32)
    start = 0
    with context.progress.task("sound", len(clips)) as task:
        for clip, length in enumerate(clips.lengths):
            rows[start : start + length] = encoder.encode(clips.sound_file(clip), int(length))
            start += length
            task.advance()
    return rows
