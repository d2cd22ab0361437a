"""Sound of any length at 16 kHz mono, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from stages.common.media.sound import SAMPLE_RATE_HZ, open_sound

_BLOCK_S = 10
_FILTER_REACH = 10
"""How far ``resample_poly`` looks to either side, in samples of the lower of the two rates."""


def iter_speech(path: Path) -> Iterator[NDArray[np.float32]]:
    """The first sound track of a file, from the start of the file on, in blocks of about ten seconds.

    A track that begins later begins with silence. Equal to resampling all of it at once.
    Raises ``BadInputError`` as ``open_sound`` and ``OpenSound.parts`` do.
    """
    with open_sound(path) as track:
        common = gcd(track.rate_hz, SAMPLE_RATE_HZ)
        up, down = SAMPLE_RATE_HZ // common, track.rate_hz // common
        source = (part[0] for part in track.parts_from_start("mono"))
        if up == down:
            yield from in_blocks(source, _BLOCK_S * SAMPLE_RATE_HZ)
            return
        reach = -(-_FILTER_REACH * max(up, down) // up)
        margin = (reach // down + 1) * down
        yield from _resample(source, up, down, block=_BLOCK_S * track.rate_hz // down * down, margin=margin)


def in_blocks(parts: Iterator[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in arrays of ``length``, the last of which may be shorter."""
    held: list[NDArray[np.float32]] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        while count >= length:
            joined = np.concatenate(held)
            yield joined[:length]
            held = [joined[length:]]
            count -= length
    if count:
        yield np.concatenate(held)


def with_neighbours(
    blocks: Iterator[NDArray[np.float32]], margin: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Each block with up to ``margin`` samples of what is before and after it."""
    before = np.zeros(0, np.float32)
    now = next(blocks, None)
    while now is not None:
        following = next(blocks, None)
        yield before, now, np.zeros(0, np.float32) if following is None else following[:margin]
        before, now = now[-margin:], following


def _resample(
    parts: Iterator[NDArray[np.float32]], up: int, down: int, *, block: int, margin: int
) -> Iterator[NDArray[np.float32]]:
    """Block by block with ``margin`` samples around, as far as the filter sees; both are multiples of ``down``."""
    for before, now, after in with_neighbours(in_blocks(parts, block), margin):
        made = resample_poly(np.concatenate([before, now, after]), up, down)
        first = len(before) // down * up
        yield made[first : first + -(-len(now) * up // down)].astype(np.float32)
