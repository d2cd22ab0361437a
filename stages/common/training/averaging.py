"""The exponential moving average of weights, put in their place for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.training_utils import EMAModel
from torch import nn


@contextmanager
def averaged_weights(ema: EMAModel, network: nn.Module) -> Iterator[None]:
    """Let the network have its averaged weights, in eval mode, and its own again afterwards."""
    ema.store(network.parameters())
    ema.copy_to(network.parameters())
    network.eval()
    try:
        yield
    finally:
        ema.restore(network.parameters())
