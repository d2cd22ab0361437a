"""Which samples each step trains on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MIRROR_STREAM = 1
_STEPS_KEPT = 32


class SampleOrder:
    """Which samples step k trains on.

    With ``balance`` 0 every epoch is a permutation. Otherwise samples are drawn with replacement, a class of n samples
    having a share proportional to n^(1 - balance): 0.5 is square-root balancing, 1 gives all classes the same share.
    ``weights_N`` (N,), where given, multiply what each sample has by its class.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        batch_size: int,
        seed: int,
        balance: float = 0.0,
        weights_N: NDArray[np.float64] | None = None,
    ) -> None:
        self._count = len(labels)
        self._batch_size = batch_size
        self._seed = seed
        self._probabilities: NDArray[np.float64] | None = None
        if balance > 0 or weights_N is not None:
            _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
            weights = counts.astype(np.float64)[inverse] ** -balance * (1 if weights_N is None else weights_N)
            self._probabilities = weights / weights.sum()
        # A step is asked for several times, and all steps of an epoch share a permutation of the whole data.
        self._drawn = lru_cache(maxsize=_STEPS_KEPT)(self._draw)
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def indices(self, step: int) -> NDArray[np.int64]:
        """The samples (batch_size,) of one step, on all processes together; not to be written to."""
        return self._drawn(step)

    def _draw(self, step: int) -> NDArray[np.int64]:
        if self._probabilities is not None:
            random = np.random.default_rng([self._seed, step])
            return random.choice(self._count, size=self._batch_size, p=self._probabilities)
        seen = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs = {int(e): self._permutation(int(e)) for e in set(seen // self._count)}
        return np.array([epochs[int(s // self._count)][s % self._count] for s in seen])

    def mirrored(self, step: int) -> NDArray[np.bool_]:
        """Which of them (batch_size,) are mirrored: half, at random."""
        return np.random.default_rng([self._seed, step, _MIRROR_STREAM]).random(self._batch_size) < 0.5

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(self._count)


def even_batches(indices: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """The samples of a validation in their order, in as few batches as hold them, of nearly one size."""
    return np.array_split(indices, -(-len(indices) // batch_size))
