"""One step of latent-diffusion training (L_simple, conditioning dropout, EMA) and its held-out loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.common.training import SampleOrder, autocast, memory_format, set_learning_rate
from stages.ldm.config import LdmConfig
from stages.models.denoiser import Denoiser
from stages.models.losses import simple_loss
from stages.models.process import forward_process

_VALIDATION_LIMIT = 512
_VALIDATION_SEED = 1


class LdmTrainer:
    """Implements ``stages.common.training.Trainee`` for a ``Denoiser``.

    Latents are float16 (2, N, C, H, W) with their mirror images; labels (N,) may be the null class.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        config: LdmConfig,
        train: tuple[Tensor, NDArray[np.int64]],
        val: tuple[Tensor, NDArray[np.int64]],
        *,
        seed: int,
        device: str,
    ) -> None:
        self.config = config
        self.device = device
        self.denoiser = denoiser.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        if torch.device(device).type == "cpu":
            # The fused attention's backward pass is several times slower than plain matrix products there.
            self.denoiser.unet.set_attn_processor(AttnProcessor())
        self.process = forward_process(config.schedule).to(device)
        self.train_latents, self.train_labels = train[0], torch.from_numpy(train[1])
        self.val_latents, self.val_labels = val[0], torch.from_numpy(val[1])
        self.order = SampleOrder(train[1], config.loop.batch_size, seed, config.class_balance)
        self.optimizer = torch.optim.AdamW(
            denoiser.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.ema = EMAModel(
            denoiser.parameters(), config.ema_decay, use_ema_warmup=config.ema_warmup, power=0.75, foreach=True
        )

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        indices = torch.from_numpy(self.order.indices(step))
        mirrored = torch.randint(2, (len(indices),), generator=random)
        z0 = self.train_latents[mirrored, indices].float()
        labels = self.train_labels[indices].clone()
        labels[torch.rand(len(labels), generator=random) < self.config.unconditional_probability] = (
            self.denoiser.null_class
        )
        set_learning_rate(self.optimizer, learning_rate)
        self.denoiser.train()
        loss = self._loss(z0, labels, random)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.loop.gradient_clip:
            nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.config.loop.gradient_clip)
        self.optimizer.step()
        self.ema.step(self.denoiser.parameters())
        return {"loss": loss.item()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """L_simple of the EMA weights with the same noise and time steps every time."""
        self.ema.store(self.denoiser.parameters())
        self.ema.copy_to(self.denoiser.parameters())
        self.denoiser.eval()
        random = torch.Generator().manual_seed(_VALIDATION_SEED)
        count = min(_VALIDATION_LIMIT, len(self.val_labels))
        chunks = torch.arange(count).split(self.config.loop.batch_size)
        total = sum(
            float(self._loss(self.val_latents[0, i].float(), self.val_labels[i], random)) * len(i) for i in chunks
        )
        self.ema.restore(self.denoiser.parameters())
        return {"val_loss": total / count}

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in _STATEFUL}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.ema.to(self.device)

    def _loss(self, z0: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        timesteps = torch.randint(len(self.process.abar_T), (len(z0),), generator=random).to(self.device)
        noise = torch.randn(z0.shape, generator=random).to(self.device)
        z0 = z0.to(self.device)
        noisy = self.process.add_noise(z0, noise, timesteps)
        with autocast(self.config.loop, self.device):
            noisy = noisy.to(memory_format=memory_format(self.device))
            predicted = self.denoiser(noisy, timesteps, labels.to(self.device))
        gamma = self.config.min_snr_gamma
        weight = None if gamma is None else self.process.min_snr_weight(timesteps, gamma)
        return simple_loss(predicted, self.process.target(z0, noise, timesteps), weight)


_STATEFUL = ("denoiser", "optimizer", "ema")
