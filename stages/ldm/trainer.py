"""One step of diffusion training (conditioning dropout, EMA) and its held-out loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor

from stages.common.latents import LatentData
from stages.common.training.averaging import averaged_weights
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.ldm.conditions import FaceConditions, condition_of, drop
from stages.ldm.config import LdmConfig
from stages.ldm.objective import Objective
from stages.ldm.preview import sample_grid
from stages.models.denoiser import Denoiser
from stages.models.first_stage import Pixels
from stages.models.latent_space import LatentSpace

_VALIDATION_LIMIT = 512
_VALIDATION_SEED = 1
_STATEFUL = ("denoiser", "optimizer", "ema")

_PARTNER_STREAM = 2

Split = tuple[LatentData, FaceConditions]
"""What is denoised, and under what."""


class LdmTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``Denoiser``."""

    def __init__(
        self,
        denoiser: Denoiser,
        first_stage: LatentSpace,
        config: LdmConfig,
        train: Split,
        val: Split,
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
        weights_N: NDArray[np.float64] | None = None,
    ) -> None:
        """``weights_N`` are those of ``SampleOrder``."""
        self.config = config
        self.seed = seed
        self.stepper = stepper
        self.first_stage = first_stage
        self.denoiser = denoiser
        stepper.place(denoiser)
        stepper.suit_attention(denoiser.unet)
        optimizer = torch.optim.AdamW(
            denoiser.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = stepper.prepare(denoiser, optimizer)
        self.ema = EMAModel(
            denoiser.parameters(),
            config.ema_decay,
            use_ema_warmup=config.ema_warmup,
            power=0.75,
            foreach=not stepper.on_cpu,
        )
        self.objective = Objective(config, of_pictures=isinstance(first_stage, Pixels), device=stepper.device)
        self.train_data, self.train_faces = train
        self.val_data, self.val_faces = val
        labels = self.train_faces.labels
        self.order = SampleOrder(labels, config.loop.batch_size, seed, config.class_balance, weights_N)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        self.denoiser.train()
        draws = self._draw(step, random)
        shown = self.stepper.descend(self.network, self.optimizer, draws, self._loss, learning_rate)
        self.ema.step(self.denoiser.parameters())
        return shown

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The losses of the EMA weights with the same noise and time steps every time."""
        random = torch.Generator().manual_seed(_VALIDATION_SEED)
        count = min(_VALIDATION_LIMIT, len(self.val_faces))
        total: dict[str, float] = {}
        with averaged_weights(self.ema, self.denoiser):
            for indices in even_batches(np.arange(count), self.config.loop.batch_size):
                as_they_are = np.zeros(len(indices), dtype=np.bool_)
                draws = self._noise(len(indices), random) | self.val_faces.batch(indices, as_they_are)
                draws["z0"] = self.val_data.batch(indices, as_they_are)
                with self.stepper.autocast():
                    _, shown = self._loss(draws)
                for name, value in shown.items():
                    total[name] = total.get(name, 0.0) + value.item() * len(indices) / count
        return {f"val_{name}": value for name, value in total.items()}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_loss"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Samples of the EMA weights, a row a class that the data holds."""
        classes = sorted(set(self.train_faces.labels.tolist()))
        with averaged_weights(self.ema, self.denoiser):
            return {"samples": sample_grid(self.denoiser, self.first_stage, self.objective.process, classes)}

    def samples(self, step: int) -> str:
        return ", ".join(map(str, self.order.indices(step)))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.ema.to(self.stepper.device)

    def _read(self, step: int) -> Draws:
        indices, mirrored = self.order.indices(step)[self.own], self.order.mirrored(step)[self.own]
        partners = np.random.default_rng([self.seed, step, _PARTNER_STREAM])
        partners.random((self.own.start, 2))  # those of the processes before this one
        return {
            "z0": self.train_data.batch(indices, mirrored),
            **self.train_faces.batch(indices, mirrored, partners),
        }

    def _draw(self, step: int, random: torch.Generator) -> Draws:
        """This process's part of what step ``step`` draws for the whole batch."""
        batch_size = self.config.loop.batch_size
        nothing = torch.rand(batch_size, generator=random) < self.config.unconditional_probability
        noise = self._noise(batch_size, random)
        read = self.read(step)
        z0 = read.pop("z0")
        dropped = {}
        for name in read:
            probability = getattr(self.config.dropout, name)
            alone = torch.rand(batch_size, generator=random) < probability if probability else torch.zeros_like(nothing)
            dropped[name] = (alone if name == "identity" else alone | nothing)[self.own]
        told = drop(read, dropped, self.denoiser.null_class)
        return {name: value[self.own] for name, value in noise.items()} | told | {"z0": z0}

    def _noise(self, count: int, random: torch.Generator) -> Draws:
        steps = len(self.objective.process.abar_T)
        return {
            "timesteps": torch.randint(steps, (count,), generator=random),
            "noise": torch.randn(count, *self.train_data.shape, generator=random),
        }

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        z0 = on["z0"].to(memory_format=self.stepper.memory_format)
        return self.objective(self.network, z0, on["noise"], on["timesteps"], condition_of(on))
