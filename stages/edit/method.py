"""From settings to how and towards what a model edits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stages.common.edit_method import EditMethod
from stages.common.emotions import EMOTIONS
from stages.edit.config import EditConfig


def edit_method(config: EditConfig, sources: Sequence[str], *, by_labels: bool = True) -> EditMethod:
    """The settings that say how, for faces with these source labels; they matter where edits are by labels."""
    if not by_labels:
        return EditMethod(
            sampler=config.sampler,
            guided="back" if config.guided == "auto" else config.guided,
            guided_levels=config.guided_levels,
        )
    negative = [source if config.negative == "source" else config.negative for source in sources]
    return EditMethod(
        sampler=config.sampler,
        guided="both" if config.guided == "auto" else config.guided,
        guided_levels=config.guided_levels,
        classifier_scale=config.classifier_scale,
        negative_labels=None if config.negative == "null" else torch.tensor([EMOTIONS.index(n) for n in negative]),
        target_weights=target_weights(config, sources),
    )


def target_weights(config: EditConfig, sources: Sequence[str]) -> torch.Tensor | None:
    """Weights (B, 8) of the classes: (1 - amount) of the face's own and ``amount`` of the mixture's.

    None where that is one emotion and nothing else.
    """
    if config.amount == 1 and len(config.mixture) == 1:
        return None
    weights_BK = torch.zeros(len(sources), len(EMOTIONS))
    for row, source in enumerate(sources):
        weights_BK[row, EMOTIONS.index(source)] += 1 - config.amount
        for emotion, weight in config.mixture.items():
            weights_BK[row, EMOTIONS.index(emotion)] += config.amount * weight
    return weights_BK
