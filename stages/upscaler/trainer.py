"""One step of the upscaler's training, and how its mouths compare with bicubic ones on held-out people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.common.tensors import to_grid, to_model_range
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder
from stages.common.training.stepper import Draws, Stepper
from stages.models.upscaler import Upscaler
from stages.upscaler.config import UpscalerTrainingConfig
from stages.upscaler.pairs import MOUTH, FacePairs, corner_at, draw_corner

_PATCH_STREAM = 7
_SHOWN = 6


class UpscalerTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for an ``Upscaler``."""

    def __init__(
        self,
        model: Upscaler,
        perceptual: nn.Module | None,
        config: UpscalerTrainingConfig,
        data: tuple[FacePairs, FacePairs],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.model, self.config, self.stepper, self.seed = model, config, stepper, seed
        self.perceptual = perceptual.to(stepper.device) if perceptual is not None else None
        self.train_data, self.val_data = data
        self.order = SampleOrder(np.zeros(len(self.train_data), np.int64), config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)
        optimizer = torch.optim.Adam(model.parameters(), config.loop.learning_rate, betas=(0.9, 0.99))
        self.network, self.optimizer = stepper.prepare(model, optimizer)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        small, large = self.read(step)
        self.model.train()
        draws = {"small": small, "large": large}
        return self.stepper.descend(self.network, self.optimizer, draws, self._loss, learning_rate)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Of mouths: l1, PSNR (dB) and sharpness (Laplacian energy as a share of the real one), and bicubic's."""
        small, large = self._mouths(range(len(self.val_data)))
        self.model.eval()
        made = torch.cat([self.model(part.to(self.stepper.device)).cpu() for part in small.split(16)])
        plain = F.interpolate(small, scale_factor=self.model.config.factor, mode="bicubic", align_corners=False)
        return {
            "val_l1": float(F.l1_loss(made, large)),
            "val_psnr_db": psnr_db(made, large),
            "val_sharpness": sharpness(made) / sharpness(large),
            "val_psnr_bicubic_db": psnr_db(plain.clamp(-1, 1), large),
            "val_sharpness_bicubic": sharpness(plain) / sharpness(large),
        }

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_l1"]

    @torch.no_grad()
    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Held-out mouths: bicubic above, the network's, and real ones below."""
        small, large = self._mouths(range(min(len(self.val_data), _SHOWN)))
        self.model.eval()
        made = self.model(small.to(self.stepper.device)).cpu()
        plain = F.interpolate(small, scale_factor=self.model.config.factor, mode="bicubic", align_corners=False)
        return {"mouths": to_grid(torch.cat([plain, made, large]), columns=len(small))}

    def samples(self, step: int) -> str:
        keys, variants = self.train_data.data.keys, self.train_data.variants
        return ", ".join(keys[int(i) // variants] for i in self.order.indices(step))

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _read(self, step: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([self.seed, step, _PATCH_STREAM])
        indices = self.order.indices(step)
        corners = [draw_corner(self.config, self.train_data.small_px, random) for _ in indices]
        return self._patches(self.train_data, [int(i) for i in indices[self.own]], corners[self.own])

    def _mouths(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        corner = corner_at(MOUTH, self.config.patch_hw, self.val_data.small_px)
        return self._patches(self.val_data, list(indices), [corner] * len(indices))

    def _patches(
        self, data: FacePairs, indices: Sequence[int], corners: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Patches (B, 3, h, w) in -1..1, small and large."""
        height, width = self.config.patch_hw
        factor = self.model.config.factor
        small, large = [], []
        for index, (y, x) in zip(indices, corners, strict=True):
            pair = data[index]
            small.append(pair.small_SSC[y : y + height, x : x + width])
            large.append(pair.large_LLC[factor * y : factor * (y + height), factor * x : factor * (x + width)])
        return to_model_range(small), to_model_range(large)

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        made, real = self.network(on["small"]).float(), on["large"]
        shown = {"l1": F.l1_loss(made, real), "gradient": gradient_loss(made, real)}
        shown["sharpness"] = sharpness_loss(made, real)
        loss = shown["l1"] + self.config.gradient_weight * shown["gradient"]
        loss = loss + self.config.sharpness_weight * shown["sharpness"]
        if self.perceptual is not None:
            shown["perceptual"] = self.perceptual(made, real)
            loss = loss + self.config.perceptual_weight * shown["perceptual"]
        return loss, {"loss": loss, **shown}


def gradient_loss(made_BCHW: Tensor, real_BCHW: Tensor) -> Tensor:
    """The l1 error of horizontal and vertical differences."""
    return sum(
        (F.l1_loss(made_BCHW.diff(dim=axis), real_BCHW.diff(dim=axis)) for axis in (2, 3)),
        start=made_BCHW.new_zeros(()),
    )


def sharpness_loss(made_BCHW: Tensor, real_BCHW: Tensor, window: int = 9) -> Tensor:
    """The l1 error of the local contrast of fine detail: it may lie a little aside, but not be missing.

    Local contrast is the root of the mean square, over a window, of what a 5 px box blur takes away.
    """

    def contrast(x_BCHW: Tensor) -> Tensor:
        luma = x_BCHW.mean(dim=1, keepdim=True)
        detail = luma - F.avg_pool2d(luma, 5, stride=1, padding=2, count_include_pad=False)
        return (F.avg_pool2d(detail.square(), window, stride=window // 2) + 1e-5).sqrt()

    return F.l1_loss(contrast(made_BCHW), contrast(real_BCHW))


def sharpness(x_BCHW: Tensor) -> float:
    """Mean squared Laplacian of the grey pictures."""
    luma = x_BCHW.mean(dim=1, keepdim=True)
    kernel = luma.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return float(F.conv2d(luma, kernel).square().mean())


def psnr_db(made_BCHW: Tensor, real_BCHW: Tensor) -> float:
    return float(10 * torch.log10(4 / F.mse_loss(made_BCHW, real_BCHW)))
