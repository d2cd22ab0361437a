"""Pictures by their timestamps: rates, rotation, pixel shape, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.videos import grey_frames, hum, run_ffmpeg, write_video

from stages.common.errors import BadInputError
from stages.common.media.video import Video

LEVELS = [20 + 10 * n for n in range(20)]


def levels_of(path: Path, fps: float) -> list[int]:
    """The number of the source frame behind each picture."""
    return [round((float(picture.mean()) - 20) / 10) for picture in Video(path, Fraction(fps))]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "steps.mp4", grey_frames(LEVELS))


def test_at_its_own_rate_a_video_is_its_frames(steps: Path) -> None:
    assert levels_of(steps, 25) == list(range(20))


@pytest.mark.parametrize("fps", [10, 24, 30, 50])
def test_at_another_rate_the_nearest_frame_is_taken(steps: Path, fps: int) -> None:
    taken = levels_of(steps, fps)
    assert len(taken) == round(20 / 25 * fps)
    assert all(abs(number / 25 - k / fps) <= 0.5 / 25 + 1e-9 for k, number in enumerate(taken[:-1]))
    assert taken[-1] == 19 or fps < 25


def test_variable_rates_follow_the_timestamps(tmp_path: Path) -> None:
    kept = [0, 1, 2, 5, 6, 9, 10, 11, 15, 19]
    choose = "select=" + "+".join(rf"eq(n\,{n})" for n in kept)
    path = write_video(tmp_path / "v.mkv", grey_frames(LEVELS), options=["-vf", choose, "-fps_mode", "vfr"])
    video = Video(path, Fraction(25))
    assert levels_of(path, 25) == [min(kept, key=lambda n: (abs(n - k), n)) for k in range(20)]
    list(video)
    assert float(video.facts.longest_gap_s) == pytest.approx(4 / 25, abs=0.002)


def test_one_picture_is_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", grey_frames([60]))
    assert levels_of(path, 25) == [4]
    assert levels_of(path, 1) == [4]


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotated_videos_are_turned_upright(tmp_path: Path, angle: int) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 200
    plain = write_video(tmp_path / "plain.mp4", [picture] * 3)
    run_ffmpeg("-display_rotation", angle, "-i", plain, "-c", "copy", tmp_path / "turned.mp4")
    run_ffmpeg("-i", tmp_path / "turned.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "upright.raw")
    shape = (64, 32, 3) if angle % 180 else (32, 64, 3)
    expected = np.fromfile(tmp_path / "upright.raw", np.uint8)[: picture.size].reshape(shape)
    shown = next(iter(Video(tmp_path / "turned.mp4", Fraction(25))))
    assert shown.shape == shape
    assert np.abs(shown.astype(int) - expected).mean() < 3


def test_pixels_are_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mp4", grey_frames([60, 60]), options=["-vf", "setsar=2"])
    assert next(iter(Video(path, Fraction(25)))).shape == (32, 96, 3)


def test_damaged_packets_are_counted_and_the_rest_keeps_its_time(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 90, (32, 48, 3))
    frames = [(frame // 2 + noise).astype(np.uint8) for frame in grey_frames(LEVELS)]
    path = write_video(tmp_path / "cut.avi", frames, options=["-c:v", "png", "-pix_fmt", "rgb24"])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    video = Video(path, Fraction(25))
    pictures = list(video)
    assert len(pictures) == 20
    assert video.facts.damaged >= 1
    assert abs(float(pictures[-1].mean()) - frames[-1].mean()) < 2


def test_what_is_no_video_says_why(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 100)
    (tmp_path / "empty.mp4").touch()
    write_video(tmp_path / "both.mp4", grey_frames([60] * 5), hum(0.2))
    run_ffmpeg("-i", tmp_path / "both.mp4", "-vn", tmp_path / "sound.wav")
    whole = write_video(tmp_path / "whole.mp4", grey_frames(LEVELS)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    cases = {
        "text.mp4": "unreadable",
        "empty.mp4": "unreadable",
        "cut.mp4": "unreadable",
        "sound.wav": "no video",
        "gone": "missing",
    }
    for name, reason in cases.items():
        with pytest.raises(BadInputError) as caught:
            list(Video(tmp_path / name, Fraction(25)))
        assert caught.value.reason == reason, name
