"""One step of the decoder's training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.autoencoder.config import AutoencoderConfig
from stages.common.clip_frames import PictureData
from stages.common.tensors import mirror_some, to_grid, to_model_range
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.models.patch_autoencoder import PatchAutoencoder

_VALIDATION_LIMIT = 512
_SHOWN = 8


class AutoencoderTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``PatchAutoencoder`` whose components are fitted."""

    def __init__(
        self,
        model: PatchAutoencoder,
        perceptual: nn.Module | None,
        config: AutoencoderConfig,
        data: tuple[PictureData, PictureData],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.model = model
        self.perceptual = perceptual.to(stepper.device) if perceptual is not None else None
        optimizer = torch.optim.AdamW(model.parameters(), config.loop.learning_rate, weight_decay=0.0)
        self.network, self.optimizer = stepper.prepare(_Reconstruct(model), optimizer)
        self.train_data, self.val_data = data
        self.order = SampleOrder(self.train_data.labels, config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        network = self.config.network
        shape = (self.config.loop.batch_size, network.components, network.latent_size, network.latent_size)
        sigma = self.config.latent_noise * torch.rand(shape[0], 1, 1, 1, generator=random)
        noise = (sigma * torch.randn(shape, generator=random))[self.own]
        draws = {"x": self.read(step), "noise": noise}
        return self.stepper.descend(self.network, self.optimizer, draws, self._loss, learning_rate)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """PSNR (dB) of the decoder and of the components alone, and l1, of exact latents."""
        squared = linear = l1 = 0.0
        count = min(len(self.val_data), _VALIDATION_LIMIT)
        for indices in even_batches(np.arange(count), self.config.loop.batch_size):
            x = to_model_range(self.val_data.batch(indices)).to(self.stepper.device)
            z = self.model.encode(x)
            error = self.model.decode(z).clamp(-1, 1) - x
            squared += float(error.square().mean(dim=(1, 2, 3)).sum()) / count
            linear += float((self.model.project(z).clamp(-1, 1) - x).square().mean(dim=(1, 2, 3)).sum()) / count
            l1 += float(error.abs().mean(dim=(1, 2, 3)).sum()) / count
        return {"val_psnr_db": _psnr(squared), "val_linear_psnr_db": _psnr(linear), "val_l1": l1}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_l1"]

    @torch.no_grad()
    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Held-out pictures above, their reconstructions below."""
        x = to_model_range(self.val_data.batch(range(min(len(self.val_data), _SHOWN))))
        decoded = self.model.decode(self.model.encode(x.to(self.stepper.device))).cpu()
        return {"reconstructions": to_grid(torch.cat([x, decoded]), columns=len(x))}

    def samples(self, step: int) -> str:
        return ", ".join(self.train_data.keys[i] for i in self.order.indices(step))

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _read(self, step: int) -> Tensor:
        pictures = self.train_data.batch(self.order.indices(step)[self.own])
        return mirror_some(to_model_range(pictures), self.order.mirrored(step)[self.own])

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        decoded = self.network(on["x"], on["noise"]).float()
        shown = {"l1": F.l1_loss(decoded, on["x"])}
        loss = shown["l1"]
        if self.perceptual is not None:
            shown["perceptual"] = self.perceptual(decoded, on["x"])
            loss = loss + self.config.perceptual_weight * shown["perceptual"]
        return loss, shown


class _Reconstruct(nn.Module):
    """Decode noisy latents of pictures, as one module so that several processes can share its gradients."""

    def __init__(self, model: PatchAutoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.model.decode(self.model.encode(x) + noise)


def _psnr(mean_square: float) -> float:
    """Of pictures whose range is 2."""
    return float(-10 * np.log10(mean_square / 4))
