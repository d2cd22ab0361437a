"""A session's one tiny model, and sounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tiny_talker import tiny_talking_model
from support.videos import run_ffmpeg

from stages.common.talking import TalkingModel


@pytest.fixture(scope="session")
def model() -> TalkingModel:
    return tiny_talking_model()


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples -1..1 (N,) or (N, channels) as a sound file of any kind."""

    def write(name: str, samples: np.ndarray, rate_hz: int = 16_000, *options: str) -> Path:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        raw = (samples * 32767).astype("<i2").tobytes()
        run_ffmpeg("-f", "s16le", "-ar", rate_hz, "-ac", channels, "-i", "-", *options, tmp_path / name, stdin=raw)
        return tmp_path / name

    return write
