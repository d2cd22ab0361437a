"""What an edit takes where the user does not say: the expression in the photo, and the guidance scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from stages.common.emotions import EMOTIONS

DEFAULT_GUIDANCE = 3.0
NEUTRAL = EMOTIONS[0]


class Classifies(Protocol):
    """A model that says which expression a face has, and which expressions it can do."""

    @property
    def supported(self) -> tuple[str, ...]: ...

    def classify(self, images_BCHW: Tensor) -> Tensor: ...


def classify_sources(model: Classifies, images_BCHW: Tensor) -> tuple[list[str], list[float]]:
    """The likeliest of the emotions that the model can do, and its probability, for each crop in -1..1."""
    supported = [EMOTIONS.index(name) for name in model.supported]
    found = model.classify(images_BCHW).detach().float().cpu()[:, supported].max(dim=1)
    return [model.supported[i] for i in found.indices.tolist()], found.values.tolist()


class RecommendsGuidance(Protocol):
    """A model that knows which guidance scale turns a neutral face into some emotions."""

    @property
    def recommended_guidance(self) -> Mapping[str, float]: ...


def guidance_for(model: RecommendsGuidance, source: str, target: str, wanted: float | None = None) -> float:
    """The guidance scale of one edit: what the user wants, else what suits.

    A neutral face takes the model's own for the target. Leaving another expression changes the face much already, and
    takes the default.
    """
    if wanted is not None:
        return wanted
    if source != NEUTRAL:
        return DEFAULT_GUIDANCE
    return float(model.recommended_guidance.get(target, DEFAULT_GUIDANCE))
