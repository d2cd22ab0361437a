"""How much memory a training step needs on a GPU, added up from a step on tensors without content.

Not in the sum: what cuDNN and the allocator take for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.models import vgg16

from benchmarks.tables import print_table
from stages.common.config import resolve_config
from stages.ldm.config import LdmConfig
from stages.models.denoiser import build_denoiser
from stages.models.first_stage import build_first_stage
from stages.models.losses import PatchDiscriminator
from stages.vqgan.config import VqganConfig

GOAL_GIB = 11.0
_ADAM_COPIES = 4
"""Weights, gradients, and two moments, all in float32."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that stay (weights, optimiser, EMA), and those kept between the passes forward and backward."""

    name: str
    state_bytes: int
    activation_bytes: int

    @property
    def gib(self) -> float:
        return (self.state_bytes + self.activation_bytes) / 2**30


def measure_memory(preset: str = "affectnet-128", vqgan_batch: int = 8, ldm_batch: int = 24) -> list[Need]:
    """What the two trainings of a preset need in float32; half precision needs less."""
    vqgan, ldm = resolve_config(VqganConfig, "vqgan", preset), resolve_config(LdmConfig, "ldm", preset)
    with FakeTensorMode():
        first_stage, critic = build_first_stage(vqgan.network), PatchDiscriminator()
        perceptual = vgg16().features.requires_grad_(False)
        denoiser = build_denoiser(ldm.network)
        x = torch.randn(vqgan_batch, 3, vqgan.network.size_px, vqgan.network.size_px)
        z = torch.randn(ldm_batch, ldm.network.latent_channels, ldm.network.latent_size, ldm.network.latent_size)
        labels = torch.zeros(ldm_batch, dtype=torch.long)
        return [
            Need(
                f"first stage with discriminator, batch {vqgan_batch}",
                _ADAM_COPIES * (_bytes(first_stage) + _bytes(critic)) + _bytes(perceptual),
                _kept(lambda: _first_stage_loss(first_stage, critic, perceptual, x)),
            ),
            Need(
                f"denoiser with EMA, batch {ldm_batch}",
                (_ADAM_COPIES + 1) * _bytes(denoiser),
                _kept(lambda: denoiser(z, labels, labels).mean()),
            ),
        ]


def _first_stage_loss(first_stage: nn.Module, critic: nn.Module, perceptual: nn.Module, x: Tensor) -> Tensor:
    pictures = first_stage(x, quantize=True).pictures
    loss: Tensor = critic(pictures).mean() + perceptual(pictures).mean() + (pictures - x).abs().mean()
    return loss


def _kept(step: Callable[[], Tensor]) -> int:
    """Bytes of all that the pass forward keeps for the pass backward, but for the weights, each storage once."""
    storages: dict[int, tuple[object, int]] = {}
    with _watch_saved(storages):
        step()
    return sum(size for _, size in storages.values())


@contextmanager
def _watch_saved(storages: dict[int, tuple[object, int]]) -> Iterator[None]:
    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            storages[storage._cdata] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


def _bytes(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def print_memory(needs: list[Need]) -> None:
    rows = [
        [
            need.name,
            f"{need.state_bytes / 2**30:.1f}",
            f"{need.activation_bytes / 2**30:.1f}",
            f"{need.gib:.1f}",
            f"< {GOAL_GIB:.0f}",
        ]
        for need in needs
    ]
    columns = ["training in fp32", "weights, optimiser, EMA", "activations", "GiB", "goal"]
    print_table("Memory of `affectnet-128`, computed and not measured", columns, rows)
