"""The thesis's own experts, as the ONNX files in which they are distributed: HSEmotion, and CosFace on Glint360K."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.errors import MissingModelError
from stages.common.experts import require_expert
from stages.common.face.similarity import estimate_similarity
from stages.common.face.warp import align_face

HSEMOTION_LABELS = ("anger", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The order of HSEmotion's seven-class networks, under facediff's names."""

_HSEMOTION_SIZE_PX = 260
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_COSFACE_SIZE_PX = 112
_COSFACE_POINTS = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where InsightFace's networks expect the eyes, the tip of the nose and the corners of the mouth, in 112 pixels."""


class HsEmotion:
    """enet_b2_7 (Savchenko 2022): probabilities (B, 7) of whole face crops."""

    labels = HSEMOTION_LABELS

    def __init__(self) -> None:
        self._network = _OnnxNetwork("hsemotion")

    def __call__(self, pictures_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = (_HSEMOTION_SIZE_PX, _HSEMOTION_SIZE_PX)
        resized = np.stack([cv2.resize(picture, size) for picture in pictures_BHWC]).astype(np.float32) / 255
        normalised = ((resized - _IMAGENET_MEAN) / _IMAGENET_STD).astype(np.float32)
        logits = self._network(normalised)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


class CosFaceEmbedder:
    """CosFace (Wang et al. 2018), ResNet-100 on Glint360K: the embedding of a face whose landmarks are known."""

    def __init__(self) -> None:
        self._network = _OnnxNetwork("cosface")

    def __call__(self, rgb: NDArray[np.uint8], landmarks_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """The embedding (D,) of the face in an RGB picture (H, W, 3) with these (68, 2) landmarks."""
        matrix = estimate_similarity(_five_points(landmarks_xy), np.array(_COSFACE_POINTS))
        face = align_face(rgb, matrix, _COSFACE_SIZE_PX).astype(np.float32)
        return np.asarray(self._network((face / 127.5 - 1)[np.newaxis])[0], dtype=np.float64)


def _five_points(landmarks_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eyes, tip of the nose and corners of the mouth, of the usual 68 points."""
    eyes = [landmarks_xy[36:42].mean(axis=0), landmarks_xy[42:48].mean(axis=0)]
    return np.stack([*eyes, landmarks_xy[30], landmarks_xy[48], landmarks_xy[54]])


class _OnnxNetwork:
    """A network with one input and one output, run by OpenCV. Raises ``MissingModelError``."""

    def __init__(self, expert: str) -> None:
        path = require_expert(expert)
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise MissingModelError(f"{path} is not an ONNX network", "Delete it, and get it again") from error

    def __call__(self, inputs_BHWC: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
        """One picture at a time: exported networks often fix the batch size."""
        outputs = []
        for inputs_HWC in inputs_BHWC:
            self._network.setInput(np.ascontiguousarray(inputs_HWC.transpose(2, 0, 1)[np.newaxis]))
            outputs.append(self._network.forward()[0])
        return np.asarray(np.stack(outputs), dtype=np.float32)
