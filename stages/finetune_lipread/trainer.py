"""One step of tuning: make frames again, and compare how their mouths read with how the real ones do (thesis 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.talking import TalkingModel
from stages.common.tensors import to_grid
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.common.training.tuned import TunedWeights
from stages.finetune_lipread.config import LipTuningConfig
from stages.finetune_lipread.network import FrameMaker
from stages.finetune_lipread.windows import ClipWindows
from stages.models.lip_reader import LipReader
from stages.models.mouth_crop import crop_mouths, normalize_mouths
from stages.models.resampler import decode_in_pieces
from stages.models.samplers import LEAST_STRENGTH

_WINDOW_STREAM = 2
_VALIDATION_SEED = 1
_VALIDATION_LEVEL = 600


class LipTuner:
    """Implements ``stages.common.training.loop.Trainee`` for those weights of a talker that want a gradient."""

    def __init__(
        self,
        model: TalkingModel,
        reader: LipReader,
        config: LipTuningConfig,
        data: tuple[ClipWindows, ClipWindows],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.model = model
        self.reader = reader
        self.config = config
        self.stepper = stepper
        self.seed = seed
        self.train_data, self.val_data = data
        stepper.suit_attention(model.talker.unet)
        maker = FrameMaker(model, config.steps)
        self.tuned = TunedWeights(model.talker, maker, stepper, config.weight_decay)
        self.network = self.tuned.network
        labels = np.zeros(len(self.train_data.long_enough), np.int64)
        self.order = SampleOrder(labels, config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        count = self.config.loop.batch_size
        levels_B = torch.randint(LEAST_STRENGTH, len(self.model.process.abar_T), (count,), generator=random)
        drawn = {"levels": levels_B, "noise": self._noise(count, random)}
        draws = self.read(step) | {name: value[self.own] for name, value in drawn.items()}
        return self.stepper.descend(self.network, self.tuned.optimizer, draws, self._loss, learning_rate)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The losses on the same windows of held-out clips, with the same noise of a middle level, every time."""
        total: dict[str, float] = {}
        batches = self._held_out()
        for draws in batches:
            with self.stepper.autocast():
                _, shown = self._loss(draws)
            for name, value in shown.items():
                total[f"val_{name}"] = total.get(f"val_{name}", 0.0) + value.item() / len(batches)
        return total

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_loss"]

    @torch.no_grad()
    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Frames of a held-out window, above them made again."""
        draws = self._held_out()[0]
        with self.stepper.autocast():
            _, made = self.network(self.stepper.to_device(draws))
            frames = self.model.first_stage.decode(made)[: self.config.frames]
        return {"frames": to_grid(torch.cat([frames.float().cpu(), draws["x"][0]]), columns=self.config.frames)}

    def samples(self, step: int) -> str:
        return ", ".join(
            self.train_data.clips.keys[self.train_data.long_enough[number]] for number in self.order.indices(step)
        )

    def state_dict(self) -> dict[str, Any]:
        return self.tuned.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tuned.load_state_dict(state)

    def _read(self, step: int) -> Draws:
        random = np.random.default_rng([self.seed, step, _WINDOW_STREAM])
        draws = self.train_data.batch(self.order.indices(step), random)
        return {name: value[self.own] for name, value in draws.items()}

    def _held_out(self) -> list[Draws]:
        """Batches of windows, spread over the clips."""
        random, noise = np.random.default_rng(_VALIDATION_SEED), torch.Generator().manual_seed(_VALIDATION_SEED)
        clips = len(self.val_data.long_enough)
        count = min(self.config.validation_samples, clips)
        numbers = np.linspace(0, clips - 1, count).round().astype(np.int64)
        return [
            self.val_data.batch(part, random)
            | {"noise": self._noise(len(part), noise), "levels": torch.full((len(part),), _VALIDATION_LEVEL)}
            for part in even_batches(numbers, self.config.loop.batch_size)
        ]

    def _noise(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.frames, *self.model.latent_shape, generator=random)

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on = self.stepper.to_device(draws)
        z0, made = self.network(on)
        frames = decode_in_pieces(self.model.first_stage.decode, made, self.config.frames)
        frames = frames.float().unflatten(0, on["x"].shape[:2])
        shown = {
            "lips": self._lip_distance(frames, on["x"], on["landmarks"]),
            "latent": F.mse_loss(made.float(), z0.float()),
        }
        loss = self.config.lips_weight * shown["lips"] + self.config.latent_weight * shown["latent"]
        return loss, {"loss": loss, **shown}

    def _lip_distance(self, made_BWCHW: Tensor, real_BWCHW: Tensor, landmarks: Tensor) -> Tensor:
        """One minus the cosine of the features of each frame, on average."""
        lengths = torch.full((len(made_BWCHW),), made_BWCHW.shape[1], device=made_BWCHW.device)
        made, real = (
            self.reader.features(normalize_mouths(crop_mouths(x, landmarks)), lengths).float()
            for x in (made_BWCHW, real_BWCHW)
        )
        return 1 - F.cosine_similarity(made, real.detach(), dim=-1).mean()
