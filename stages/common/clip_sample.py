"""How one clip lies in a shard: ``mjpeg`` (one JPEG after another), ``landmarks.npy``, ``wav`` and ``json``."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.media.sound import encode_wav

FRAMES, LANDMARKS, SOUND, FACTS = SUFFIXES = ("mjpeg", "landmarks.npy", "wav", "json")


@dataclass(frozen=True, slots=True)
class ClipSample:
    """T JPEG frames, landmarks (T, 68, 2) in frame pixels, sound -1..1 (N,) at 16 kHz, and JSON facts."""

    jpegs: Sequence[bytes]
    landmarks: NDArray[np.float32]
    samples: NDArray[np.float32]
    facts: Mapping[str, Any]


def encode_sample(sample: ClipSample) -> dict[str, bytes]:
    """The members by suffix. The facts also say where each frame ends in the mjpeg: ``frame_ends``."""
    facts = {**sample.facts, "frames": len(sample.jpegs), "frame_ends": list(accumulate(map(len, sample.jpegs)))}
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(sample.landmarks, dtype="<f4"), allow_pickle=False)
    return {
        FRAMES: b"".join(sample.jpegs),
        LANDMARKS: stream.getvalue(),
        SOUND: encode_wav(sample.samples),
        FACTS: json.dumps(facts, sort_keys=True, ensure_ascii=False).encode(),
    }
