"""What a step of training descends, looked at without moving a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stages.common.training.stepper import Draws


@dataclass(frozen=True)
class Descent:
    """One call of ``Stepper.descend``: the network, what was drawn for the step, its loss and what it shows."""

    network: Any
    draws: Draws
    loss: Tensor
    shown: dict[str, Tensor]


def descents_of(trainer: Any, step: int = 0, seed: int = 0) -> list[Descent]:
    """What ``train_step`` descends, one after the other; the loss still has its graph."""
    made: list[Descent] = []

    def descend(
        network: Any, _optimizer: Any, draws: Draws, loss_of: Callable[[Draws], Any], _rate: float
    ) -> dict[str, float]:
        loss, shown = loss_of(draws)
        made.append(Descent(network, draws, loss, shown))
        return {name: value.item() for name, value in shown.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.stepper, "descend", descend)
        trainer.train_step(step, 1e-3, torch.Generator().manual_seed(seed))
    return made


def draws_of(trainer: Any, steps: int) -> list[Draws]:
    """What is drawn for each of so many steps; no network runs."""
    drawn: list[Draws] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.stepper, "descend", lambda _n, _o, draws, *_: drawn.append(draws) or {})
        for step in range(steps):
            trainer.train_step(step, 1e-3, torch.Generator().manual_seed(step))
    return drawn


def unused_weights(loss: Tensor, module: torch.nn.Module) -> list[str]:
    """Weights that want a gradient and get none; under DDP the next step would fail for them."""
    wanting = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    gradients = torch.autograd.grad(loss, list(wanting.values()), allow_unused=True, retain_graph=True)
    return [name for name, gradient in zip(wanting, gradients, strict=True) if gradient is None]


def assert_dropped_one_by_one(dropped_SB: Tensor, probability: float) -> None:
    """Whether ``dropped_SB`` (steps, batch) is drawn for each sample with this probability, and not for each step."""
    assert abs(dropped_SB.float().mean().item() - probability) < 0.06
    share_S = dropped_SB.float().mean(dim=1)
    assert ((share_S > 0) & (share_S < 1)).float().mean() > 0.5
