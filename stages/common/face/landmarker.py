"""The teacher of expressions: MediaPipe's Face Landmarker, an optional package and a file of the expert store."""

from __future__ import annotations

import atexit
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import MissingModelError
from stages.common.experts import require_expert
from stages.common.face.expression import COEFFICIENTS, Expression
from stages.common.face.warp import align_face

VIEW_PX = 256
CONTEXT = 1.6
"""How many crop widths of the photo the teacher sees: its detector expects room around a face."""


CENTER = (0.5, 0.5)
"""The middle of an aligned face's points in its crop, as a share of it."""


class FaceLandmarker:
    """Points and coefficients of a face whose place is known. Raises ``MissingModelError`` where it can't be had."""

    def __init__(self) -> None:
        model = require_expert("face-landmarker")
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise MissingModelError(
                f"MediaPipe is not installed ({error})", "Install the extra: pip install 'facediff[expression]'"
            ) from error
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True, num_faces=3
        )
        self._landmarker = vision.FaceLandmarker.create_from_options(options)
        # Its destructor needs threads that have ended when the interpreter does, and would print a traceback.
        atexit.register(setattr, self._landmarker, "_handle", None)
        self._image: Any = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB

    def __call__(self, rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int) -> Expression | None:
        """The expression of the face that ``matrix`` (2, 3) takes from the photo to a crop of ``size_px``.

        Points are in pixels of that crop. None where the teacher finds no face there, or only others.
        """
        to_view = _zoom_out(matrix, size_px)
        view = np.ascontiguousarray(align_face(rgb, to_view, VIEW_PX))
        found = self._landmarker.detect(self._image(image_format=self._format, data=view))
        for landmarks, shapes in zip(found.face_landmarks, found.face_blendshapes, strict=True):
            points = np.array([(p.x, p.y, p.z) for p in landmarks], np.float32) * VIEW_PX
            points = _to_crop(points, size_px)
            if _fills_crop(points, size_px):
                scores = {shape.category_name: shape.score for shape in shapes}
                return Expression(points, np.array([scores[name] for name in COEFFICIENTS], np.float32))
        return None


def _fills_crop(points_P3: NDArray[np.float32], size_px: int) -> bool:
    """Whether this is the face that the crop was cut for: in its middle, and as large as aligned faces are."""
    low, high = points_P3[:, :2].min(axis=0) / size_px, points_P3[:, :2].max(axis=0) / size_px
    off_center = np.abs((low + high) / 2 - CENTER)
    return bool((off_center < 0.15).all() and (high - low > 0.4).all() and (high - low < 1.1).all())


def _zoom_out(matrix: NDArray[np.float64], size_px: int) -> NDArray[np.float64]:
    """The transform from the photo to a view of ``VIEW_PX`` that shows ``CONTEXT`` crop widths around the crop."""
    scale = VIEW_PX / (size_px * CONTEXT)
    zoomed = scale * np.asarray(matrix, np.float64)
    zoomed[:, 2] += (VIEW_PX - 1) / 2 - scale * (size_px - 1) / 2
    return zoomed


def _to_crop(points_P3: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Points of the view, whose pixels' edges are whole, in pixels of the crop, whose centres are."""
    scale = size_px * CONTEXT / VIEW_PX
    moved = points_P3 * scale
    moved[:, :2] += (size_px - 1) / 2 - scale * ((VIEW_PX - 1) / 2 + 0.5)
    return moved.astype(np.float32)
