"""The lag of sound behind the mouth: found where it was put, and doubted where there is none."""

import numpy as np
import pytest

from stages.common.errors import BadInputError
from stages.evaluate.talk.lag import find_lag, loudness

FPS = 25.0


def speak(seed=0, count=75):
    random = np.random.default_rng(seed)
    return np.convolve(random.uniform(size=count + 4), np.ones(5) / 5, mode="valid")


@pytest.mark.parametrize("frames", [-6, -1, 0, 3, 9])
def test_a_lag_that_was_put_in_is_found(frames):
    opening = speak()
    lag = find_lag(opening, np.roll(opening, frames) * 2 - 3, FPS)
    assert lag.lag_ms == pytest.approx(40 * frames, abs=8)
    assert lag.correlation > 0.9
    assert lag.peak_ratio > 1.5


def test_a_part_of_a_frame_is_found():
    times = np.arange(75)
    random = np.random.default_rng(1)
    centres, widths = random.uniform(0, 75, 12), random.uniform(1.5, 4, 12)

    def bumps(t):
        return sum(np.exp(-(((t - c) / w) ** 2)) for c, w in zip(centres, widths, strict=True))

    assert find_lag(bumps(times), bumps(times - 2.5), FPS).lag_ms == pytest.approx(100, abs=5)


def test_the_peak_of_strangers_stands_out_less():
    alike = find_lag(speak(), speak(), FPS)
    strangers = [find_lag(speak(0), speak(seed), FPS) for seed in range(1, 6)]
    assert max(lag.correlation for lag in strangers) < alike.correlation
    assert np.median([lag.peak_ratio for lag in strangers]) < alike.peak_ratio


def test_loudness_is_a_level_a_frame_and_deep_silence_is_silence():
    samples = np.concatenate([np.full(640, 0.5), np.full(640, 0.05), np.full(640, 1e-6), np.zeros(640)])
    found = loudness(samples.astype(np.float32), 4, FPS)
    assert found[0] - found[1] == pytest.approx(1, abs=0.01)
    assert found[2] == found[3] == found[0] - 2
    assert len(loudness(samples[:100].astype(np.float32), 4, FPS)) == 4


@pytest.mark.parametrize(
    ("opening", "sound", "reason"),
    [
        (speak(), np.zeros(75), "silent"),
        (np.ones(75), speak(), "mouth does not move"),
        (speak(count=20), speak(count=20), "too short"),
    ],
)
def test_where_there_is_nothing_to_compare(opening, sound, reason):
    with pytest.raises(BadInputError) as caught:
        find_lag(opening, sound, FPS)
    assert caught.value.reason == reason
