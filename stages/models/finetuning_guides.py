"""What tells a denoiser, while it is tuned, how far its edits are from an expression (thesis 4.5.2).

Shapes: B pictures, S side in pixels, D dimensions of an embedding, K classes. Pictures are RGB in -1..1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_LEAST_AGREEMENT = 1e-6


def directional_distance(image_direction_BD: Tensor, text_direction_BD: Tensor) -> Tensor:
    """L_dir = 1 - cos(dI, dT) of each pair (B,), in 0..2 (thesis eq. 4.21)."""
    return 1 - F.cosine_similarity(image_direction_BD, text_direction_BD, dim=1)


def log_agreement_loss(distance_B: Tensor) -> Tensor:
    """L*_dir = -log((2 - L_dir) / 2), from 0 at equal directions to infinity at opposite ones (thesis eq. 4.23)."""
    return -((2 - distance_B) / 2).clamp(min=_LEAST_AGREEMENT).log()


def text_directions(embeddings_KND: Tensor, target: int) -> Tensor:
    """The way (K, D) from each class's text to the target's: unit embeddings of N phrasings, differences averaged."""
    unit_KND = F.normalize(embeddings_KND, dim=2)
    return (unit_KND[target] - unit_KND).mean(dim=1)


class DirectionalGuide(nn.Module):
    """L*_dir in the space of CLIP: an edit should differ from its photo as the target's text does from the source's.

    ``embed`` takes pictures (B, 3, S, S), resized to ``size_px`` and normalised as CLIP expects, to (B, D).
    ``directions_KD`` are those of ``text_directions``.
    """

    directions_KD: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, embed: Callable[[Tensor], Tensor], directions_KD: Tensor, size_px: int) -> None:
        super().__init__()
        self.embed = embed
        self.size_px = size_px
        self.register_buffer("directions_KD", directions_KD)
        self.register_buffer("mean", torch.tensor(_CLIP_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_CLIP_STD).view(1, 3, 1, 1))

    def forward(self, edited_BCHW: Tensor, source_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        """The mean loss of edits of sources with these labels, a scalar; gradients reach the edits."""
        with torch.no_grad():
            before_BD = self._embed(source_BCHW)
        directions_BD = self._embed(edited_BCHW) - before_BD
        return log_agreement_loss(directional_distance(directions_BD, self.directions_KD[labels_B])).mean()

    def _embed(self, x_BCHW: Tensor) -> Tensor:
        size = (self.size_px, self.size_px)
        resized = F.interpolate(x_BCHW, size, mode="bicubic", antialias=True, align_corners=False)
        return F.normalize(self.embed(((resized + 1) / 2 - self.mean) / self.std).float(), dim=1)


class ClassifierGuide(nn.Module):
    """In place of CLIP: -log p(target | edit) of an emotion classifier, whatever the source was."""

    def __init__(self, classifier: nn.Module, target: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.target = target

    def forward(self, edited_BCHW: Tensor, _source_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        """The mean loss of the edits, a scalar."""
        logits_BK = self.classifier(edited_BCHW).float()
        return F.cross_entropy(logits_BK, torch.full_like(labels_B, self.target))
