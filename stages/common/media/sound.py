"""The sound of a clip as 16 kHz mono, aligned with its pictures to the sample."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from stages.common.errors import BadInputError
from stages.common.media.container import decode_whole, open_media, time_of

SAMPLE_RATE_HZ = 16_000
_TOLERATED_GAP_S = 0.02
_PCM_MAX = 32767


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

    Samples lie where their timestamps say: what is lost or missing in between is silence.
    Raises ``BadInputError`` with reason "missing", "unreadable" or "no sound".
    """
    import av
    from av.audio.frame import AudioFrame

    with open_media(path) as container:
        if not container.streams.audio:
            raise BadInputError(f"{path} has no sound track", reason="no sound")
        stream = container.streams.audio[0]
        rate_hz = stream.codec_context.sample_rate
        # Integers, because there a mix is scaled so that it cannot overflow; a mix of floats is not.
        to_mono = av.AudioResampler(format="s32", layout="mono", rate=rate_hz)
        start_s: Fraction | None = None
        parts: list[NDArray[np.float32]] = []
        length = 0
        for frame in decode_whole(container, stream, AudioFrame, [0]):
            time_s = time_of(frame, container)
            start_s = start_s if start_s is not None else time_s or Fraction(0)
            frame.pts = None
            part = _to_unit(np.concatenate([mono.to_ndarray()[0] for mono in to_mono.resample(frame)]), 2**31)
            lost = 0 if time_s is None else round((time_s - start_s) * rate_hz) - length
            if lost > _TOLERATED_GAP_S * rate_hz:
                parts.append(np.zeros(lost, np.float32))
                length += lost
            parts.append(part)
            length += len(part)
            if length > longest_s * rate_hz:
                break
    if start_s is None:
        raise BadInputError(f"{path} has no sound that can be decoded", reason="no sound")
    return Sound(np.concatenate(parts), rate_hz, start_s)


def align_sound(sound: Sound, start_s: Fraction, count: int) -> NDArray[np.float32]:
    """``count`` samples at 16 kHz, the first at ``start_s``; silence where there is no sound.

    The filter has no delay (a symmetric FIR), so a click stays where it was.
    """
    common = gcd(sound.rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // common, sound.rate_hz // common
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


def encode_wav(samples: NDArray[np.float32]) -> bytes:
    """Mono 16-bit WAV at 16 kHz; louder than -1..1 is clipped."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.rint(samples.clip(-1, 1) * _PCM_MAX).astype("<i2").tobytes())
    return stream.getvalue()


def decode_wav(content: bytes) -> NDArray[np.float32]:
    """What ``encode_wav`` wrote, -1..1 (N,)."""
    with wave.open(io.BytesIO(content), "rb") as file:
        return _to_unit(np.frombuffer(file.readframes(file.getnframes()), "<i2"), _PCM_MAX)


def _to_unit(integers: NDArray[Any], largest: int) -> NDArray[np.float32]:
    return integers.astype(np.float32) / np.float32(largest)
