"""One step of talking-face training (conditioning dropout, EMA) and what is measured on held-out frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor

from stages.common.training.averaging import averaged_weights
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.models.first_stage import FirstStage
from stages.models.losses import simple_loss
from stages.models.mouth_mask import masked_cells
from stages.models.process import forward_process
from stages.models.talker import Talker
from stages.talk_training.config import TalkTrainingConfig
from stages.talk_training.data import TalkData
from stages.talk_training.network import TalkNetwork
from stages.talk_training.preview import frame_grid, make_frames, masked_psnr

_VALIDATION_LIMIT = 256
_VALIDATION_SEED = 1
_MADE = 16
_IDENTITY_STREAM = 2
_STATEFUL = ("stepped", "optimizer", "ema")


class TalkTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``Talker``."""

    def __init__(
        self,
        talker: Talker,
        first_stage: FirstStage,
        config: TalkTrainingConfig,
        train: TalkData,
        val: TalkData,
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.first_stage = first_stage
        self.talker = talker
        self.stepped = TalkNetwork(talker, read_lips=config.lips_weight > 0)
        stepper.place(self.stepped)
        stepper.suit_attention(talker.unet)
        optimizer = torch.optim.AdamW(
            self.stepped.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = stepper.prepare(self.stepped, optimizer)
        self.ema = EMAModel(
            talker.parameters(),
            config.ema_decay,
            use_ema_warmup=config.ema_warmup,
            power=0.75,
            foreach=not stepper.on_cpu,
        )
        self.process = forward_process(config.schedule).to(stepper.device)
        self.train_data, self.val_data = train, val
        self.order = SampleOrder(np.zeros(len(train), np.int64), config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.seed = seed
        self.read = Lookahead(self._read, workers)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        self.stepped.train()
        draws = self._noise(self.config.loop.batch_size, random)
        draws["dropped"] = torch.rand(self.config.loop.batch_size, generator=random) < (
            self.config.unconditional_probability
        )
        draws = {name: value[self.own] for name, value in draws.items()} | self.read(step)
        shown = self.stepper.descend(self.network, self.optimizer, draws, self._loss, learning_rate)
        self.ema.step(self.talker.parameters())
        return shown

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The losses of the EMA weights with the same draws every time, and the PSNR of frames made in 8 steps.

        The PSNR is that of the masked part, to what the first stage makes of the true latents.
        """
        random = torch.Generator().manual_seed(_VALIDATION_SEED)
        count = min(_VALIDATION_LIMIT, len(self.val_data))
        rows_N = np.linspace(0, len(self.val_data) - 1, count).round().astype(np.int64)
        total: dict[str, float] = {}
        with averaged_weights(self.ema, self.talker):
            for rows in even_batches(rows_N, self.config.loop.batch_size):
                draws = self._noise(len(rows), random) | self._held_out(rows)
                draws["dropped"] = torch.zeros(len(rows), dtype=torch.bool)
                with self.stepper.autocast():
                    _, shown = self._loss(draws)
                for name, value in shown.items():
                    total[f"val_{name}"] = total.get(f"val_{name}", 0.0) + value.item() * len(rows) / count
            draws, made = self._make()
        with self.stepper.autocast():
            return total | {"val_masked_psnr_db": masked_psnr(self.first_stage, made, draws)}

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_loss"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Frames of the EMA weights between what is given and what is true."""
        with averaged_weights(self.ema, self.talker):
            draws, made = self._make()
        with self.stepper.autocast():
            return {"frames": frame_grid(self.first_stage, made, draws)}

    def samples(self, step: int) -> str:
        return ", ".join(map(str, self.order.indices(step)))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])

    def _read(self, step: int) -> Draws:
        random = np.random.default_rng([self.seed, step, _IDENTITY_STREAM])
        draws = self._batch(self.train_data, self.order.indices(step), random)
        return {name: value[self.own] for name, value in draws.items()}

    def _held_out(self, rows: NDArray[np.int64]) -> Draws:
        return self._batch(self.val_data, rows, np.random.default_rng(_VALIDATION_SEED))

    def _batch(self, data: TalkData, rows: NDArray[np.int64], random: np.random.Generator) -> Draws:
        draws = data.batch(rows, random)
        return draws if self.stepped.lips is None else draws | data.lips((len(rows), self.config.lip_frames), random)

    @torch.no_grad()
    def _make(self) -> tuple[Draws, Tensor]:
        rows = np.linspace(0, len(self.val_data) - 1, min(_MADE, len(self.val_data))).round().astype(np.int64)
        draws = self.stepper.to_device(self._held_out(rows))
        with self.stepper.autocast():
            return draws, make_frames(self.talker, self.process, draws)

    def _noise(self, count: int, random: torch.Generator) -> Draws:
        shape = self.train_data.latents.shape
        return {
            "timesteps": torch.randint(len(self.process.abar_T), (count,), generator=random),
            "noise": torch.randn(count, *shape, generator=random),
            "identity_noise": torch.randn(count, *shape, generator=random),
        }

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        on = self.stepper.to_device(draws)
        on["identity"] = on["identity"] + config.identity_noise * on["identity_noise"]
        z0, noise, timesteps_B = on["z0"], on["noise"], on["timesteps"]
        output, lips = self.network(self.process.add_noise(z0, noise, timesteps_B), on)
        masked = masked_cells(on["tops"], z0.shape[2], self.first_stage.config.downsampling)
        cells = config.unmasked_weight + (1 - config.unmasked_weight) * masked
        gamma = config.min_snr_gamma
        weight_B = None if gamma is None else self.process.min_snr_weight(timesteps_B, gamma)
        loss = simple_loss(output, self.process.target(z0, noise, timesteps_B), weight_B, cells)
        if lips is None:
            return loss, {"loss": loss}
        return loss + config.lips_weight * lips, {"loss": loss, "lips": lips}
