"""Whether a face is still the same person's: dlib's face embedding."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray

from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import package_weights

EMBEDDING_SIZE = 128


def embedding_weights() -> Path:
    """The file of dlib's face recognition network. Raises ``MissingModelError``."""
    return package_weights("dlib_face_recognition_resnet_model_v1.dat")


class FaceEmbedder:
    """dlib's 128 numbers of a face whose landmarks are known. Raises ``MissingModelError`` without the weights."""

    def __init__(self) -> None:
        self._network = dlib.face_recognition_model_v1(str(embedding_weights()))

    def __call__(self, rgb: NDArray[np.uint8], landmarks_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """The embedding (128,) of the face in an RGB photo (H, W, 3) with these (68, 2) landmarks."""
        points = np.rint(landmarks_xy).astype(int)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        shape = dlib.full_object_detection(
            dlib.rectangle(int(left), int(top), int(right), int(bottom)),
            [dlib.point(int(x), int(y)) for x, y in points],
        )
        return np.array(self._network.compute_face_descriptor(np.ascontiguousarray(rgb), shape))

    def of_crop(self, crop_SS3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The embedding (128,) of an aligned face, whose landmarks are the canonical ones."""
        return self(crop_SS3, canonical_landmarks(len(crop_SS3))).astype(np.float32)


@cache
def face_embedder() -> FaceEmbedder:
    """The one of this process. Raises ``MissingModelError``."""
    return FaceEmbedder()
