"""Opening video and sound files of any kind with PyAV, whose frames carry exact timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stages.common.errors import BadInputError, ConfigError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.frame import Frame
    from av.stream import Stream
    from av.video.frame import VideoFrame

FrameT = TypeVar("FrameT", bound="AudioFrame | VideoFrame")


def require_av() -> None:
    """Raises ``ConfigError`` when PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ConfigError("reading video needs PyAV", "Install facediff[talk]") from error


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Raises ``BadInputError`` with reason "missing" or "unreadable", also for what is found while decoding."""
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            yield container
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist", reason="missing") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read: {error}", reason="unreadable") from error


def decode_whole(container: InputContainer, stream: Stream, kind: type[FrameT], damaged: list[int]) -> Iterator[FrameT]:
    """The frames of a stream, all of one kind; what cannot be decoded is left out and counted in ``damaged[0]``."""
    import av

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
    return frame.pts * frame.time_base - _start_s(container)


def seek_before(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Go to a key frame at or before a time since the start of the container, as far as the container knows where.

    False where it cannot be sought in.
    """
    import av

    if not stream.time_base:
        return False
    try:
        container.seek(round((time_s + _start_s(container)) / stream.time_base), stream=stream)
    except av.FFmpegError:
        return False
    return True


def _start_s(container: InputContainer) -> Fraction:
    return Fraction(container.start_time or 0, 1_000_000)
