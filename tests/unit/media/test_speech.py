"""Sound in blocks is the sound at once."""

from __future__ import annotations

import numpy as np
import pytest
from support.videos import run_ffmpeg

import stages.common.media.speech as module
from stages.common.media.sound import align_sound, read_sound
from stages.common.media.speech import in_blocks, iter_speech, with_neighbours


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 96_000])
def test_blocks_equal_the_whole(tmp_path, monkeypatch, rate_hz):
    monkeypatch.setattr(module, "_BLOCK_S", 1)
    noise = (np.random.default_rng(0).normal(0, 3000, int(3.7 * rate_hz))).astype("<i2")
    path = tmp_path / "a.wav"
    run_ffmpeg("-f", "s16le", "-ar", rate_hz, "-ac", 1, "-i", "-", path, stdin=noise.tobytes())
    blocks = list(iter_speech(path))
    joined = np.concatenate(blocks)
    whole = align_sound(read_sound(path, 10), 0, len(joined))
    assert len(blocks) == 4
    assert abs(len(joined) - 3.7 * 16_000) < 3
    np.testing.assert_allclose(joined, whole, atol=2e-6)


def test_arrays_are_cut_anew_and_know_their_neighbours():
    parts = [np.arange(n, n + 7, dtype=np.float32) for n in range(0, 28, 7)]
    blocks = list(in_blocks(iter(parts), 10))
    assert [len(block) for block in blocks] == [10, 10, 8]
    for number, (before, now, after) in enumerate(with_neighbours(iter(blocks), 3)):
        seen = np.arange(max(0, 10 * number - 3), min(28, 10 * number + len(now) + 3))
        np.testing.assert_array_equal(np.concatenate([before, now, after]), seen)
