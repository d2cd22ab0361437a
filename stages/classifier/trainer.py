"""One step of training on latents at every level of noise, and the accuracy on held-out people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.classifier.config import ClassifierConfig
from stages.common.latents import LatentData
from stages.common.shards import UNLABELLED
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.models.noisy_classifier import NoisyClassifier
from stages.models.process import forward_process

_LEVELS = 4
"""Accuracy is told apart for so many ranges of noise."""

Split = tuple[LatentData, NDArray[np.int64]]
"""Latents or pictures, and their labels (N,), which may be ``UNLABELLED``."""


class ClassifierTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``NoisyClassifier``."""

    def __init__(
        self,
        model: NoisyClassifier,
        config: ClassifierConfig,
        train: Split,
        val: Split,
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.model = model
        self.process = forward_process(config.schedule).to(stepper.device)
        self.train_data, self.val_data = train[0], val[0]
        self.train_labels, self.val_labels = train[1], val[1]
        self.labelled = np.flatnonzero(self.train_labels != UNLABELLED)
        self.order = SampleOrder(self.train_labels[self.labelled], config.loop.batch_size, seed, config.class_balance)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)
        stepper.place(model)
        optimizer = torch.optim.AdamW(
            model.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = stepper.prepare(model, optimizer)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        batch_size = self.config.loop.batch_size
        draws: Draws = {
            "labels": torch.from_numpy(self.train_labels[self._indices(step)]),
            "timesteps": torch.randint(len(self.process.abar_T), (batch_size,), generator=random),
            "noise": torch.randn(batch_size, *self.train_data.shape, generator=random),
        }
        own = {name: value[self.own] for name, value in draws.items()} | {"z0": self.read(step)}
        self.model.train()
        return self.stepper.descend(self.network, self.optimizer, own, self._loss, learning_rate)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Negative log-likelihood, and accuracy by quarters of the noise levels, the cleanest first."""
        labelled = np.flatnonzero(self.val_labels != UNLABELLED)
        levels = np.linspace(0, len(self.process.abar_T) - 1, 2 * _LEVELS + 1, dtype=int)[1::2]
        self.model.eval()
        result = {}
        nll = 0.0
        for number, level in enumerate(levels):
            right, random = 0.0, torch.Generator().manual_seed(number)
            for indices in even_batches(labelled, self.config.loop.batch_size):
                z0 = self.val_data.batch(indices, np.zeros(len(indices), dtype=np.bool_))
                draws = {
                    "labels": torch.from_numpy(self.val_labels[indices]),
                    "timesteps": torch.full((len(indices),), int(level)),
                    "noise": torch.randn(z0.shape, generator=random),
                    "z0": z0,
                }
                with self.stepper.autocast():
                    loss, shown = self._loss(draws)
                nll += float(loss) * len(indices) / len(labelled) / _LEVELS
                right += float(shown["accuracy"]) * len(indices)
            result[f"val_accuracy_{number + 1}_of_{_LEVELS}"] = right / len(labelled)
        return {"val_nll": nll, **result}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_nll"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        return {}

    def samples(self, step: int) -> str:
        return ", ".join(map(str, self._indices(step)))

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _indices(self, step: int) -> NDArray[np.int64]:
        indices: NDArray[np.int64] = self.labelled[self.order.indices(step)]
        return indices

    def _read(self, step: int) -> Tensor:
        return self.train_data.batch(self._indices(step)[self.own], self.order.mirrored(step)[self.own])

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        z_t = self.process.add_noise(on["z0"], on["noise"], on["timesteps"])
        logits = self.network(z_t, on["timesteps"]).float()
        loss = F.cross_entropy(logits, on["labels"])
        return loss, {"loss": loss, "accuracy": (logits.argmax(1) == on["labels"]).float().mean()}
