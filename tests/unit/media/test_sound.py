"""Sound at 16 kHz mono: nothing moves in time, whatever the rate, the channels or the start."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.videos import delay_sound, grey_frames, hum, run_ffmpeg, write_video

from stages.common.errors import BadInputError
from stages.common.media.sound import Sound, align_sound, decode_wav, encode_wav, read_sound, samples_in
from stages.common.media.video import Video

FRAMES = grey_frames([60] * 25)


def click(at_s: float, rate_hz: int) -> np.ndarray:
    """A short pulse about a time, in a second of silence."""
    time_s = np.arange(rate_hz) / rate_hz
    return 0.8 * np.exp(-(((time_s - at_s) / 0.0005) ** 2))


def loudest_s(samples: np.ndarray) -> float:
    return int(np.abs(samples).argmax()) / 16_000


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_a_click_stays_where_it_was_at_every_rate(tmp_path: Path, rate_hz: int) -> None:
    options = ["-c:a", "pcm_s16le"]
    path = write_video(tmp_path / "v.mkv", FRAMES, click(0.4, rate_hz), rate_hz=rate_hz, options=options)
    sound = read_sound(path, 10)
    assert (sound.rate_hz, sound.start_s, len(sound.samples)) == (rate_hz, 0, rate_hz)
    aligned = align_sound(sound, Fraction(0), 16_000)
    assert loudest_s(aligned) == pytest.approx(0.4, abs=2 / 16_000)
    assert aligned.max() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_what_encoders_put_in_front_is_taken_away(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "v.mp4", FRAMES, click(0.4, 44_100), rate_hz=44_100, options=["-c:a", codec])
    assert loudest_s(align_sound(read_sound(path, 10), Fraction(0), 16_000)) == pytest.approx(0.4, abs=0.002)


def test_a_late_track_is_late(tmp_path: Path) -> None:
    options = ["-c:a", "pcm_s16le"]
    path = write_video(tmp_path / "v.mkv", FRAMES, click(0.4, 16_000), options=options)
    sound = read_sound(delay_sound(path, 0.2), 10)
    assert sound.start_s == Fraction(1, 5)
    aligned = align_sound(sound, Fraction(0), 16_000)
    assert loudest_s(aligned) == pytest.approx(0.6, abs=2 / 16_000)
    assert not aligned[:3100].any()


def test_six_channels_become_one_that_neither_clips_nor_loses_the_voice(tmp_path: Path) -> None:
    channels = np.zeros((16_000, 6))
    channels[:, 2] = click(0.4, 16_000)
    loud = np.full((16_000, 6), 0.95) * np.sign(hum(1))[:, None]
    for name, sound in (("voice", channels), ("loud", loud)):
        options = ["-c:a", "pcm_s16le", "-channel_layout", "5.1"]
        path = write_video(tmp_path / f"{name}.mkv", FRAMES, sound, options=options)
        mono = read_sound(path, 10).samples
        assert mono.ndim == 1
        assert np.abs(mono).max() <= 1
        if name == "voice":
            assert mono.max() > 0.1
            assert loudest_s(mono) == pytest.approx(0.4, abs=2 / 16_000)


def test_reading_stops_at_the_longest_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", FRAMES, hum(1), options=["-c:a", "pcm_s16le"])
    assert 0.3 <= len(read_sound(path, 0.3).samples) / 16_000 < 0.5


def test_without_sound_the_reason_is_given(tmp_path: Path) -> None:
    silent = write_video(tmp_path / "v.mp4", FRAMES)
    (tmp_path / "text.m4a").write_text("no sound" * 50)
    for path, reason in ((silent, "no sound"), (tmp_path / "text.m4a", "unreadable"), (tmp_path / "no", "missing")):
        with pytest.raises(BadInputError) as caught:
            read_sound(path, 10)
        assert caught.value.reason == reason


def test_lost_sound_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", FRAMES, click(0.8, 16_000), options=["-c:a", "pcm_s16le"])
    cut = tmp_path / "cut.mkv"
    run_ffmpeg("-i", path, "-c", "copy", "-bsf:a", "noise=drop=between(n\\,2\\,5)", cut)
    sound = read_sound(cut, 10)
    assert loudest_s(align_sound(sound, Fraction(0), 16_000)) == pytest.approx(0.8, abs=0.002)


@given(st.integers(-50, 50), st.integers(1, 120), st.integers(0, 120))
def test_aligned_sound_is_the_samples_at_their_places(offset: int, length: int, count: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    aligned = align_sound(Sound(samples, 16_000, Fraction(offset, 16_000)), Fraction(0), count)
    expected = [samples[k - offset] if 0 <= k - offset < length else 0 for k in range(count)]
    assert aligned.tolist() == expected


def test_frames_own_the_samples_of_their_time() -> None:
    assert samples_in(75, Fraction(25)) == 48_000
    assert samples_in(30, Fraction(30)) == 16_000
    assert samples_in(1, Fraction(30_000, 1001)) == 534


def test_wav_files_come_back(tmp_path: Path) -> None:
    samples = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    content = encode_wav(samples)
    assert np.abs(decode_wav(content) - samples.clip(-1, 1)).max() < 1e-4
    (tmp_path / "a.wav").write_bytes(content)
    assert read_sound(tmp_path / "a.wav", 1).rate_hz == 16_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b_frames.mp4", ["-bf", "3", "-c:a", "aac"]),
        ("late_start.ts", ["-bf", "2", "-c:a", "aac"]),
        ("old.mpg", ["-c:v", "mpeg1video", "-c:a", "mp2"]),
        ("web.webm", ["-c:v", "libvpx", "-c:a", "libopus", "-ar", "48000"]),
        ("quick.mov", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"]),
    ],
)
def test_a_flash_and_a_click_stay_together(tmp_path: Path, name: str, options: list[str]) -> None:
    flash = [200 if 10 <= n < 13 else 30 for n in range(25)]
    path = write_video(tmp_path / name, grey_frames(flash), click(0.4, 44_100), rate_hz=44_100, options=options)
    video = Video(path, Fraction(25))
    bright = [float(picture.mean()) > 115 for picture in video]
    samples = align_sound(read_sound(path, 10), video.facts.start_s, samples_in(len(bright), video.fps))
    assert loudest_s(samples) - bright.index(True) / 25 == pytest.approx(0, abs=0.002)
    assert sum(bright) == 3
