"""Choosing pictures by their timestamps, for any timestamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stages.common.media.video import Video

gaps_ms = st.lists(st.integers(1, 200), max_size=30)
rates = st.sampled_from([Fraction(r) for r in (5, 24, 25, 30, 60)] + [Fraction(30_000, 1001)])


def choose(times_s: list[Fraction], last_s: Fraction, video: Video) -> list[int]:
    """The number of the frame behind each picture."""
    shown = [*(b - a for a, b in pairwise(times_s)), last_s]
    frames = iter([(time, length, number) for number, (time, length) in enumerate(zip(times_s, shown, strict=True))])
    video.facts.start_s = times_s[0]
    chosen = video._choose(next(frames), frames, 0)  # type: ignore[arg-type]
    return [number for number, times in chosen for _ in range(times)]


@given(gaps_ms, st.integers(1, 200), st.integers(0, 5000), rates)
def test_every_picture_is_the_nearest_frame(gaps: list[int], last_ms: int, start_ms: int, fps: Fraction) -> None:
    times_s = [Fraction(ms, 1000) for ms in accumulate([start_ms, *gaps])]
    last_s = Fraction(last_ms, 1000)
    video = Video(Path("any"), fps)
    chosen = choose(times_s, last_s, video)
    assert video.facts.longest_gap_s == max((Fraction(gap, 1000) for gap in gaps), default=0)
    for k, number in enumerate(chosen):
        tick = times_s[0] + k / fps
        assert abs(times_s[number] - tick) == min(abs(time - tick) for time in times_s)
    length = (times_s[-1] + last_s - times_s[0]) * fps
    assert abs(len(chosen) - length) < 1 or len(chosen) == 1


@given(st.integers(1, 60), rates)
def test_at_its_own_rate_every_frame_is_taken_once(count: int, fps: Fraction) -> None:
    times_s = [Fraction(round(Fraction(n * 1000) / fps), 1000) for n in range(count)]
    assert choose(times_s, 1 / fps, Video(Path("any"), fps)) == list(range(count))
