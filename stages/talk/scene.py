"""What is seen while a face talks: a video, played forth and back for as long as it takes, or one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, cycle, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.face.detect import FaceDetector
from stages.common.face.search import FrameSearch
from stages.common.face.tracking import NO_FACE, choose_tracks, follow
from stages.common.images import read_rgb
from stages.common.media.video import Video
from stages.common.media_files import VIDEO_SUFFIXES
from stages.common.progress import Progress
from stages.common.video import VideoInfo, VideoReader
from stages.talk.framing import frame_boxes

Picture = NDArray[np.uint8]
LONGEST_SIDE_PX = 1920
"""Larger photos are shrunk: few players show larger videos."""
_BACK_FRAMES = 16
"""How many frames are held to play them backwards."""
_RATES_HZ = (1, 120)
_USUAL_HZ = 25


@dataclass(frozen=True, slots=True)
class Place:
    """Where the talking person is in a frame: landmarks (68, 2) in its pixels, and the transform to the crop."""

    track: int
    landmarks: NDArray[np.float64]
    matrix: NDArray[np.float64]


class Scene:
    """The frames of the result before anyone talks. ``places`` are those of the source's own frames, or None where the
    person is not seen; ``damaged`` counts what of the source could not be decoded."""

    def __init__(self, info: VideoInfo, video: Video | None, picture: Picture, places: Sequence[Place | None]) -> None:
        self.info, self.places = info, places
        self.damaged = 0 if video is None else video.facts.damaged
        self._video, self._picture = video, picture

    def frames(self) -> Iterator[tuple[Picture, Place | None]]:
        """Endless: the source forth and back, the turning frames once. Pictures may be written to."""
        for number, picture in self._pictures():
            yield picture.copy(), self.places[number]

    def _pictures(self) -> Iterator[tuple[int, Picture]]:
        if self._video is None or len(self.places) == 1:
            yield from ((0, self._picture) for _ in count())
            return
        last = len(self.places) - 1
        for forth in cycle((True, False)):
            numbered = _forth(self._video, last) if forth else _back(self._video, last)
            yield from ((number, _even(picture)) for number, picture in numbered)


def _forth(video: Video, last: int) -> Iterator[tuple[int, Picture]]:
    """Pictures 0 to ``last`` - 1."""
    return enumerate(islice(video, last))


def _back(video: Video, last: int) -> Iterator[tuple[int, Picture]]:
    """Pictures ``last`` to 1."""
    for stop in range(last + 1, 1, -_BACK_FRAMES):
        first = max(1, stop - _BACK_FRAMES)
        held = list(islice(video.starting_at(first), stop - first))
        yield from reversed(list(enumerate(held, first)))


@dataclass(frozen=True, slots=True)
class FaceSearch:
    """How a face is found and cut: crops of ``size_px``, landmarks smoothed as by ``follow``."""

    detector: FaceDetector
    size_px: int
    smoothing: float


def open_scene(path: Path, duration_s: Fraction, fps: float, search: FaceSearch, progress: Progress) -> Scene:
    """Find the face in a photo, or follow the largest one in a video for ``duration_s`` (or until it ends).

    A photo becomes a video of ``fps``; a video keeps its rate.
    Raises ``BadInputError`` for what cannot be read, and "no face" where there is none in any frame.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        picture = _even(_shrink(read_rgb(path)))
        places = _places([picture], fps, path, search)
        return Scene(_describe(path, picture, Fraction(fps).limit_denominator(1001)), None, picture, places)
    with VideoReader(path) as reader:
        info = reader.info
    rate = info.rate_hz if _RATES_HZ[0] <= info.rate_hz <= _RATES_HZ[1] else Fraction(_USUAL_HZ)
    video = Video(path, rate)
    first = next(iter(video))
    wanted = max(1, round(duration_s * rate))
    with progress.task("looking for the face", min(wanted, info.frames or wanted)) as task:

        def watched() -> Iterator[Picture]:
            for picture in islice(video, wanted):
                yield picture
                task.advance()

        places = _places(watched(), float(rate), path, search)
    return Scene(_describe(path, _even(first), rate, info.metadata), video, _even(first), places)


def _places(
    pictures: Sequence[Picture] | Iterator[Picture], fps: float, path: Path, search: FaceSearch
) -> list[Place | None]:
    seen: list[tuple[int, NDArray[np.float64]] | None] = []
    # The model speaks with upright faces, and a crop is not turned.
    look = FrameSearch(search.detector, path, turned=False)
    followed = follow(pictures, lambda picture: picture, look, search.smoothing)
    for chosen in choose_tracks(followed, "largest"):
        seen.append(next(((track, face.landmarks) for track, face in chosen.faces.items()), None))
    places: list[Place | None] = [None] * len(seen)
    for wanted in sorted({found[0] for found in seen if found}):
        numbers = [number for number, found in enumerate(seen) if found and found[0] == wanted]
        landmarks = np.stack([found[1] for found in seen if found and found[0] == wanted])
        for number, points, box in zip(numbers, landmarks, frame_boxes(landmarks, fps), strict=True):
            places[number] = Place(wanted, points, box.matrix(search.size_px))
    if not any(places):
        frames = "" if len(seen) == 1 else f"any of the {len(seen)} frames of "
        raise BadInputError(f"{NO_FACE} found in {frames}{path}", look.tried, reason=NO_FACE)
    return places


def _describe(path: Path, picture: Picture, rate: Fraction, metadata: dict[str, str] | None = None) -> VideoInfo:
    """The result: upright with square pixels, frame k at k / rate; BT.709, which players take for granted."""
    return VideoInfo(
        path=path,
        width_px=picture.shape[1],
        height_px=picture.shape[0],
        time_base=1 / rate,
        rate_hz=rate,
        start_s=Fraction(0),
        frames=0,
        says_frames=False,
        pixel_aspect=None,
        colorspace=1,
        color_primaries=1,
        color_trc=1,
        metadata=metadata or {},
    )


def _even(picture: Picture) -> Picture:
    """Without the last odd row and column: H.264 as all players know it has every second pixel's colour."""
    return picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]


def _shrink(picture: Picture) -> Picture:
    scale = LONGEST_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
