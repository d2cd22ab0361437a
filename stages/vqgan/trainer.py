"""One step of VQGAN training: the autoencoder, and from some step on its discriminator."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.common.shards import ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training import SampleOrder, autocast, memory_format, set_learning_rate
from stages.models.first_stage import FirstStage, Reconstruction
from stages.models.losses import PatchDiscriminator, adaptive_adversarial_weight, hinge_discriminator_loss
from stages.vqgan.config import VqganConfig

_VALIDATION_LIMIT = 512


class VqganTrainer:
    """Implements ``stages.common.training.Trainee`` for a ``FirstStage``."""

    def __init__(
        self,
        model: FirstStage,
        perceptual: nn.Module | None,
        config: VqganConfig,
        data: tuple[ShardDataset, ShardDataset],
        *,
        seed: int,
        device: str,
    ) -> None:
        self.config = config
        self.device = device
        self.model = model.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        self.perceptual = perceptual.to(device) if perceptual is not None else None
        self.discriminator = PatchDiscriminator().to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        self.train_data, self.val_data = data
        self.order = SampleOrder(self.train_data.labels, config.loop.batch_size, seed)
        rate = config.loop.learning_rate
        self.optimizer = torch.optim.Adam(model.parameters(), rate, betas=(0.5, 0.9))
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), rate, betas=(0.5, 0.9))
        self.used = torch.zeros(config.network.codebook_size, dtype=torch.bool)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        x = to_model_range(self.train_data.batch(self.order.indices(step)))
        flip = torch.rand(len(x), generator=random) < 0.5
        x[flip] = x[flip].flip(3)
        x = x.to(self.device, memory_format=memory_format(self.device))
        if step == self.config.codebook_start:
            self._start_codebook(x, random)
        set_learning_rate(self.optimizer, learning_rate)
        adversarial = self.config.adversarial_start is not None and step >= self.config.adversarial_start
        with autocast(self.config.loop, self.device):
            result = self.model(x, quantize=step >= self.config.codebook_start)
            loss, shown = self._reconstruction_loss(x, result)
            if adversarial:
                loss = loss + self._adversarial_term(loss, result.pictures)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.loop.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.loop.gradient_clip)
        self.optimizer.step()
        if adversarial:
            shown["discriminator"] = self._train_discriminator(x, result.pictures.detach(), learning_rate)
        self._track_codes(step, x, result, random)
        return shown

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """PSNR (dB) and perceptual distance of quantised reconstructions, and how much of the codebook is in use.

        The perplexity is 2^H of how often each code is chosen, from 1 to the size of the codebook.
        """
        chosen = torch.zeros(len(self.used), dtype=torch.float64)
        squared = perceptual = 0.0
        count = min(len(self.val_data), _VALIDATION_LIMIT)
        batches = range(0, count, self.config.loop.batch_size)
        for start in batches:
            stop = min(start + self.config.loop.batch_size, count)
            x = to_model_range(self.val_data.batch(range(start, stop))).to(self.device)
            with autocast(self.config.loop, self.device):
                result = self.model(x)
                if self.perceptual is not None:
                    perceptual += float(self.perceptual(result.pictures, x)) / len(batches)
            squared += float((result.pictures.float().clamp(-1, 1) - x).square().mean(dim=(1, 2, 3)).sum())
            chosen += torch.bincount(result.codes.flatten().cpu(), minlength=len(chosen))
        psnr = -10 * torch.log10(torch.tensor(squared / count / 4))
        return {
            "val_psnr_db": float(psnr),
            "val_perceptual": perceptual,
            "codebook_used": float((chosen > 0).double().mean()),
            "codebook_perplexity": float(torch.special.entr(chosen / chosen.sum()).sum().exp()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATEFUL} | {"used": self.used}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.used = state["used"]

    def _reconstruction_loss(self, x: Tensor, result: Reconstruction) -> tuple[Tensor, dict[str, float]]:
        l1 = F.l1_loss(result.pictures.float(), x)
        loss = self.config.l1_weight * l1 + result.quantization_loss
        shown = {"l1": l1.item()}
        if self.perceptual is not None:
            distance = self.perceptual(result.pictures, x)
            loss = loss + self.config.perceptual_weight * distance
            shown["perceptual"] = distance.item()
        return loss, shown

    def _adversarial_term(self, reconstruction_loss: Tensor, pictures: Tensor) -> Tensor:
        adversarial: Tensor = -self.discriminator(pictures).float().mean()
        last_layer = self.model.vq.decoder.conv_out.weight
        weight = adaptive_adversarial_weight(reconstruction_loss, adversarial, last_layer)
        return self.config.adversarial_weight * weight * adversarial

    def _train_discriminator(self, x: Tensor, fake: Tensor, learning_rate: float) -> float:
        set_learning_rate(self.discriminator_optimizer, learning_rate)
        with autocast(self.config.loop, self.device):
            loss = hinge_discriminator_loss(self.discriminator(x).float(), self.discriminator(fake).float())
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _start_codebook(self, x: Tensor, random: torch.Generator) -> None:
        self.model.set_codebook(self._draw_features(x, self.config.network.codebook_size, random))

    @torch.no_grad()
    def _track_codes(self, step: int, x: Tensor, result: Reconstruction, random: torch.Generator) -> None:
        """Replace codes that no sample chose in the last ``revive_every`` steps by current encoder outputs."""
        self.used[result.codes.flatten().cpu()] = True
        if (step + 1) % self.config.revive_every or step < self.config.codebook_start + self.config.revive_every:
            return
        unused = torch.nonzero(~self.used).flatten()
        if len(unused):
            self.model.revive(unused.to(self.device), self._draw_features(x, len(unused), random))
        self.used.zero_()

    def _draw_features(self, x: Tensor, count: int, random: torch.Generator) -> Tensor:
        """``count`` encoder outputs (count, C) of the batch, without replacement while there are enough."""
        features: Tensor = self.model.encode_features(x).permute(0, 2, 3, 1).flatten(0, 2).float()
        repeats = -(-count // len(features))
        picks = torch.cat([torch.randperm(len(features), generator=random) for _ in range(repeats)])[:count]
        return features[picks.to(features.device)]


_STATEFUL = ("model", "discriminator", "optimizer", "discriminator_optimizer")
