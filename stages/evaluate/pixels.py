"""What pairs of pictures have in common, pair by pair. Shapes: B pairs, H W pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import MissingModelError
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.common.tensors import to_model_range
from stages.evaluate.registry import LPIPS_NET
from stages.models.perceptual import LpipsDistance, PerceptualDistance

PIXEL_METRICS = ("l1", "psnr", "ssim", "lpips", "squeezenet")
Compare = Callable[[Tensor, Tensor], Tensor]
"""Two batches (B, 3, H, W) in -1..1 to one number a pair (B,)."""


class PixelMetrics:
    """Those of ``PIXEL_METRICS`` that are asked for. Raises ``MissingModelError`` when a network is not there.

    ``l1`` is of values in -1..1, as the first stage's loss is; PSNR and SSIM are piq's.
    """

    def __init__(self, names: Sequence[str], device: str = "cpu") -> None:
        self._device = device
        self._compare = {name: _load(name, device) for name in names if name in PIXEL_METRICS}

    @torch.no_grad()
    def __call__(self, a_BHWC: NDArray[np.uint8], b_BHWC: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Metric name to values (B,), for 8-bit RGB pictures of one size."""
        x, y = (to_model_range(pictures).to(self._device) for pictures in (a_BHWC, b_BHWC))
        return {name: compare(x, y).double().cpu().numpy() for name, compare in self._compare.items()}


def _load(name: str, device: str) -> Compare:
    if name == "lpips":
        try:
            return LpipsDistance(LPIPS_NET).to(device).each
        except LookupError as error:
            raise MissingModelError(str(error), "Use --metrics auto for what is here") from error
    if name == "squeezenet":
        return PerceptualDistance(load_squeezenet_keras(squeezenet_file())).to(device).each
    return {"l1": _l1, "psnr": _psnr, "ssim": _ssim}[name]


def _l1(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean(dim=(1, 2, 3))


def _psnr(x: Tensor, y: Tensor) -> Tensor:
    import piq

    values: Tensor = piq.psnr(_unit(x), _unit(y), data_range=1.0, reduction="none")
    return values


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    import piq

    values: Tensor = piq.ssim(_unit(x), _unit(y), data_range=1.0, reduction="none")
    return values


def _unit(x: Tensor) -> Tensor:
    return ((x + 1) / 2).clamp(0, 1)
