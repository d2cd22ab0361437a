"""One step of tuning: sample inverted pictures back under the target, and follow the guide (thesis 4.5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.tensors import to_grid
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.common.training.tuned import TunedWeights
from stages.finetune.config import FinetuneConfig
from stages.finetune.noise import InvertedPictures
from stages.models.resampler import Resampler
from stages.models.samplers import edit_timesteps

_SHOWN = 16


@dataclass(frozen=True)
class Losses:
    """``guide`` (edits, photos, labels) and ``identity`` (edits, photos) give means over the batch."""

    guide: nn.Module
    identity: nn.Module | None


class FinetuneTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for those weights of a denoiser that want a gradient."""

    def __init__(
        self,
        editor: Editor,
        losses: Losses,
        config: FinetuneConfig,
        train: InvertedPictures,
        val: InvertedPictures,
        *,
        guidance: float,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.first_stage = editor.first_stage
        self.losses = losses
        self.guidance = guidance
        self.train_data, self.val_data = train, val
        self.denoiser = editor.denoiser
        stepper.suit_attention(self.denoiser.unet)
        resampler = Resampler(self.denoiser, editor.process, edit_timesteps(config.strength, config.steps))
        self.tuned = TunedWeights(self.denoiser, resampler, stepper, config.weight_decay)
        self.network = self.tuned.network
        self.order = SampleOrder(train.labels, config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        return self.stepper.descend(self.network, self.tuned.optimizer, self.read(step), self._loss, learning_rate)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The losses on held-out pictures."""
        total: dict[str, float] = {}
        for rows in even_batches(np.arange(len(self.val_data)), self.config.loop.batch_size):
            with self.stepper.autocast():
                _, shown = self._loss(_draw(self.val_data, rows))
            for name, value in shown.items():
                total[name] = total.get(name, 0.0) + value.item() * len(rows) / len(self.val_data)
        return {f"val_{name}": value for name, value in total.items()}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_loss"]

    @torch.no_grad()
    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Held-out pictures, each beside its edit."""
        rows = np.arange(min(_SHOWN, len(self.val_data)))
        with self.stepper.autocast():
            pairs = [(d["x"], self._edit(d["z"]).cpu()) for d in (_draw(self.val_data, rows[i : i + 1]) for i in rows)]
        return {"edits": to_grid(torch.cat([picture for pair in pairs for picture in pair]), columns=8)}

    def samples(self, step: int) -> str:
        return ", ".join(self.train_data.data.keys[i] for i in self.train_data.indices[self.order.indices(step)])

    def state_dict(self) -> dict[str, Any]:
        return self.tuned.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tuned.load_state_dict(state)

    def _read(self, step: int) -> Draws:
        return _draw(self.train_data, self.order.indices(step)[self.own])

    def _edit(self, z_BCHW: Tensor) -> Tensor:
        z_BCHW = z_BCHW.to(self.stepper.device)
        labels_B = torch.full((len(z_BCHW),), EMOTIONS.index(self.config.target), device=z_BCHW.device)
        scale_B = torch.full((len(z_BCHW),), self.guidance, device=z_BCHW.device)
        return self.first_stage.decode(self.network(z_BCHW, labels_B, scale_B))

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        x, edited = on["x"], self._edit(on["z"]).float()
        shown = {"guide": self.losses.guide(edited, x, on["labels"]), "pixel": F.mse_loss(edited, x)}
        loss = self.config.guide_weight * shown["guide"] + self.config.pixel_weight * shown["pixel"]
        if self.losses.identity is not None:
            shown["identity"] = self.losses.identity(edited, x)
            loss = loss + self.config.identity_weight * shown["identity"]
        return loss, {"loss": loss, **shown}


def _draw(data: InvertedPictures, rows: NDArray[np.int64]) -> Draws:
    return {
        "x": data.pictures(rows),
        "z": data.noise_NCHW[torch.from_numpy(rows)],
        "labels": torch.from_numpy(data.labels[rows]),
    }
