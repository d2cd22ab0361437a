"""Reading videos frame by frame, in memory that does not grow with their length.

PyAV rather than ffmpeg behind a pipe: a pipe of raw frames carries neither their times nor how they are to be turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.media.container import films_of, open_container, quarter_turns, start_of

_MATRICES = {1: Colorspace.ITU709, 9: Colorspace.BT2020}
"""By the number that a stream gives to its colours; most others, and no number, are BT.601 or next to it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: RGB (H, W, 3) as stored, and its time in units of the stream's time base, from 0 on."""

    stored_HWC: NDArray[np.uint8]
    pts: int
    duration: int
    turns: int

    @property
    def upright(self) -> NDArray[np.uint8]:
        """A view of the same memory as it is displayed."""
        return np.rot90(self.stored_HWC, self.turns)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video is besides its frames. ``frames`` is how many it says that it has, or about that; 0 is unknown."""

    path: Path
    width_px: int
    height_px: int
    time_base: Fraction
    rate_hz: Fraction
    start_s: Fraction
    frames: int
    says_frames: bool
    pixel_aspect: Fraction | None
    colorspace: int
    color_primaries: int
    color_trc: int
    metadata: dict[str, str]

    @property
    def matrix(self) -> Colorspace:
        return _MATRICES.get(self.colorspace, Colorspace.ITU601)


class VideoReader:
    """An open video: ``info``, and ``frames()`` once. Close it, or use it as a context manager.

    Raises ``BadInputError`` with reason "missing", "unreadable", "empty" or "unsupported".
    """

    def __init__(self, path: Path) -> None:
        self._container = open_container(path)
        self._stream = _first_film(path, self._container)
        self._stream.thread_type = "AUTO"
        self.info = _describe(path, self._container, self._stream)
        self._shown = 0

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def ended_early(self) -> bool:
        """Whether the frames that were read end before the video says that it ends, by more than a frame.

        Frames that an edit list leaves out are not missing, though a file counts them.
        """
        said = self._stream.duration
        if said is None:
            return self.info.says_frames
        return bool(self._shown < said - 1.5 / (self.info.rate_hz * self.info.time_base))

    def frames(self) -> Iterator[Frame]:
        """All frames in the order of display; times always grow. Raises ``BadInputError`` ("damaged")."""
        reformatter, info = VideoReformatter(), self.info
        step = max(1, round(1 / (info.rate_hz * info.time_base)))
        offset, following, count, first = round(info.start_s / info.time_base), 0, 0, 0
        try:
            for decoded in self._container.decode(self._stream):
                pts = following if decoded.pts is None else max(following, decoded.pts - offset)
                duration = int(decoded.duration or step)
                first = pts if count == 0 else first
                self._shown = pts + duration - first
                yield Frame(_to_rgb(decoded, info, reformatter), pts, duration, quarter_turns(decoded))
                following, count = pts + 1, count + 1
        except av.error.FFmpegError as error:
            raise BadInputError(
                f"{info.path} is damaged after {count} frames: {error.strerror}", reason="damaged"
            ) from error


def _first_film(path: Path, container: Any) -> Any:
    """The first video stream that can be decoded and is no cover. Closes the container where there is none."""
    films = films_of(container)
    if films:
        return films[0]
    what = "no moving picture" + (" of a kind that can be decoded" if container.streams.video else "")
    container.close()
    raise BadInputError(f"{path} holds {what}", reason="unsupported")


def _describe(path: Path, container: Any, stream: Any) -> VideoInfo:
    context = stream.codec_context
    if not context.width or not context.height:
        raise BadInputError(f"{path} says nothing of its pictures' size", reason="unsupported")
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    duration_s = Fraction(container.duration or 0, av.time_base)
    return VideoInfo(
        path=path,
        width_px=context.width,
        height_px=context.height,
        time_base=stream.time_base,
        rate_hz=rate,
        start_s=start_of(container),
        frames=stream.frames or round(duration_s * rate),
        says_frames=bool(stream.frames),
        pixel_aspect=stream.sample_aspect_ratio or None,
        colorspace=int(context.colorspace),
        color_primaries=int(context.color_primaries),
        color_trc=int(context.color_trc),
        metadata=dict(container.metadata),
    )


def _to_rgb(decoded: Any, info: VideoInfo, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    if (decoded.width, decoded.height) != (info.width_px, info.height_px):
        raise BadInputError(f"{info.path} changes its size on the way", "Cut it there first", reason="unsupported")
    full = decoded.color_range == ColorRange.JPEG or decoded.format.name.startswith("yuvj")
    rgb = reformatter.reformat(
        decoded,
        format="rgb24",
        src_colorspace=info.matrix,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return np.asarray(rgb.to_ndarray(), dtype=np.uint8)
