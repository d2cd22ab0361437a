"""Networks whose answer is a formula."""

from collections.abc import Callable

import torch

from stages.models.process import ForwardProcess
from stages.models.samplers import Predict


def from_eps(estimate_eps: Callable[[torch.Tensor, int], torch.Tensor], abar_T: torch.Tensor) -> Predict:
    """A sampler's ``predict`` that finds this noise."""
    process = ForwardProcess(abar_T)
    return lambda z, t: process.estimate(estimate_eps(z, t), z, torch.full((len(z),), t))
