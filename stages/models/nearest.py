"""Exact nearest neighbours over more rows than fit in memory."""

from __future__ import annotations

import torch
from torch import Tensor


class NearestNeighbors:
    """The ``k`` rows nearest to each of ``queries_ND`` (Euclidean) among all that ``add`` was given, nearest first.

    Memory depends on the queries and on one block, not on how many blocks there are. ``distances`` (N, k) are infinite
    and ``indices`` -1 until k rows were seen; of rows equally far the one added first comes first.
    """

    def __init__(self, queries_ND: Tensor, k: int) -> None:
        self._queries = queries_ND
        self._norms = queries_ND.square().sum(dim=1, keepdim=True)
        self._squared = torch.full((len(queries_ND), k), torch.inf, device=queries_ND.device)
        self.indices = torch.full((len(queries_ND), k), -1, dtype=torch.long, device=queries_ND.device)

    def add(self, rows_BD: Tensor, first_index: int) -> None:
        """Consider rows that are numbered from ``first_index``."""
        squared = self._norms + rows_BD.square().sum(dim=1) - 2 * self._queries @ rows_BD.T
        numbers = torch.arange(first_index, first_index + len(rows_BD), device=rows_BD.device)
        merged = torch.cat([self._squared, squared.clamp(min=0)], dim=1)
        candidates = torch.cat([self.indices, numbers.expand(len(squared), -1)], dim=1)
        ordered = merged.sort(dim=1, stable=True)
        k = self._squared.shape[1]
        self._squared = ordered.values[:, :k].clone()
        self.indices = candidates.gather(1, ordered.indices[:, :k])

    @property
    def distances(self) -> Tensor:
        return self._squared.sqrt()
