"""The conformer (Gulati et al., 2020) with the relative positions of Transformer-XL (Dai et al., 2019).

B clips, T frames, D channels, H heads. The parts and their order are those of ESPnet's, so that public lip readers'
weights fit.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-12


class Conformer(nn.Module):
    """Features (B, T, D) of clips of ``lengths_B`` frames to features (B, T, D); what lies past an end is ignored."""

    def __init__(
        self, layers: int, *, dim: int, heads: int, feedforward_dim: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            ConformerLayer(dim, heads, feedforward_dim, kernel_size, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim, eps=_EPS)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor) -> Tensor:
        count, dim = x_BTD.shape[1:]
        distances = torch.arange(count - 1, -count, -1, device=x_BTD.device)
        positions_LD = self.dropout(sinusoids(distances, dim).to(x_BTD.dtype))
        x = self.dropout(x_BTD * self.scale)
        for layer in self.layers:
            x = layer(x, positions_LD, valid_BT)
        normed: Tensor = self.norm(x)
        return normed


class ConformerLayer(nn.Module):
    """Half a feed-forward step, attention, convolution, and the other half, each added to its input."""

    def __init__(self, dim: int, heads: int, feedforward_dim: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.first_norm, self.attention_norm, self.convolution_norm, self.second_norm, self.final_norm = (
            nn.LayerNorm(dim, eps=_EPS) for _ in range(5)
        )
        self.first = _feedforward(dim, feedforward_dim, dropout)
        self.attention = RelativeAttention(dim, heads)
        self.convolution = ConvolutionModule(dim, kernel_size)
        self.second = _feedforward(dim, feedforward_dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, positions_LD: Tensor, valid_BT: Tensor) -> Tensor:
        x = x_BTD + 0.5 * self.dropout(self.first(self.first_norm(x_BTD)))
        x = x + self.dropout(self.attention(self.attention_norm(x), positions_LD, valid_BT))
        x = x + self.dropout(self.convolution(self.convolution_norm(x), valid_BT))
        x = x + 0.5 * self.dropout(self.second(self.second_norm(x)))
        normed: Tensor = self.final_norm(x)
        return normed


class RelativeAttention(nn.Module):
    """softmax(((q + u) k' + (q + v) r') / sqrt(d)) v, r the embedding of the distance (Dai et al., 2019, 3.3)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.position = nn.Linear(dim, dim, bias=False)
        self.content_bias, self.position_bias = (nn.Parameter(torch.empty(heads, dim // heads)) for _ in range(2))
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.position_bias)

    def forward(self, x_BTD: Tensor, positions_LD: Tensor, valid_BT: Tensor) -> Tensor:
        query, key, value = (self._split(part(x_BTD)) for part in (self.query, self.key, self.value))
        position_HLC = self._split(self.position(positions_LD)[None])[0]
        with_position = (query + self.position_bias[:, None].to(query.dtype)) @ position_HLC.mT
        bias = shift_to_keys(with_position) / math.sqrt(query.shape[-1])
        bias = bias.masked_fill(~valid_BT[:, None, None, :], -math.inf)
        content = query + self.content_bias[:, None].to(query.dtype)
        mixed_BHTC = F.scaled_dot_product_attention(content, key, value, attn_mask=bias.to(content.dtype))
        out: Tensor = self.out(mixed_BHTC.transpose(1, 2).flatten(2))
        return out

    def _split(self, x_BTD: Tensor) -> Tensor:
        x_BTHC: Tensor = x_BTD.unflatten(-1, (self.heads, -1))
        return x_BTHC.transpose(1, 2)


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution over time; zeros lie before the first and past the end."""

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(dim, 2 * dim, 1)
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.norm = nn.BatchNorm1d(dim)
        self.second = nn.Conv1d(dim, dim, 1)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor) -> Tensor:
        gated_BDT = F.glu(self.first(x_BTD.mT), dim=1) * valid_BT[:, None]
        rows_ND = self.depthwise(gated_BDT).mT[valid_BT]
        x_BTD = torch.zeros_like(x_BTD, dtype=rows_ND.dtype)
        x_BTD[valid_BT] = F.silu(self.norm(rows_ND))
        out: Tensor = self.second(x_BTD.mT).mT
        return out


def shift_to_keys(by_distance_BHTL: Tensor) -> Tensor:
    """Scores (B, H, T, 2T - 1) by distance, the largest first, to scores (B, H, T, T) by key."""
    batch, heads, count, distances = by_distance_BHTL.shape
    padded = F.pad(by_distance_BHTL, (1, 0)).view(batch, heads, distances + 1, count)
    return padded[:, :, 1:].reshape(batch, heads, count, distances)[..., :count]


def sinusoids(positions_T: Tensor, dim: int) -> Tensor:
    """Sines in even and cosines in odd channels (T, D) (Vaswani et al., 2017)."""
    rates = torch.exp(torch.arange(0, dim, 2, device=positions_T.device) * (-math.log(10_000) / dim))
    angles = positions_T[:, None].float() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def _feedforward(dim: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim))
