"""What a denoiser is told of a face, and how it hears it.

B faces, K coefficients, E numbers of an identity, G maps of the geometry, S their side, N tokens, D their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COEFFICIENT_TOKENS = 4
COEFFICIENT_LIMIT = 1.5
"""Coefficients beyond this many times what is usual are taken as this much."""

UNHEARD = 6e4
"""What is "usual" of a coefficient that training never shows: whatever is said of it, the network hears about zero."""


class Condition(NamedTuple):
    """What is known of B faces; a part is None, or a row of it unknown, where nothing is.

    ``labels_B`` are emotions (the null class: unknown); of ``coefficients_BK`` and ``identity_BE`` a row of NaN is
    unknown, of ``geometry_BGSS`` (0..1) one of zeros.
    """

    labels_B: Tensor
    coefficients_BK: Tensor | None = None
    identity_BE: Tensor | None = None
    geometry_BGSS: Tensor | None = None

    def to(self, device: str | torch.device) -> Condition:
        parts = (None if part is None else part.to(device) for part in self[1:])
        return Condition(self.labels_B.to(device), *parts)

    def repeat(self, count: int) -> Condition:
        """All faces ``count`` times, one after the other."""
        return Condition.cat([self] * count)

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """One batch of conditions that say the same parts."""
        labels, *others = zip(*conditions, strict=True)
        parts = (None if part[0] is None else torch.cat(part) for part in others)
        return Condition(torch.cat(labels), *parts)

    def without_expression(self, null_class: int) -> Condition:
        """The same people, with no expression in particular."""
        blank = None if self.coefficients_BK is None else torch.full_like(self.coefficients_BK, torch.nan)
        flat = None if self.geometry_BGSS is None else torch.zeros_like(self.geometry_BGSS)
        return Condition(torch.full_like(self.labels_B, null_class), blank, self.identity_BE, flat)


@dataclass(frozen=True, slots=True)
class Context:
    """A condition as a U-Net takes it: tokens for its cross-attention, a vector for its blocks, maps beside latents."""

    tokens_BND: Tensor
    vector_BD: Tensor | None = None
    maps_BCHW: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens_BND)

    @staticmethod
    def cat(contexts: Sequence[Context]) -> Context:
        """One batch of them all."""
        vectors = [c.vector_BD for c in contexts if c.vector_BD is not None]
        maps = [c.maps_BCHW for c in contexts if c.maps_BCHW is not None]
        return Context(
            torch.cat([c.tokens_BND for c in contexts]),
            torch.cat(vectors) if vectors else None,
            torch.cat(maps) if maps else None,
        )


class ExpressionEmbedding(nn.Module):
    """Tokens of the parts of a condition that are numbers: coefficients and identity, each with a null of its own."""

    usual_K: Tensor

    def __init__(self, coefficients: int, identity: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("usual_K", torch.ones(coefficients))
        self.parts = nn.ModuleDict()
        if coefficients:
            self.parts["coefficients"] = _Tokens(coefficients, COEFFICIENT_TOKENS, dim)
        if identity:
            self.parts["identity"] = _Tokens(identity, 1, dim)

    def forward(self, condition: Condition) -> Tensor:
        """(B, N, D). Coefficients are counted in units of ``usual_K``, what few faces exceed."""
        given = {"identity": condition.identity_BE, "coefficients": condition.coefficients_BK}
        if given["coefficients"] is not None:
            scaled = given["coefficients"] / self.usual_K
            given["coefficients"] = scaled.clamp(-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
        count = len(condition.labels_B)
        return torch.cat([part(given[name], count) for name, part in self.parts.items()], dim=1)


class _Tokens(nn.Module):
    def __init__(self, size: int, tokens: int, dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.network = nn.Sequential(nn.Linear(size, dim), nn.SiLU(), nn.Linear(dim, tokens * dim))
        self.null = nn.Parameter(torch.zeros(tokens * dim))

    def forward(self, values_BK: Tensor | None, count: int) -> Tensor:
        if values_BK is None:
            flat = self.null.expand(count, -1)
        else:
            known_B1 = values_BK.isfinite().all(dim=1, keepdim=True)
            flat = torch.where(known_B1, self.network(values_BK.nan_to_num()), self.null)
        return flat.reshape(count, self.tokens, -1)


def fold_geometry(geometry_BGSS: Tensor, side: int) -> Tensor:
    """Maps at the side of the latents (B, G r^2, side, side), r = S / side: finer detail as channels."""
    return F.pixel_unshuffle(geometry_BGSS, geometry_BGSS.shape[-1] // side)
