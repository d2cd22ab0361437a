"""A video from any picture on is the video."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.videos import run_ffmpeg, write_video

from stages.common.media.video import Video


def ramp(count):
    return [np.full((32, 48, 3), 20 + 4 * n, np.uint8) for n in range(count)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mpg", "a.webm"])
def test_it_continues_where_it_is_asked_to(tmp_path, name):
    source = write_video(tmp_path / "source.mp4", ramp(50), options=["-g", "12", "-bf", "2"])
    codec = {"a.mpg": ["-c:v", "mpeg1video"], "a.webm": ["-c:v", "libvpx"]}.get(name, ["-c", "copy"])
    path = tmp_path / name
    run_ffmpeg("-i", source, *codec, path)
    video = Video(path, Fraction(25))
    whole = list(video)
    assert len(whole) >= 50
    for first in (0, 1, 11, 12, 30, 49):
        rest = list(video.starting_at(first))
        assert all((a == b).all() for a, b in zip(rest, whole[first:], strict=True))


def test_other_rates_and_a_late_start(tmp_path):
    source = write_video(tmp_path / "source.mp4", ramp(50), options=["-g", "10"])
    late = tmp_path / "late.mkv"
    run_ffmpeg("-itsoffset", 0.5, "-i", source, "-c", "copy", late)
    video = Video(late, Fraction(30))
    whole = list(video)
    assert len(whole) == 60
    for first in (7, 31, 59):
        rest = list(video.starting_at(first))
        assert [int(p.mean()) for p in rest] == [int(p.mean()) for p in whole[first:]]
