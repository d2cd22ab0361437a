"""What a talker hears of a sound file: features at the model's frame rate, made piece by piece.

T frames of the model's rate, C channels, w rows before and after, L = 2w + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.audio_features import AudioConfig, AudioEncoder
from stages.common.errors import BadInputError
from stages.common.media.sound import SAMPLE_RATE_HZ
from stages.common.media.speech import in_blocks, iter_speech, with_neighbours
from stages.common.silence import frame_levels, pause_frames, silent_frames
from stages.models.audio import windows

_PIECE_FRAMES = 250
_MARGIN_FRAMES = 25
"""What a piece hears before and after itself: more than any feature needs to settle."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Features (T, C) at ``fps`` (None for a model that does not listen), levels (T,), and the sound's length."""

    features_TC: Tensor | None
    levels_T: NDArray[np.float32]
    fps: Fraction
    duration_s: Fraction

    @property
    def silent_T(self) -> NDArray[np.bool_]:
        return silent_frames(self.levels_T)

    def window(self, time_s: Fraction, w: int) -> Tensor | None:
        """The rows (1, L, C) about a time, at the model's own spacing whatever the rate of the video."""
        if self.features_TC is None:
            return None
        last = len(self.features_TC) - 1
        position = min(max(float(time_s * self.fps) - 0.5, 0.0), float(last))
        low = math.floor(position)
        at = torch.tensor([low, min(low + 1, last)], device=self.features_TC.device)
        before, after = windows(self.features_TC, w, at)
        return torch.lerp(before, after, position - low)[None]


def listen(
    path: Path, audio: AudioConfig | None, fps: float, device: str = "cpu", pause_C: Sequence[float] | None = None
) -> Heard:
    """Hear the first sound track of a file, its pauses as ``pause_C`` where that is given.

    A model knows the noise of the rooms that it learned from, and would take digital silence for anything.
    Raises ``BadInputError`` as ``iter_speech``, or "too short".
    """
    rate = Fraction(fps).limit_denominator(1001)
    per_frame = Fraction(SAMPLE_RATE_HZ) / rate
    # Whole samples, so that pieces begin where frames do.
    piece, margin = (int(-(-n // per_frame.denominator) * per_frame.numerator) for n in (_PIECE_FRAMES, _MARGIN_FRAMES))
    encoder = None if audio is None else AudioEncoder(audio, device)
    features: list[NDArray[np.float32]] = []
    levels: list[NDArray[np.float32]] = []
    samples = 0
    for before, now, after in with_neighbours(in_blocks(iter_speech(path), piece), margin):
        samples += len(now)
        frames = max(round(len(now) / per_frame), 0 if levels else 1)
        if frames == 0:
            continue
        levels.append(frame_levels(now, frames))
        if encoder is not None:
            whole = np.zeros(round(frames * per_frame), np.float32)
            whole[: len(now)] = now[: len(whole)]
            first, rest = round(len(before) / per_frame), round(len(after) / per_frame)
            sound = np.concatenate([before, whole, after[: round(rest * per_frame)]])
            features.append(encoder.features(sound, first + frames + rest)[first : first + frames])
    if samples < per_frame / 2:
        raise BadInputError(f"the sound of {path} is shorter than a frame", reason="too short")
    levels_T = np.concatenate(levels)
    features_TC = _join(features, levels_T, pause_C).to(device) if features else None
    return Heard(features_TC, levels_T, rate, Fraction(samples, SAMPLE_RATE_HZ))


def _join(
    features: Sequence[NDArray[np.float32]], levels_T: NDArray[np.float32], pause_C: Sequence[float] | None
) -> Tensor:
    features_TC = np.concatenate(features)
    if pause_C is not None:
        features_TC[pause_frames(levels_T)] = pause_C
    return torch.from_numpy(features_TC)
