"""Numbers over photos, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100


def bootstrap_interval(
    values: Sequence[float] | NDArray[Any],
    level: float = 0.95,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda drawn_RN: drawn_RN.mean(axis=1),
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic; the same values always give the same interval.

    ``statistic`` takes R draws of the N values (R, N, ...) and gives one number for each (R,).
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(0)
    shape = (_RESAMPLES_AT_ONCE, len(data))
    found = [statistic(data[random.integers(0, len(data), size=shape)]) for _ in range(0, _RESAMPLES, shape[0])]
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def psnr_db(a: NDArray[Any], b: NDArray[Any], peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio of equally shaped arrays; infinite when they are equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
