"""One step of VQGAN training: the autoencoder, and from some step on its discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.common.clip_frames import PictureData
from stages.common.tensors import mirror_some, to_grid, to_model_range
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder, even_batches
from stages.common.training.stepper import Draws, Stepper
from stages.models.first_stage import FirstStage, Reconstruction
from stages.models.losses import PatchDiscriminator, adaptive_adversarial_weight, hinge_discriminator_loss
from stages.vqgan.config import VqganConfig

_VALIDATION_LIMIT = 512
_SHOWN = 8


class VqganTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for a ``FirstStage``."""

    def __init__(
        self,
        model: FirstStage,
        perceptual: nn.Module | None,
        config: VqganConfig,
        data: tuple[PictureData, PictureData],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
        has_codebook: bool = False,
    ) -> None:
        """With ``has_codebook`` a codebook that is in use from the first step is that of ``model``."""
        self.config = config
        self.has_codebook = has_codebook and config.codebook_start == 0
        self.stepper = stepper
        self.model = model
        self.perceptual = perceptual.to(stepper.device) if perceptual is not None else None
        self.discriminator = PatchDiscriminator()
        rate = config.loop.learning_rate
        self.network, self.optimizer = stepper.prepare(
            model, torch.optim.Adam(model.parameters(), rate, betas=(0.5, 0.9))
        )
        self.critic, self.discriminator_optimizer = stepper.prepare(
            self.discriminator, torch.optim.Adam(self.discriminator.parameters(), rate, betas=(0.5, 0.9))
        )
        self.train_data, self.val_data = data
        self.order = SampleOrder(self.train_data.labels, config.loop.batch_size, seed)
        self.own = stepper.own(config.loop.batch_size)
        self.read = Lookahead(self._read, workers)
        self.used = torch.zeros(config.network.codebook_size, dtype=torch.bool)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        x = self.read(step).to(self.stepper.device, memory_format=self.stepper.memory_format)
        if self.config.network.quantize and step == self.config.codebook_start and not self.has_codebook:
            self.model.set_codebook(self._draw_features(x, self.config.network.codebook_size, random))
        made: list[Reconstruction] = []

        def loss_of(draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
            result = self.network(draws["x"], quantize=step >= self.config.codebook_start)
            made.append(Reconstruction(*(part.detach() for part in result)))
            loss, shown = self._reconstruction_loss(draws["x"], result)
            return loss + self._adversarial_term(loss, result.pictures) if self._adversarial(step) else loss, shown

        shown = self.stepper.descend(self.network, self.optimizer, {"x": x}, loss_of, learning_rate)
        if self._adversarial(step):
            pairs = {"real": x, "fake": torch.cat([result.pictures for result in made])}
            shown |= self.stepper.descend(
                self.critic, self.discriminator_optimizer, pairs, self._discriminator_loss, learning_rate
            )
        if self.config.network.quantize:
            self._track_codes(step, x, torch.cat([result.codes.flatten() for result in made]), random)
        return shown

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """l1, PSNR (dB) and perceptual distance of reconstructions, and how much of a codebook is in use.

        The perplexity is 2^H of how often each code is chosen, from 1 to the size of the codebook.
        """
        chosen = torch.zeros(len(self.used), dtype=torch.float64)
        squared = l1 = perceptual = 0.0
        count = min(len(self.val_data), _VALIDATION_LIMIT)
        for indices in even_batches(np.arange(count), self.config.loop.batch_size):
            x = to_model_range(self.val_data.batch(indices)).to(self.stepper.device)
            with self.stepper.autocast():
                result = self.model(x)
                if self.perceptual is not None:
                    perceptual += float(self.perceptual(result.pictures, x)) * len(x) / count
            error = result.pictures.float().clamp(-1, 1) - x
            squared += float(error.square().mean(dim=(1, 2, 3)).sum())
            l1 += float(error.abs().mean(dim=(1, 2, 3)).sum()) / count
            chosen += torch.bincount(result.codes.flatten().cpu(), minlength=len(chosen))
        psnr = -10 * torch.log10(torch.tensor(squared / count / 4))
        row = {"val_psnr_db": float(psnr), "val_l1": l1, "val_perceptual": perceptual}
        if not self.config.network.quantize:
            return row
        return row | {
            "codebook_used": float((chosen > 0).double().mean()),
            "codebook_perplexity": float(torch.special.entr(chosen / chosen.sum()).sum().exp()),
        }

    def score(self, validation: Mapping[str, float]) -> float:
        """l1 and perceptual distance, weighted as in training."""
        weights = (self.config.l1_weight, self.config.perceptual_weight)
        return weights[0] * validation["val_l1"] + weights[1] * validation["val_perceptual"]

    @torch.no_grad()
    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        """Held-out pictures above, their reconstructions below."""
        x = to_model_range(self.val_data.batch(range(min(len(self.val_data), _SHOWN))))
        with self.stepper.autocast():
            reconstructed = self.model(x.to(self.stepper.device)).pictures.float().cpu()
        return {"reconstructions": to_grid(torch.cat([x, reconstructed]), columns=len(x))}

    def samples(self, step: int) -> str:
        return ", ".join(self.train_data.keys[i] for i in self.order.indices(step))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATEFUL} | {"used": self.used}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.used = state["used"]

    def _read(self, step: int) -> Tensor:
        pictures = self.train_data.batch(self.order.indices(step)[self.own])
        return mirror_some(to_model_range(pictures), self.order.mirrored(step)[self.own])

    def _adversarial(self, step: int) -> bool:
        return self.config.adversarial_start is not None and step >= self.config.adversarial_start

    def _reconstruction_loss(self, x: Tensor, result: Reconstruction) -> tuple[Tensor, dict[str, Tensor]]:
        l1 = F.l1_loss(result.pictures.float(), x)
        quantization = self.config.commitment_weight * result.commitment + self.config.codebook_weight * result.codebook
        loss = self.config.l1_weight * l1 + quantization
        shown = {"l1": l1}
        if self.perceptual is not None:
            shown["perceptual"] = self.perceptual(result.pictures, x)
            loss = loss + self.config.perceptual_weight * shown["perceptual"]
        return loss, shown

    def _adversarial_term(self, reconstruction_loss: Tensor, pictures: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)
        adversarial: Tensor = -self.discriminator(pictures).float().mean()
        self.discriminator.requires_grad_(True)
        last_layer = self.model.vq.decoder.conv_out.weight
        weight = adaptive_adversarial_weight(reconstruction_loss, adversarial, last_layer)
        return self.config.adversarial_weight * weight * adversarial

    def _discriminator_loss(self, pairs: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        real, fake = self.critic(torch.cat([pairs["real"], pairs["fake"]])).float().chunk(2)
        loss = hinge_discriminator_loss(real, fake)
        return loss, {"discriminator": loss}

    @torch.no_grad()
    def _track_codes(self, step: int, x: Tensor, codes_N: Tensor, random: torch.Generator) -> None:
        """Replace codes that no sample chose in the last ``revive_every`` steps by current encoder outputs."""
        self.used[codes_N.cpu()] = True
        if (step + 1) % self.config.revive_every or step < self.config.codebook_start + self.config.revive_every:
            return
        unused = torch.nonzero(~self.stepper.in_any_process(self.used)).flatten()
        if len(unused):
            self.model.revive(unused.to(self.stepper.device), self._draw_features(x, len(unused), random))
        self.used.zero_()

    @torch.no_grad()
    def _draw_features(self, x: Tensor, count: int, random: torch.Generator) -> Tensor:
        """``count`` encoder outputs (count, C) of the whole batch, without replacement while there are enough."""
        own: Tensor = self.model.encode_features(x).permute(0, 2, 3, 1).flatten(0, 2).float()
        features = self.stepper.of_all_processes(own)
        repeats = -(-count // len(features))
        picks = torch.cat([torch.randperm(len(features), generator=random) for _ in range(repeats)])[:count]
        return features[picks.to(features.device)]


_STATEFUL = ("model", "discriminator", "optimizer", "discriminator_optimizer")
