"""Faces followed from frame to frame: who is who, and where they are, smoothed in time with a bounded delay."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.face.detect import Face

MIN_OVERLAP = 0.3
"""Least intersection over union of a face's boxes in two frames."""
CUT_CHANGE = 25.0
"""Least mean change of a small picture (of 255) at a cut, which is also ``CUT_CONTRAST`` times what was usual."""
CUT_CONTRAST = 3.0
NO_FACE, NO_SUCH_FACE = "no face", "no such face"
"""Why a frame has nobody in it who is wanted."""
_SMALL_WH = (48, 36)

Picture = NDArray[np.uint8]
WhichFace = Literal["largest", "all"] | int
FrameT = TypeVar("FrameT")


class CutFinder:
    """Says of each frame whether a new scene begins with it."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._usual = 0.0

    def __call__(self, rgb: Picture) -> bool:
        small = cv2.resize(rgb, _SMALL_WH, interpolation=cv2.INTER_AREA).astype(np.float32)
        change = 0.0 if self._before is None else float(np.abs(small - self._before).mean())
        self._before = small
        if change > max(CUT_CHANGE, CUT_CONTRAST * self._usual):
            self._usual = 0.0
            return True
        self._usual = 0.8 * self._usual + 0.2 * change
        return False


class Tracks:
    """Gives the faces of successive frames the numbers of their tracks, by the overlap of their boxes.

    A track that is not seen in ``patience`` frames ends, and all end at a cut; numbers are never used again.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._open: dict[int, tuple[Face, int]] = {}
        self._next = 0

    def update(self, faces: Sequence[Face], *, cut: bool) -> dict[int, Face]:
        """The faces of the next frame by track."""
        if cut:
            self._open = {}
        pairs = sorted(
            (
                (overlap(face, seen), track, i)
                for i, face in enumerate(faces)
                for track, (seen, _) in self._open.items()
            ),
            key=lambda pair: (-pair[0], pair[1:]),
        )
        found: dict[int, Face] = {}
        placed: set[int] = set()
        for share, track, i in pairs:
            if share >= MIN_OVERLAP and track not in found and i not in placed:
                found[track] = faces[i]
                placed.add(i)
        for i, face in enumerate(faces):
            if i not in placed:
                found[self._next] = face
                self._next += 1
        missed = {track: (face, age + 1) for track, (face, age) in self._open.items() if age < self._patience}
        self._open = missed | {track: (face, 0) for track, face in found.items()}
        return found


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two boxes."""
    left, top = max(a.box_xyxy[0], b.box_xyxy[0]), max(a.box_xyxy[1], b.box_xyxy[1])
    right, bottom = min(a.box_xyxy[2], b.box_xyxy[2]), min(a.box_xyxy[3], b.box_xyxy[3])
    common = max(0.0, right - left) * max(0.0, bottom - top)
    return common / (a.area_px + b.area_px - common) if common else 0.0


@dataclass(slots=True)
class Followed(Generic[FrameT]):
    """A frame with the faces in it by track; ``seen`` are the detector's, ``faces`` the smoothed ones."""

    frame: FrameT
    seen: dict[int, Face]
    faces: dict[int, Face] = field(default_factory=dict)


def reach_of(smoothing: float) -> int:
    """How many frames ahead ``follow`` looks, and how long a gap in a track it fills."""
    return max(1, round(2.5 * smoothing))


def follow(
    frames: Iterable[FrameT],
    picture_of: Callable[[FrameT], Picture],
    detect: Callable[[Picture], Sequence[Face]],
    smoothing: float,
) -> Iterator[Followed[FrameT]]:
    """The frames in order, each with its faces by track, ``reach_of(smoothing)`` frames late.

    Landmarks and boxes are those of a line through the frames around, with Gaussian weights of standard deviation
    ``smoothing`` in frames; 0 takes them as they are. A face that was missed between two frames where it was found is
    filled in.
    """
    reach = reach_of(smoothing)
    tracks, is_cut = Tracks(patience=reach), CutFinder()
    past: deque[dict[int, Face]] = deque(maxlen=reach)
    ahead: deque[Followed[FrameT]] = deque()
    for frame in frames:
        rgb = np.ascontiguousarray(picture_of(frame))
        ahead.append(Followed(frame, tracks.update(detect(rgb), cut=is_cut(rgb))))
        if len(ahead) > reach:
            yield _smoothed(past, ahead, smoothing)
            past.append(ahead.popleft().seen)
    while ahead:
        yield _smoothed(past, ahead, smoothing)
        past.append(ahead.popleft().seen)


@dataclass(frozen=True, slots=True)
class Chosen(Generic[FrameT]):
    """A frame with the wanted ones of the faces in it by track; where there is none, ``reason`` says why."""

    frame: FrameT
    faces: dict[int, Face]
    reason: str


def choose_tracks(followed: Iterable[Followed[FrameT]], wanted: WhichFace) -> Iterator[Chosen[FrameT]]:
    """The wanted faces of each frame: of "largest", and of a number from the left (1, 2, ...), that one until its track
    ends which was it first."""
    kept: int | None = None
    for item in followed:
        if wanted == "all" or not item.faces:
            yield Chosen(item.frame, item.faces, NO_FACE)
            continue
        if kept not in item.faces:
            kept = _pick(item.faces, wanted)
        yield Chosen(item.frame, {} if kept is None else {kept: item.faces[kept]}, NO_SUCH_FACE)


def _pick(faces: Mapping[int, Face], wanted: WhichFace) -> int | None:
    if wanted == "largest":
        return max(faces, key=lambda track: faces[track].area_px)
    from_left = sorted(faces, key=lambda track: faces[track].box_xyxy[0])
    number = int(wanted)
    return from_left[number - 1] if number <= len(from_left) else None


def _smoothed(
    past: Sequence[Mapping[int, Face]], ahead: Sequence[Followed[FrameT]], smoothing: float
) -> Followed[FrameT]:
    now = ahead[0]
    window = [(i - len(past), seen) for i, seen in enumerate([*past, *(followed.seen for followed in ahead)])]
    for track in sorted({track for _, seen in window for track in seen}):
        times = [time for time, seen in window if track in seen]
        if min(times) <= 0 <= max(times):
            now.faces[track] = _fit([(time, seen[track]) for time, seen in window if track in seen], smoothing)
    return now


def _fit(seen: Sequence[tuple[int, Face]], smoothing: float) -> Face:
    """The face at time 0 on the weighted least-squares line through all points of ``seen``."""
    exact = next((face for time, face in seen if time == 0), None)
    if exact is not None and (smoothing == 0 or len(seen) == 1):
        return exact
    times = np.array([time for time, _ in seen], dtype=np.float64)
    weights = np.exp(-0.5 * (times / max(smoothing, 1.0)) ** 2)
    weights /= weights.sum()
    middle = float(weights @ times)
    spread = float(weights @ (times - middle) ** 2)
    weights = weights * (1 - middle * (times - middle) / spread)
    landmarks = np.tensordot(weights, np.stack([face.landmarks for _, face in seen]), axes=1)
    left, top, right, bottom = weights @ np.array([face.box_xyxy for _, face in seen])
    score = exact.score if exact is not None else min(face.score for _, face in seen)
    return Face((float(left), float(top), float(right), float(bottom)), score, landmarks)
