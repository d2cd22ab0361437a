"""The sound of a video that is being written, in step with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from stages.common.media.container import codec_name
from stages.common.media.sound import CHANNELS, Layout, open_sound

_AAC_RATES_HZ = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350})
_USUAL_RATE_HZ = 48_000
_BIT_RATE = 96_000
"""For each channel."""


class SoundTrack(Protocol):
    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of the sound."""

    def mux_until(self, time_s: Fraction | None) -> None:
        """Write what begins at or before this time; all that is left for None."""

    def close(self) -> None: ...


AddSound = Callable[[Any, str], SoundTrack]
"""Adds a sound track to a container of PyAV, the name of which has this suffix."""


def describe_track(target: Any, source: Any) -> None:
    """Give a new track the language, the title and the disposition of the one it comes from."""
    for key in ("language", "title", "handler_name"):
        if key in source.metadata:
            target.metadata[key] = source.metadata[key]
    target.disposition = source.disposition


class EncodedSound:
    """A sound track of any file as AAC, or Opus in WebM; time 0 is that of the file.

    Mono stays mono, and all else becomes stereo, or with ``surround`` 5.1 where it was that. ``number`` counts the
    file's sound tracks from 0; None is the first that can be decoded. Times are counted in samples, and
    do not drift. Raises ``BadInputError`` as ``open_sound`` does.
    """

    notes: Sequence[str] = ()

    def __init__(
        self, path: Path, target: Any, suffix: str, *, number: int | None = None, surround: bool = False
    ) -> None:
        self._opened = open_sound(path, number)
        self._source, self._target = self._opened.__enter__(), target
        opus = suffix.lower() == ".webm"
        self.codec, self.source_codec = "opus" if opus else "aac", codec_name(self._source.stream)
        self._layout = _layout_for(self._source.channels, surround)
        rate_hz = self._source.rate_hz
        self._stream = target.add_stream(
            "libopus" if opus else "aac",
            rate=rate_hz if rate_hz in _AAC_RATES_HZ and not opus else _USUAL_RATE_HZ,
            layout=self._layout,
        )
        self._stream.bit_rate = _BIT_RATE * CHANNELS[self._layout]
        if number is not None:
            describe_track(self._stream, self._source.stream)
        self._parts = self._source.parts_from_start(self._layout)
        self._samples, self._ended = 0, False

    def mux_until(self, time_s: Fraction | None) -> None:
        while time_s is None or self._samples <= time_s * self._source.rate_hz:
            part = next(self._parts, None)
            if part is None:
                self._end()
                return
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=self._layout)
            frame.sample_rate, frame.time_base = self._source.rate_hz, Fraction(1, self._source.rate_hz)
            frame.pts = self._samples
            self._samples += part.shape[1]
            self._target.mux(self._stream.encode(frame))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._target.mux(self._stream.encode(None))

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


def _layout_for(channels: int, surround: bool) -> Layout:
    if channels == 1:
        return "mono"
    return "5.1" if surround and channels == 6 else "stereo"
