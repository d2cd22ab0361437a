"""The sound of a video that is being written, in step with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import av
import numpy as np

from stages.common.errors import BadInputError
from stages.common.media.container import open_container
from stages.common.media.sound import open_sound

_AAC_RATES_HZ = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350})
_USUAL_RATE_HZ = 48_000
_BIT_RATE = 96_000
"""For each channel."""


class SoundTrack(Protocol):
    def mux_until(self, time_s: Fraction | None) -> None:
        """Write what begins at or before this time; all that is left for None."""

    def close(self) -> None: ...


AddSound = Callable[[Any, str], SoundTrack]
"""Adds a sound track to a container of PyAV, the name of which has this suffix."""


class CopiedSound:
    """All sound of a file, packet by packet as it is; time 0 is ``start_s`` of the file."""

    def __init__(self, path: Path, start_s: Fraction, target: Any, suffix: str) -> None:
        self._source, self._target, self._start_s = open_container(path), target, start_s
        streams = list(self._source.streams.audio)
        for stream in streams:
            if stream.codec_context.name not in target.supported_codecs:
                self._source.close()
                raise BadInputError(
                    f"the sound of {path} ({stream.codec_context.name}) does not go into {suffix}",
                    "Give --out a name that ends in .mkv",
                    reason="unsupported sound",
                )
        self._copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        self._packets: Iterator[Any] = self._source.demux(streams) if streams else iter(())
        self._next: Any = None

    def mux_until(self, time_s: Fraction | None) -> None:
        while (packet := self._next or self._read()) is not None:
            self._next = packet
            if time_s is not None and packet.dts * packet.time_base > time_s:
                return
            packet.stream = self._copies[packet.stream.index]
            self._target.mux_one(packet)
            self._next = None

    def _read(self) -> Any:
        for packet in self._packets:
            if packet.dts is None:  # the empty packet at the end
                continue
            offset = round(self._start_s / packet.time_base)
            packet.dts -= offset
            packet.pts = None if packet.pts is None else packet.pts - offset
            return packet
        return None

    def close(self) -> None:
        self._source.close()


class EncodedSound:
    """The first sound track of any file as AAC, or Opus in WebM: mono, or else stereo; time 0 is that of the file.

    Times are counted in samples, so they do not drift. Raises ``BadInputError`` as ``open_sound`` does.
    """

    def __init__(self, path: Path, target: Any, suffix: str) -> None:
        self._opened = open_sound(path)
        self._source, self._target = self._opened.__enter__(), target
        rate_hz, opus = self._source.rate_hz, suffix.lower() == ".webm"
        self._layout: Literal["mono", "stereo"] = "mono" if self._source.channels == 1 else "stereo"
        self._stream = target.add_stream(
            "libopus" if opus else "aac",
            rate=rate_hz if rate_hz in _AAC_RATES_HZ and not opus else _USUAL_RATE_HZ,
            layout=self._layout,
        )
        self._stream.bit_rate = _BIT_RATE * (1 if self._layout == "mono" else 2)
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
