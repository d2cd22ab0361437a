"""The bundled measure of expressions at work: crops, or faces in photos, to points, coefficients and a confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.face.expression import Expression
from stages.common.face.warp import align_face
from stages.common.tensors import to_model_range
from stages.models.expression_network import ExpressionNetwork


class ExpressionStudent:
    """An ``ExpressionNetwork`` that is called as the teacher, ``FaceLandmarker``, is."""

    def __init__(self, network: ExpressionNetwork, device: str = "cpu") -> None:
        self._network = network
        self._device = device

    def __call__(self, rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int) -> Expression:
        """The expression of the face that ``matrix`` (2, 3) takes from the photo to a crop of ``size_px``.

        Points are in pixels of that crop.
        """
        return self.of_crops([align_face(rgb, matrix, size_px)])[0]

    @torch.inference_mode()
    def of_crops(self, crops: Sequence[NDArray[np.uint8]]) -> list[Expression]:
        """The expressions of aligned crops (S, S, 3) of one size, in one pass."""
        measured = self._network(to_model_range(crops).to(self._device))
        points, coefficients, confidence = (part.float().cpu().numpy() for part in measured)
        return [Expression(p, k, float(c)) for p, k, c in zip(points, coefficients, confidence, strict=True)]
