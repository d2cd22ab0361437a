"""The sound of a clip as 16 kHz mono, aligned with its pictures to the sample."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.media.container import decodable, decode_whole, open_media, time_of

SAMPLE_RATE_HZ = 16_000
_TOLERATED_GAP_S = 0.02
_PCM_MAX = 32767
Layout = Literal["mono", "stereo", "5.1"]
CHANNELS: Mapping[Layout, int] = {"mono": 1, "stereo": 2, "5.1": 6}


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples -1..1 (N,) at ``rate_hz``, the first at ``start_s`` since the start of the file."""

    samples: NDArray[np.float32]
    rate_hz: int
    start_s: Fraction

    @property
    def end_s(self) -> Fraction:
        return self.start_s + Fraction(len(self.samples), self.rate_hz)


def read_sound(path: Path, longest_s: float) -> Sound:
    """The first sound track, its channels mixed down, at its own rate; at most ``longest_s`` seconds of it.

    Raises ``BadInputError`` with reason "missing", "unreadable" or "no sound".
    """
    with open_sound(path) as track:
        parts: list[NDArray[np.float32]] = []
        length = 0
        for part in track.parts("mono"):
            parts.append(part[0])
            length += part.shape[1]
            if length > longest_s * track.rate_hz:
                break
    return Sound(np.concatenate(parts), track.rate_hz, track.start_s)


@dataclass(slots=True)
class OpenSound:
    """An open sound track. ``start_s``, since the start of the file, is known when its first part was taken."""

    path: Path
    container: InputContainer
    stream: AudioStream
    rate_hz: int
    start_s: Fraction = Fraction(0)

    @property
    def channels(self) -> int:
        return self.stream.codec_context.channels

    def parts(self, layout: Layout) -> Iterator[NDArray[np.float32]]:
        """The sound once, mixed to a layout: -1..1 (channels, n), one after the other without a gap.

        Samples lie where their timestamps say: what is lost or missing in between is silence. What changes its rate
        or layout on the way is resampled. Raises ``BadInputError`` with reason "no sound" where nothing can be decoded.
        """
        mix = _Mixer(layout, self.rate_hz)
        length: int | None = None
        for frame in decode_whole(self.container, self.stream, AudioFrame, [0]):
            time_s = time_of(frame, self.container)
            if length is None:
                self.start_s, length = time_s or Fraction(0), 0
            frame.pts = None
            part = _to_unit(mix(frame), 2**31)
            lost = 0 if time_s is None else round((time_s - self.start_s) * self.rate_hz) - length
            if lost > _TOLERATED_GAP_S * self.rate_hz:
                yield np.zeros((len(part), lost), np.float32)
                length += lost
            yield part
            length += part.shape[1]
        if length is None:
            raise BadInputError(f"{self.path} has no sound that can be decoded", reason="no sound")

    def parts_from_start(self, layout: Layout) -> Iterator[NDArray[np.float32]]:
        """As ``parts``, from the start of the file on: silence before a track that begins later, and what a track has
        before is left out."""
        skip = 0
        for number, part in enumerate(self.parts(layout)):
            if number == 0:
                skip = -round(self.start_s * self.rate_hz)
            if skip < 0:
                yield np.zeros((len(part), -skip), np.float32)
            rest = part[:, max(skip, 0) :]
            if rest.size:
                yield rest
            skip = max(0, skip - part.shape[1])


class _Mixer:
    """Mixes frames of any rate and layout to one of each, as 32-bit integers (channels, n).

    Integers, because there a mix is scaled so that it cannot overflow; a mix of floats is not.
    """

    def __init__(self, layout: Layout, rate_hz: int) -> None:
        self._layout, self._rate_hz = layout, rate_hz
        self._kind: tuple[object, ...] = ()

    def __call__(self, frame: AudioFrame) -> NDArray[np.int32]:
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != self._kind:
            # What a resampler still holds at a change, some milliseconds, is filled as a gap is.
            self._kind = kind
            self._mix = av.AudioResampler(format="s32p", layout=self._layout, rate=self._rate_hz)
        mixed = [part.to_ndarray() for part in self._mix.resample(frame)]
        return np.concatenate(mixed, axis=1) if mixed else np.zeros((CHANNELS[self._layout], 0), np.int32)


@contextmanager
def open_sound(path: Path, number: int | None = None) -> Iterator[OpenSound]:
    """A sound track of a file, counted from 0; None is the first that can be decoded.

    Raises ``BadInputError`` with reason "missing", "unreadable" or "no sound".
    """
    with open_media(path) as container:
        tracks = decodable(container.streams.audio if number is None else container.streams.audio[number : number + 1])
        if not tracks:
            known = "that can be decoded" if container.streams.audio else ""
            raise BadInputError(f"{path} has no sound track {known}".rstrip(), reason="no sound")
        yield OpenSound(path, container, tracks[0], tracks[0].codec_context.sample_rate)


def align_sound(sound: Sound, start_s: Fraction, count: int) -> NDArray[np.float32]:
    """``count`` samples at 16 kHz, the first at ``start_s``; silence where there is no sound.

    The filter has no delay (a symmetric FIR), so a click stays where it was.
    """
    common = gcd(sound.rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // common, sound.rate_hz // common
    # Imported here: it takes a second, and most photos and films need no other rate.
    from scipy.signal import resample_poly

    samples = sound.samples if up == down else resample_poly(sound.samples, up, down)
    offset = round((start_s - sound.start_s) * SAMPLE_RATE_HZ)
    aligned = np.zeros(count, np.float32)
    first, last = max(0, -offset), min(count, len(samples) - offset)
    if last > first:
        aligned[first:last] = samples[first + offset : last + offset]
    return aligned


def samples_in(frames: int, fps: Fraction) -> int:
    """Samples at 16 kHz that belong to a number of frames, rounded."""
    return round(frames * SAMPLE_RATE_HZ / fps)


def to_pcm(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples as 16-bit integers; louder than -1..1 is clipped."""
    integers: NDArray[np.int16] = np.rint(samples.clip(-1, 1) * _PCM_MAX).astype(np.int16)
    return integers


def encode_wav(samples: NDArray[np.float32]) -> bytes:
    """Mono 16-bit WAV at 16 kHz; louder than -1..1 is clipped."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_pcm(samples).astype("<i2").tobytes())
    return stream.getvalue()


def decode_wav(content: bytes) -> NDArray[np.float32]:
    """What ``encode_wav`` wrote, -1..1 (N,)."""
    with wave.open(io.BytesIO(content), "rb") as file:
        return _to_unit(np.frombuffer(file.readframes(file.getnframes()), "<i2"), _PCM_MAX)


def _to_unit(integers: NDArray[Any], largest: int) -> NDArray[np.float32]:
    return integers.astype(np.float32) / np.float32(largest)
