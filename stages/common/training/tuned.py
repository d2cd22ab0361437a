"""Those weights of a network that are tuned, and what a checkpoint keeps of tuning them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stages.common.training.stepper import Stepper


class TunedWeights:
    """The weights of ``inner`` that want a gradient, and AdamW over them.

    ``stepped`` is the network that is run in a step, and holds ``inner``; ``network`` and ``optimizer`` are what to
    step with. A checkpoint holds the tuned weights alone: the others are read with the model.
    """

    def __init__(self, inner: nn.Module, stepped: nn.Module, stepper: Stepper, weight_decay: float) -> None:
        self.by_name = {name: p for name, p in inner.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(
            self.by_name.values(), stepper.config.learning_rate, weight_decay=weight_decay, fused=True
        )
        self.network, self.optimizer = stepper.prepare(stepped, optimizer)

    @property
    def count(self) -> int:
        return sum(parameter.numel() for parameter in self.by_name.values())

    def state_dict(self) -> dict[str, Any]:
        return {"tuned": {k: p.detach() for k, p in self.by_name.items()}, "optimizer": self.optimizer.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The weights, and where it is there the optimiser: the best step is kept without."""
        for name, parameter in self.by_name.items():
            parameter.copy_(state["tuned"][name])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
