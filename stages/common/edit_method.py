"""How an edit is done, apart from what it is to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from stages.models.sampler_names import RoundTripName


@dataclass(frozen=True, slots=True)
class EditMethod:
    """How faces go into noise and come back; what is not here is the same for all methods.

    ``guided`` "back" inverts by the plain conditional model. ``guided_levels`` and ``negative_labels`` (B,) are those
    of ``classifier_free_guidance``, both ways; ``classifier_scale`` is that of classifier guidance, on the way back.
    ``target_weights`` (B, 8) mixes the contexts of all classes for the way back, and then the target labels do not.
    """

    sampler: RoundTripName = "ddim"
    guided: Literal["both", "back"] = "both"
    guided_levels: tuple[int, int] | None = None
    negative_labels: Tensor | None = None
    classifier_scale: float = 0.0
    target_weights: Tensor | None = None


THESIS_METHOD = EditMethod()
