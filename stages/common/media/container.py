"""Opening video and sound files of any kind with PyAV, whose frames carry exact timestamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.frame import Frame
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stages.common.errors import BadInputError

StreamT = TypeVar("StreamT", bound=Stream)
FrameT = TypeVar("FrameT", bound=AudioFrame | VideoFrame)


def as_url(path: Path) -> str:
    """A file's name as FFmpeg takes it for one, also with a colon in it, before which it looks for a protocol."""
    return f"file:{path}"


def open_container(path: Path) -> InputContainer:
    """An open file of PyAV. Raises ``BadInputError`` with reason "missing", "unreadable", "empty" or "unsupported"."""
    try:
        if path.stat().st_size == 0:
            raise BadInputError(f"{path} is empty", reason="empty")
        return av.open(as_url(path), metadata_errors="replace")
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist", reason="missing") from error
    except PermissionError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}", reason="unreadable") from error
    except (av.FFmpegError, OSError) as error:
        raise BadInputError(
            f"{path} is no video or sound that facediff can read, or is cut short ({error.strerror})",
            reason="unsupported",
        ) from error


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """As ``open_container``, where all that is wrong with a file, also while it is decoded, is "unreadable".

    Raises ``BadInputError`` with reason "missing" or "unreadable".
    """
    try:
        with open_container(path) as container:
            yield container
    except BadInputError as error:
        if error.reason in {"empty", "unsupported"}:
            raise BadInputError(error.what, reason="unreadable") from error
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read: {error}", reason="unreadable") from error


def decodable(streams: Sequence[StreamT]) -> list[StreamT]:
    """The streams for which there is a decoder."""
    return [stream for stream in streams if stream.codec_context is not None]


def films_of(container: InputContainer) -> list[VideoStream]:
    """The video streams that can be decoded and are no cover pictures."""
    return [s for s in decodable(container.streams.video) if not s.disposition & Disposition.attached_pic]


def codec_name(stream: Stream) -> str:
    """What a stream is coded in, "unknown" where this FFmpeg has no decoder for it."""
    return "unknown" if stream.codec_context is None else str(stream.codec_context.name)


def start_of(container: InputContainer) -> Fraction:
    """Seconds at which a file says that it begins."""
    return Fraction(container.start_time or 0, av.time_base)


def quarter_turns(frame: VideoFrame) -> int:
    """How often ``np.rot90`` turns a picture until it is upright, 0 to 3."""
    return round(frame.rotation / 90) % 4


def decode_whole(container: InputContainer, stream: Stream, kind: type[FrameT], damaged: list[int]) -> Iterator[FrameT]:
    """The frames of a stream, all of one kind; what cannot be decoded is left out and counted in ``damaged[0]``."""
    stream.codec_context.thread_count = 1
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError) as error:
            damaged[0] += isinstance(error, av.FFmpegError)
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged[0] += 1
            continue
        for frame in frames:
            if not isinstance(frame, kind) or frame.is_corrupt:
                damaged[0] += 1
            else:
                yield frame


def time_of(frame: Frame, container: InputContainer) -> Fraction | None:
    """Seconds since the start of the container; None for a frame without a timestamp."""
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base - start_of(container)


def seek_before(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Go to a key frame at or before a time since the start of the container, as far as the container knows where.

    False where it cannot be sought in.
    """
    if not stream.time_base:
        return False
    try:
        container.seek(round((time_s + start_of(container)) / stream.time_base), stream=stream)
    except av.FFmpegError:
        return False
    return True
