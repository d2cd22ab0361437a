"""Looking for faces in a picture: as a whole, finer for small faces, and turned where nobody stands upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stages.common.face.choose import likely_faces
from stages.common.face.detect import Face, FaceDetector
from stages.common.face.tracking import overlap

Picture = NDArray[np.uint8]
_TURNS = (1, 3, 2)
"""Quarter turns of a picture that may make a face upright, besides none."""
_SURE_SCORE = 0.2
"""An upright face that scores less may be none: then turned ones are looked for as well."""
_LEAST_FINE_SCORE = 0.3
_SAME = 0.3
"""Intersection over union of two finds of one face."""


@runtime_checkable
class FineDetector(FaceDetector, Protocol):
    """A detector that sees more in a second, slower look."""

    def look_closer(self, rgb: Picture) -> list[Face]:
        """Faces in an (H, W, 3) picture, also such that are too small for the first look."""

    def least_px(self, rgb: Picture) -> int:
        """The side of the smallest face that ``look_closer`` finds in a picture of this size."""


def find_faces(
    detector: FaceDetector, rgb: Picture, path: Path | str, *, every: bool = True, turned: bool = True
) -> list[Face]:
    """The likely faces of a photo (H, W, 3), the largest first.

    ``every`` looks again, finer, for small faces beside large ones; ``turned`` for faces that lie on their side or
    stand on their head, where none is upright. Raises ``BadInputError`` ("no face"), which says what was tried.
    """
    faces = _look(detector, rgb, every)
    if turned and max((face.score for face in faces), default=0.0) < _SURE_SCORE:
        for turns in _TURNS:
            faces = _joined(faces, [turn_back(face, turns, rgb) for face in _look(detector, _turn(rgb, turns), every)])
    return likely_faces(faces, path, describe_search(detector, rgb, turned=turned))


def describe_search(detector: FaceDetector, rgb: Picture | None, *, turned: bool) -> str:
    """What ``find_faces`` does, for the message where it finds nobody."""
    size = f" of {detector.least_px(rgb)} px and more" if isinstance(detector, FineDetector) and rgb is not None else ""
    ways = "upright and turned by 90 and 180 degrees" if turned else "upright"
    return f"Faces{size} were looked for, {ways}. Is it turned away, or covered?"


@dataclass(slots=True)
class FrameSearch:
    """``find_faces`` for the frames of one video, in which no face is no error.

    A film is held in one way: the turn in which somebody was found first is kept for all later frames.
    """

    detector: FaceDetector
    path: Path
    every: bool = False
    turned: bool = True
    _turns: int | None = None
    _seen: Picture | None = None

    def __call__(self, rgb: Picture) -> list[Face]:
        self._seen = rgb
        unsure: list[Face] = []
        for turns in self._ways():
            found = [turn_back(face, turns, rgb) for face in _look(self.detector, _turn(rgb, turns), self.every)]
            faces = likely_faces(found, self.path) if found else []
            if max((face.score for face in faces), default=0.0) >= _SURE_SCORE:
                self._turns = turns
                return faces
            if turns in {0, self._turns}:
                unsure = faces
        return unsure

    def _ways(self) -> tuple[int, ...]:
        if self._turns is not None:
            return (self._turns,)
        return (0, *_TURNS) if self.turned else (0,)

    @property
    def tried(self) -> str:
        return describe_search(self.detector, self._seen, turned=self.turned)


def turn_back(face: Face, turns: int, rgb: Picture) -> Face:
    """A face that was found in ``np.rot90(rgb, turns)``, in the pixels of ``rgb`` itself."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = face.box_xyxy
    x, y = face.landmarks[:, 0], face.landmarks[:, 1]
    # Landmarks are whole at the middle of a pixel, and the edges of boxes between two.
    if turns == 1:
        box, points = (width - bottom, left, width - top, right), (width - 1 - y, x)
    elif turns == 2:
        box = (width - right, height - bottom, width - left, height - top)
        points = (width - 1 - x, height - 1 - y)
    elif turns == 3:
        box, points = (top, height - right, bottom, height - left), (y, height - 1 - x)
    else:
        return face
    return Face(box, face.score, np.column_stack(points))


def _look(detector: FaceDetector, rgb: Picture, every: bool) -> list[Face]:
    faces = detector(rgb)
    if not isinstance(detector, FineDetector) or (faces and not every):
        return faces
    closer = detector.look_closer(rgb)
    return _joined(faces, [face for face in closer if face.score >= _LEAST_FINE_SCORE] if faces else closer)


def _joined(known: Sequence[Face], more: Sequence[Face]) -> list[Face]:
    """All faces, each once as it was found first, the largest first."""
    faces = list(known)
    for face in more:
        if not any(overlap(face, other) >= _SAME or _holds(other, face) for other in faces):
            faces.append(face)
    return sorted(faces, key=lambda face: (-face.area_px, face.box_xyxy))


def _holds(face: Face, other: Face) -> bool:
    """Whether the middle of ``other`` is in the middle half of ``face``: an eye or a mouth, taken for a face."""
    left, top, right, bottom = face.box_xyxy
    x, y = (other.box_xyxy[0] + other.box_xyxy[2]) / 2, (other.box_xyxy[1] + other.box_xyxy[3]) / 2
    return abs(x - (left + right) / 2) < (right - left) / 4 and abs(y - (top + bottom) / 2) < (bottom - top) / 4


def _turn(rgb: Picture, turns: int) -> Picture:
    return np.ascontiguousarray(np.rot90(rgb, turns))
