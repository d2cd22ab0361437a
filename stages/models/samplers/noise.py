"""Noise of which every sample has its own stream, so that a picture does not depend on the batch that it is made in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class SampleNoise:
    """Standard normal noise (B, C, H, W), new at every call; sample i's stream is set by (``seed``, ``numbers[i]``).

    Drawn on the CPU, so that all devices get the same.
    """

    def __init__(self, seed: int, numbers: Sequence[int], shape_CHW: tuple[int, int, int], device: str = "cpu") -> None:
        self._streams = [torch.Generator().manual_seed(_stream_seed(seed, number)) for number in numbers]
        self._shape_CHW = shape_CHW
        self._device = device

    def __call__(self) -> Tensor:
        return torch.stack([torch.randn(self._shape_CHW, generator=g) for g in self._streams]).to(self._device)


def _stream_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])
