"""Shares of judgments, how sure they are, and how far participants agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    interval = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def binomial_p(hits: int, total: int) -> float:
    """How probable a share at least as far from one half is when both sides are equally likely (two-sided, exact)."""
    return float(binomtest(hits, total).pvalue)


def fleiss_kappa(counts_NK: NDArray[np.int64]) -> float | None:
    """Agreement beyond chance, where N things were put into K categories: entries count judgments (Fleiss 1971).

    Things may have different numbers of judgments, as in Gwet's form; those with fewer than two say nothing about
    agreement, but count towards what chance is. None where nothing was judged twice, or all is in one category.
    """
    judged_N = counts_NK.sum(axis=1)
    twice = judged_N >= 2
    shares_K = counts_NK.sum(axis=0) / max(1, judged_N.sum())
    chance = float((shares_K**2).sum())
    if not twice.any() or np.isclose(chance, 1):
        return None
    n_N = judged_N[twice]
    agreed_N = ((counts_NK[twice] ** 2).sum(axis=1) - n_N) / (n_N * (n_N - 1))
    return (float(agreed_N.mean()) - chance) / (1 - chance)
