"""From clips to what a step reads: spans of mouths, moved, mirrored and masked, and their texts as classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from stages.lipreader.config import LipReaderTrainConfig
from stages.lipreader.mouths import MouthData
from stages.lipreader.spans import cut_spans
from stages.models.mouth_crop import CROP_PX
from stages.models.text_units import spell

IGNORED = -1
"""Stands past the end of a text."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A span: mouths (T, 88, 88), the classes of its text, and its share of the loss of its batch."""

    mouths: NDArray[np.uint8]
    classes: Sequence[int]
    weight: float


@dataclass(frozen=True, slots=True)
class Batch:
    """B spans side by side: mouths uint8 (B, T, 88, 88), black past the end, their numbers of frames (B,), texts as
    classes (B, L), ``IGNORED`` past the end, and weights (B,)."""

    mouths: Tensor
    lengths: Tensor
    texts: Tensor
    weights: Tensor


def draw_clip(
    data: MouthData,
    index: int,
    units: Sequence[str],
    config: LipReaderTrainConfig,
    *,
    words: int | None,
    random: np.random.Generator,
) -> list[Spoken]:
    """The spans of one clip, of so many ``words``, that a step trains on."""
    facts, mouths = data.facts[index], data.mouths(index)
    seen = _mask(_move(mouths, config.mirrored, random), config.mask_s * facts["fps"], facts["fps"], random)
    spans = cut_spans(facts, len(mouths), words, random)
    classes = [spell(span.text, units) for span in spans]
    total = sum(map(len, classes))
    return [Spoken(seen[s.start : s.end], c, 1 / total) for s, c in zip(spans, classes, strict=True)]


def join_spans(spans: Sequence[Spoken]) -> Batch:
    return Batch(
        pad_sequence([torch.from_numpy(span.mouths) for span in spans], batch_first=True),
        torch.tensor([len(span.mouths) for span in spans]),
        pad_sequence([torch.tensor(span.classes) for span in spans], batch_first=True, padding_value=IGNORED),
        torch.tensor([span.weight for span in spans]),
    )


def centre(mouths: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a reader sees of larger crops (T, S, S) when it is not trained."""
    edge = (mouths.shape[-1] - CROP_PX) // 2
    return mouths[:, edge : edge + CROP_PX, edge : edge + CROP_PX]


def _move(mouths: NDArray[np.uint8], mirrored: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """A copy cut out somewhere in the larger crops, and a share of them mirrored."""
    y, x = random.integers(0, mouths.shape[-1] - CROP_PX + 1, 2)
    cut = mouths[:, y : y + CROP_PX, x : x + CROP_PX]
    return np.ascontiguousarray(cut[..., ::-1] if random.random() < mirrored else cut)


def _mask(mouths: NDArray[np.uint8], longest: float, every: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Make up to ``longest`` frames black for each ``every`` frames of ``mouths``, which is written to."""
    for _ in range(round(len(mouths) / every)):
        length = int(random.integers(0, int(longest) + 1))
        start = int(random.integers(0, len(mouths)))
        mouths[start : start + length] = 0
    return mouths
