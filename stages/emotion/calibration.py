"""Whether a classifier's probabilities are true: how often it is right when it says p (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_BINS = 10


def calibration_error(labels: NDArray[np.int64], logits: Tensor) -> float:
    """Expected calibration error (eq. 3): the mean gap between confidence and accuracy, over ten bins of confidence."""
    return float(sum(row["share"] * abs(row["accuracy"] - row["confidence"]) for row in reliability(labels, logits)))


def reliability(labels: NDArray[np.int64], logits: Tensor) -> list[dict[str, float]]:
    """A row for each bin of confidence that holds a sample: its share, mean confidence and accuracy."""
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    right = (predicted == torch.from_numpy(labels)).numpy()
    sure = confidence.numpy()
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    return [
        {
            "share": float((bins == b).mean()),
            "confidence": float(sure[bins == b].mean()),
            "accuracy": float(right[bins == b].mean()),
        }
        for b in np.unique(bins)
    ]


def best_temperature(labels: NDArray[np.int64], logits: Tensor) -> float:
    """The T by which logits must be divided for the lowest negative log-likelihood (section 4.2)."""
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")
    target = torch.from_numpy(labels)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / log_temperature.exp(), target)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_temperature.detach().exp())
