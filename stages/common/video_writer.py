"""Writing a video: H.264 or VP9 with the times, turn and colours of the video it came from, and with sound."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from stages.common.errors import BadInputError, ConfigError
from stages.common.kept_sound import KeptSound
from stages.common.media.container import as_url, open_container
from stages.common.sound_track import AddSound
from stages.common.video import Frame, VideoInfo
from stages.common.writable import same_file, temporary_path

_RECORD_KEY = "comment"
_OF_THE_CONTAINER = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
_CODECS: dict[str, tuple[str, dict[str, str]]] = {
    ".webm": ("libvpx-vp9", {"deadline": "good", "cpu-used": "4", "row-mt": "1"}),
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), ("libx264", {"preset": "medium"})),
}
WRITABLE_SUFFIXES = tuple(_CODECS)


def output_suffix(source: Path) -> str:
    """What the edit of a video is called: as its source where that is a modern container; MPEG becomes MP4.

    All others become Matroska, which takes any sound.
    """
    suffix = source.suffix.lower()
    if suffix in _CODECS:
        return suffix
    return ".mp4" if suffix in {".mpg", ".mpeg"} else ".mkv"


class VideoWriter:
    """A context manager that writes ``path`` whole, or not at all when it is left by an exception.

    ``record`` goes into the file's comment. ``sound`` adds its sound; by default that of the video it is ``like``.
    Raises ``BadInputError`` ("unwritable").
    """

    def __init__(
        self, path: Path, like: VideoInfo, record: Mapping[str, Any], crf: int, sound: AddSound | None = None
    ) -> None:
        if path.suffix.lower() not in _CODECS:
            raise ConfigError(f"{path} must end in {', '.join(WRITABLE_SUFFIXES)}")
        if same_file(path, like.path):
            raise BadInputError(f"{path} would be written over its own source", reason="unwritable")
        self.path, self._info = path, like
        self._add_sound = sound or partial(KeptSound, like.path, like.start_s)
        self._reformatter = VideoReformatter()
        with _as_unwritable(path):
            self._partial = temporary_path(path, f"-{os.getpid()}{path.suffix.lower()}")
            self._partial.touch(mode=0o600)
        try:
            self._open(record, crf)
        except BaseException:
            self._partial.unlink(missing_ok=True)
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with _as_unwritable(self.path):
                    self._finish()
        finally:
            with contextlib.suppress(av.error.FFmpegError):
                self._container.close()
            self._sound.close()
            self._partial.unlink(missing_ok=True)

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of the sound: what was encoded again, or could not be kept."""
        return self._sound.notes

    def write(self, frame: Frame, stored_HWC: NDArray[np.uint8]) -> None:
        """Add a picture (H, W, 3), stored and timed as ``frame``; the sound up to then goes before it."""
        if not self._started:
            self._start(frame.turns)
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(stored_HWC), format="rgb24"),
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=self._info.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )
        picture.pts, picture.duration, picture.time_base = frame.pts, frame.duration, self._info.time_base
        with _as_unwritable(self.path):
            self._container.mux(self._stream.encode(picture))
            self._sound.mux_until(frame.pts * self._info.time_base)

    def _open(self, record: Mapping[str, Any], crf: int) -> None:
        info, (codec, options) = self._info, _CODECS[self.path.suffix.lower()]
        self._container = _open_output(self._partial)
        kept = {key: value for key, value in info.metadata.items() if key.lower() not in _OF_THE_CONTAINER}
        self._container.metadata.update(kept)
        self._container.metadata[_RECORD_KEY] = json.dumps(record, sort_keys=True, ensure_ascii=False)
        self._stream = self._container.add_stream(codec, rate=info.rate_hz, options={**options, "crf": str(crf)})
        self._stream.width, self._stream.height = info.width_px, info.height_px
        # Every second column and row of colour is left out, which needs an even number of them.
        even = info.width_px % 2 == 0 and info.height_px % 2 == 0
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"
        context = self._stream.codec_context
        context.time_base = info.time_base
        context.color_range = ColorRange.MPEG
        context.colorspace, context.color_primaries, context.color_trc = (
            info.colorspace,
            info.color_primaries,
            info.color_trc,
        )
        if info.pixel_aspect:
            context.sample_aspect_ratio = info.pixel_aspect
        self._sound = self._add_sound(self._container, self.path.suffix)
        self._started = False

    def _start(self, turns: int) -> None:
        self._started = True
        if turns:
            self._stream.set_display_rotation(90 * turns)

    def _finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._sound.mux_until(None)
        self._container.close()
        # mkstemp makes files that only their owner can read.
        mask = os.umask(0)
        os.umask(mask)
        self._partial.chmod(0o666 & ~mask)
        self._partial.replace(self.path)


def _open_output(path: Path) -> Any:
    return av.open(as_url(path), "w", container_options={"movflags": "+faststart"})


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a video that ``VideoWriter`` wrote, or None. Raises ``BadInputError`` if it is no video."""
    with open_container(path) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}.get(_RECORD_KEY, "")
    try:
        record = json.loads(found)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("tool") == "facediff" else None


@contextlib.contextmanager
def _as_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror or error}", reason="unwritable") from error
