"""A picture of what was measured: the mesh over the photo, and beside it the coefficients of each face as bars."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from stages.common.face.expression import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    Expression,
)
from stages.expression.faces import MeasuredFace

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
CONTOURS = (OVAL, OUTER_LIPS, INNER_LIPS, RIGHT_EYE, LEFT_EYE, RIGHT_IRIS[1:], LEFT_IRIS[1:], RIGHT_BROW, LEFT_BROW)
HEIGHT_PX = (560, 1080)
"""Least and largest height of the picture."""
PANEL_PX, ROW_PX, BARS = 300, 22, 20
_MESH, _LINE, _INK, _PAPER, _BAR = (235, 245, 255), (64, 224, 160), (40, 40, 40), (250, 250, 250), (60, 140, 200)
_SUB_PIXEL_BITS = 4


def draw_measured(rgb: Picture, faces: Sequence[MeasuredFace]) -> Picture:
    """An RGB picture (H', W', 3): the photo with every mesh, and a panel a face, numbered from the left."""
    height = float(np.clip(rgb.shape[0], *HEIGHT_PX))
    scale = height / rgb.shape[0]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    photo = np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=method), np.uint8)
    panels = []
    for number, measured in enumerate(faces, 1):
        title = f"{number}" if len(faces) > 1 else ""
        if measured.expression is not None:
            points = (measured.expression.points_P3[:, :2] + 0.5) * scale - 0.5
            photo = draw_mesh(photo, points)
            _write(photo, title, points.min(axis=0) - (0, 6), 0.7, _LINE)
            panels.append(_draw_panel(measured.expression, title, photo.shape[0]))
    return np.concatenate([photo, *panels], axis=1)


def draw_mesh(photo: Picture, points_P2: NDArray[np.float32], opacity: float = 0.3) -> Picture:
    """The photo under a net of triangles, with the contours of face, brows, eyes, irises and lips."""
    net = photo.copy()
    triangles = Delaunay(points_P2).simplices
    cv2.polylines(net, list(_fixed(points_P2)[triangles]), True, _MESH, 1, cv2.LINE_AA, _SUB_PIXEL_BITS)
    mixed = np.asarray(cv2.addWeighted(net, opacity, photo, 1 - opacity, 0), np.uint8)
    thickness = max(1, round(float(np.ptp(points_P2[:, 0])) / 250))
    for contour in CONTOURS:
        line = _fixed(points_P2[list(contour)])
        cv2.polylines(mixed, [line], True, _LINE, thickness, cv2.LINE_AA, _SUB_PIXEL_BITS)
    return mixed


def _draw_panel(expression: Expression, title: str, height_px: int) -> Picture:
    panel = np.full((height_px, PANEL_PX, 3), _PAPER, np.uint8)
    _write(panel, f"{title}  confidence {expression.confidence:.2f}".strip(), np.array([12, 24]), 0.5)
    strongest = sorted(expression.named().items(), key=lambda item: -item[1])[:BARS]
    for row, (name, value) in enumerate(strongest):
        top = 40 + row * ROW_PX
        _write(panel, name, np.array([12, top + 14]), 0.42)
        right = 160 + round((PANEL_PX - 205) * min(1.0, value))
        cv2.rectangle(panel, (160, top + 4), (right, top + ROW_PX - 6), _BAR, -1)
        _write(panel, f"{value:.2f}", np.array([PANEL_PX - 38, top + 14]), 0.42)
    return panel


def _fixed(points_P2: NDArray[np.float32]) -> NDArray[np.int32]:
    """Coordinates as OpenCV draws them with fractions of pixels."""
    return np.asarray(np.rint(points_P2 * 2**_SUB_PIXEL_BITS), np.int32)


def _write(picture: Picture, text: str, at_xy: NDArray[np.generic], size: float, colour: Colour = _INK) -> None:
    place = (int(at_xy[0]), int(at_xy[1]))
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1 + (size > 0.6), cv2.LINE_AA)
