"""Forth and back, and where the person is."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import pytest
from support.clips import NOBODY, ONE, CornerDetector, write_clip

import stages.talk.scene as module
from stages.common.progress import SilentProgress
from stages.talk.scene import FaceSearch, open_scene


def scene_of(path, seconds):
    return open_scene(path, Fraction(seconds), 25.0, FaceSearch(CornerDetector(), 32, 0.0), SilentProgress())


@pytest.mark.parametrize(("count", "held"), [(1, 16), (2, 16), (3, 1), (7, 3), (10, 4)])
def test_the_order_of_frames(tmp_path, monkeypatch, count, held):
    monkeypatch.setattr(module, "_BACK_FRAMES", held)
    levels = [60 + 12 * n for n in range(count)]
    path = write_clip(tmp_path / "a.mp4", [ONE] * count, backgrounds=levels)
    shown = [round(float(picture[-1, -1].mean())) for picture, _ in islice(scene_of(path, 9).frames(), 3 * count)]
    expected = ([*levels, *levels[-2:0:-1]] * 3)[: 3 * count] if count > 1 else levels * 3
    assert [abs(a - b) < 6 for a, b in zip(shown, expected, strict=True)] == [True] * (3 * count)


def test_no_more_is_looked_at_than_is_shown(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [NOBODY] * 2 + [ONE] * 18)
    places = scene_of(path, Fraction(10, 25)).places
    assert [place is not None for place in places] == [False] * 2 + [True] * 8


def test_what_is_written_to_a_frame_stays_there(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [ONE])
    frames = scene_of(path, 1).frames()
    first, _ = next(frames)
    first[:] = 0
    assert next(frames)[0].mean() > 50
