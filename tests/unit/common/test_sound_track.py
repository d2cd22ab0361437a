"""Sound beside pictures: in step after ten minutes, in every container."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from support.videos import run_ffmpeg

from stages.common.media.sound import read_sound
from stages.common.sound_track import EncodedSound
from stages.common.video import Frame, VideoInfo, VideoReader
from stages.common.video_writer import VideoWriter

RATE_HZ = 8_000


def info(path, rate):
    return VideoInfo(path, 16, 16, 1 / rate, rate, Fraction(0), 0, False, None, 1, 1, 1, {})


def write_clicks(tmp_path, suffix, rate, seconds, every):
    """A white frame and a click at every ``every``-th frame; returns the file and the times of the flashes."""
    frames = int(seconds * rate)
    samples = np.zeros(int(seconds * RATE_HZ), "<i2")
    flashes = [k / rate for k in range(every, frames, every)]
    for flash in flashes:
        samples[round(flash * RATE_HZ) : round(flash * RATE_HZ) + 16] = 20_000
    sound = tmp_path / "clicks.wav"
    run_ffmpeg("-f", "s16le", "-ar", RATE_HZ, "-ac", 1, "-i", "-", sound, stdin=samples.tobytes())
    path = tmp_path / f"out{suffix}"
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    with VideoWriter(path, info(sound, rate), {}, 30, partial(EncodedSound, sound)) as writer:
        for k in range(frames):
            picture = white if k and k % every == 0 else black
            writer.write(Frame(picture, k, 1, 0), picture)
    return path, flashes


def read_flashes(path):
    with VideoReader(path) as reader:
        return [float(f.pts * reader.info.time_base) for f in reader.frames() if f.stored_HWC.mean() > 128]


def read_clicks(path, count):
    sound = read_sound(path, 10_000)
    loud = np.abs(sound.samples)
    found = []
    for _ in range(count):
        at = int(loud.argmax())
        found.append(float(sound.start_s) + at / sound.rate_hz)
        loud[max(0, at - sound.rate_hz // 10) : at + sound.rate_hz // 10] = 0
    return sorted(found)


def test_sound_and_pictures_are_together_after_ten_minutes(tmp_path):
    path, flashes = write_clicks(tmp_path, ".mp4", Fraction(500, 1001), 600, every=25)
    seen, heard = read_flashes(path), read_clicks(path, len(flashes))
    assert len(seen) == len(flashes) == 11
    assert flashes[-1] > 540
    np.testing.assert_allclose(seen, np.array(flashes, float), atol=1e-9)
    np.testing.assert_allclose(heard, np.array(flashes, float), atol=0.003)


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".webm"])
def test_in_every_container(tmp_path, suffix):
    path, flashes = write_clicks(tmp_path, suffix, Fraction(25), 4, every=40)
    np.testing.assert_allclose(read_flashes(path), np.array(flashes, float), atol=0.001)
    np.testing.assert_allclose(read_clicks(path, len(flashes)), np.array(flashes, float), atol=0.004)


def test_sound_that_begins_late_begins_late(tmp_path):
    early = tmp_path / "early.wav"
    clicks = np.zeros(RATE_HZ, "<i2")
    clicks[RATE_HZ // 2 : RATE_HZ // 2 + 16] = 20_000
    run_ffmpeg("-f", "s16le", "-ar", RATE_HZ, "-ac", 1, "-i", "-", early, stdin=clicks.tobytes())
    late = tmp_path / "late.mkv"
    colour = ["-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=1"]
    run_ffmpeg(*colour, "-itsoffset", 0.3, "-i", early, "-map", "0:v", "-map", "1:a", "-c:a", "pcm_s16le", late)
    path, black = tmp_path / "out.mp4", np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(path, info(late, Fraction(25)), {}, 30, partial(EncodedSound, late)) as writer:
        for k in range(25):
            writer.write(Frame(black, k, 1, 0), black)
    np.testing.assert_allclose(read_clicks(path, 1), [0.8], atol=0.003)
