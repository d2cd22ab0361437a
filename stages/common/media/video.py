"""Pictures of a video at a constant rate: upright, with square pixels, chosen by their timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.media.container import decode_whole, films_of, open_media, quarter_turns, seek_before, time_of

_USUAL_FPS = 25
_Timed = tuple[Fraction, Fraction, VideoFrame]
"""Time, duration and frame."""


@dataclass(slots=True)
class VideoFacts:
    """What reading a video found, complete when its last picture was taken.

    ``start_s`` is the time of the first picture since the start of the file, ``longest_gap_s`` the longest time without
    a new picture, ``damaged`` the number of packets or frames that could not be decoded.
    """

    start_s: Fraction = Fraction(0)
    longest_gap_s: Fraction = Fraction(0)
    damaged: int = 0


@dataclass(slots=True)
class Video:
    """The pictures of a file at ``fps``; ``facts`` fill in while it is iterated. Iterating again reads again.

    Picture k is the frame nearest to ``start_s + k / fps``, as (H, W, 3) RGB. Only one frame is held at a time.
    Raises ``BadInputError`` with reason "missing", "unreadable" or "no video".
    """

    path: Path
    fps: Fraction
    facts: VideoFacts = field(default_factory=VideoFacts)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        self.facts = VideoFacts()
        with self._open() as (container, stream):
            frames = _timed_frames(container, stream, self.facts)
            held = next(frames, None)
            if held is None:
                raise BadInputError(f"{self.path} has no picture that can be decoded", reason="unreadable")
            self.facts.start_s = held[0]
            yield from self._pictures(held, frames, stream)

    def starting_at(self, first: int) -> Iterator[NDArray[np.uint8]]:
        """Picture ``first`` and those after it; what comes long before is not decoded where it can be skipped.

        To be called when ``facts`` are known.
        """
        wanted_s = self.facts.start_s + first / self.fps
        for seek in (True, False):
            with self._open() as (container, stream):
                if seek and not seek_before(container, stream, wanted_s):
                    continue
                frames = _timed_frames(container, stream, VideoFacts())
                held = next(frames, None)
                if held is not None and (held[0] <= wanted_s or not seek):
                    yield from self._pictures(held, frames, stream, first)
                    return

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        with open_media(self.path) as container:
            films = films_of(container)
            if not films:
                raise BadInputError(f"{self.path} holds no video that can be decoded", reason="no video")
            yield container, films[0]

    def _pictures(
        self, held: _Timed, frames: Iterator[_Timed], stream: VideoStream, first: int = 0
    ) -> Iterator[NDArray[np.uint8]]:
        for frame, times in self._choose(held, frames, first):
            picture = _upright(frame, stream)
            for _ in range(times):
                yield picture

    def _choose(self, held: _Timed, frames: Iterator[_Timed], first: int) -> Iterator[tuple[VideoFrame, int]]:
        """Each frame that is nearest to some output time from picture ``first`` on, and to how many."""
        start_s = self.facts.start_s
        ticks = (start_s + k / self.fps for k in count(first))
        tick = next(ticks)
        for following in frames:
            gap_s = following[0] - held[0]
            self.facts.longest_gap_s = max(self.facts.longest_gap_s, gap_s)
            middle_s, times = held[0] + gap_s / 2, 0
            while tick <= middle_s:
                tick, times = next(ticks), times + 1
            if times:
                yield held[2], times
            held = following
        # The last frame is shown for its duration; a tick needs at least half of its own.
        end_s, times = held[0] + held[1] - 1 / (2 * self.fps), 0
        while tick <= end_s or (tick == start_s and times == 0):
            tick, times = next(ticks), times + 1
        if times:
            yield held[2], times


def _timed_frames(container: InputContainer, stream: VideoStream, facts: VideoFacts) -> Iterator[_Timed]:
    """(time, duration, frame) in order of time; frames that do not advance are left out."""
    damaged = [0]
    usual_s = 1 / Fraction(stream.average_rate or _USUAL_FPS)
    last_s: Fraction | None = None
    for frame in decode_whole(container, stream, VideoFrame, damaged):
        facts.damaged = damaged[0]
        time_s = time_of(frame, container)
        if time_s is None:
            time_s = Fraction(0) if last_s is None else last_s + usual_s
        if last_s is None or time_s > last_s:
            last_s = time_s
            yield time_s, _duration_s(frame) or usual_s, frame
    facts.damaged = damaged[0]


def _duration_s(frame: VideoFrame) -> Fraction:
    return frame.duration * (frame.time_base or Fraction(0)) if frame.duration else Fraction(0)


def _upright(frame: VideoFrame, stream: VideoStream) -> NDArray[np.uint8]:
    rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    aspect = stream.sample_aspect_ratio
    if aspect and aspect > 0 and aspect != 1:
        size = (max(1, round(rgb.shape[1] * aspect)), rgb.shape[0])
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns(frame)))
