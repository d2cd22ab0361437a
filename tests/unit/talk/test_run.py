"""Talking videos: what is made, what is kept, how long they are, and what is refused."""

from __future__ import annotations

import os
import resource
import weakref
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from support.clips import NOBODY, ONE, TWO, CornerDetector, write_clip
from support.fake_editor import FakeDetector
from support.tiny_talker import tiny_talking_model
from support.videos import hum, run_ffmpeg

import stages.talk.run as module
from stages.common.errors import BadInputError, ConfigError
from stages.common.media.video import Video
from stages.common.progress import SilentProgress
from stages.common.video import VideoReader
from stages.common.video_writer import read_record
from stages.talk import scene
from stages.talk.config import TalkConfig
from stages.talk.run import talk


def talked(face, sound, target, model, *, detector=None, **fields):
    config = TalkConfig(**{"steps": 2, **fields})
    return talk(
        face,
        sound,
        target,
        model=model,
        detector=detector or CornerDetector(),
        config=config,
        progress=SilentProgress(),
    )


def pictures(path, rate=25):
    return [picture.astype(int) for picture in Video(path, Fraction(rate))]


@pytest.fixture
def written(monkeypatch):
    """The pictures as they go into the encoder, before it changes them."""
    seen = []
    original = module.VideoWriter.write
    monkeypatch.setattr(
        module.VideoWriter, "write", lambda self, frame, rgb: (seen.append(rgb.astype(int)), original(self, frame, rgb))
    )
    return seen


def test_a_dubbed_video_changes_at_the_mouth_alone(tmp_path, model, wav, written):
    clip = write_clip(tmp_path / "ä clip.mp4", [ONE] * 8)
    result = talked(clip, wav("töne.wav", hum(8 / 25)), tmp_path / "ö.mp4", model)
    assert result.counts.as_json() == {"frames": 8, "edited": 8, "passed_through": {}}
    for before, after in zip(pictures(clip), written, strict=True):
        changed = np.abs(after - before).max(axis=2) > 0
        rows, columns = np.nonzero(changed)
        assert changed.any()
        assert rows.min() > 20 + 0.45 * 80  # the nose of the face at (6, 20) of 80 px
        assert columns.max() < 6 + 80
    record = read_record(tmp_path / "ö.mp4")
    assert (record["tool"], record["stage"], record["model"]) == ("facediff", "talk", model.artifact_id)
    assert record["settings"]["steps"] == 2
    assert len(record["source_sha256"]) == len(record["sound_sha256"]) == 64


def test_frames_without_a_face_are_passed_through_and_counted(tmp_path, model, wav, written):
    clip = write_clip(tmp_path / "a.mp4", [NOBODY] * 8 + [ONE] * 6)
    result = talked(clip, wav("a.wav", hum(14 / 25)), tmp_path / "b.mp4", model)
    assert result.as_json()["passed_through"] == {"no face": 8}
    assert result.counts.edited == 6
    before = pictures(clip)
    assert [bool((a != b).any()) for a, b in zip(before, written, strict=True)] == [False] * 8 + [True] * 6
    assert result.notes == ["8 frames passed through (no face)"]


def test_of_two_people_the_larger_one_talks(tmp_path, model, wav, written):
    clip = write_clip(tmp_path / "a.mp4", [TWO] * 4)
    talked(clip, wav("a.wav", hum(4 / 25)), tmp_path / "b.mp4", model)
    for before, after in zip(pictures(clip), written, strict=True):
        assert (before != after)[:, :88].any()
        assert (before == after)[:, 88:].all()


@pytest.mark.parametrize(("seconds", "frames"), [(0.2, 5), (0.4, 10), (1.2, 30)])
def test_the_result_lasts_as_long_as_the_sound_and_a_short_video_plays_forth_and_back(
    tmp_path, model, wav, written, seconds, frames
):
    levels = [90, 110, 130, 150, 170, 150, 130, 110, 100, 90]
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 10, backgrounds=levels)
    result = talked(clip, wav("a.wav", hum(seconds)), tmp_path / "b.mp4", model)
    assert len(written) == result.counts.frames == frames
    order = [*range(10), *range(8, 0, -1), *range(10), *range(8, 0, -1)][:frames]
    before = pictures(clip)
    for k, picture in zip(order, written, strict=False):
        assert (picture[:, 120:] == before[k][:, 120:]).all()
    assert ("plays forth and back" in "".join(result.notes)) == (frames > 10)
    with VideoReader(tmp_path / "b.mp4") as reader:
        times = [frame.pts * reader.info.time_base for frame in reader.frames()]
    assert times == [Fraction(k, 25) for k in range(frames)]


def test_a_photo_becomes_a_video_of_the_models_rate(tmp_path, model, wav, written):
    pixels = np.random.default_rng(0).integers(40, 200, (151, 221, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    result = talked(tmp_path / "a.png", wav("a.wav", hum(0.4)), tmp_path / "b.mp4", model, detector=FakeDetector())
    assert (result.rate_hz, result.counts.edited) == (25, 10)
    assert written[0].shape == (150, 220, 3)
    for picture in written:
        assert (picture[:75] == pixels[:75, :220]).all()
    assert any((a != b).any() for a, b in pairwise(written))


def test_large_photos_are_shrunk(tmp_path, model, wav):
    Image.new("RGB", (3000, 2000), "gray").save(tmp_path / "a.png")
    detector = FakeDetector(((600.0, 300.0, 700.0),))
    talked(tmp_path / "a.png", wav("a.wav", hum(0.04)), tmp_path / "b.mp4", model, detector=detector)
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert (reader.info.width_px, reader.info.height_px) == (1920, 1280)


def test_a_turned_video_is_upright_and_a_variable_rate_becomes_constant(tmp_path, model, wav):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 5, times=[0, 4, 8, 20, 24], rotation=90)
    detector = FakeDetector(((10.0, 40.0, 80.0),))
    result = talked(clip, wav("a.wav", hum(0.28)), tmp_path / "b.mp4", model, detector=detector)
    with VideoReader(tmp_path / "b.mp4") as reader:
        frames = list(reader.frames())
        times = [frame.pts * reader.info.time_base for frame in frames]
    assert (reader.info.width_px, reader.info.height_px) == (112, 160)
    assert {frame.turns for frame in frames} == {0}
    assert times == [k / result.rate_hz for k in range(len(times))]


def test_colours_survive(tmp_path, model, wav):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 3, backgrounds=[90] * 3)
    talked(clip, wav("a.wav", hum(0.12)), tmp_path / "b.mp4", model)
    with VideoReader(clip) as before, VideoReader(tmp_path / "b.mp4") as after:
        pairs = zip(before.frames(), after.frames(), strict=True)
        assert max(np.abs(a.stored_HWC[:, 130:].astype(int) - b.stored_HWC[:, 130:]).max() for a, b in pairs) <= 4


def test_a_damaged_video_goes_on(tmp_path, model, wav):
    clip = write_clip(tmp_path / "a.mkv", [ONE] * 40)
    content = bytearray(clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = os.urandom(60)
    clip.write_bytes(content)
    result = talked(clip, wav("a.wav", hum(0.8)), tmp_path / "b.mp4", model)
    assert result.counts.frames == 20


def test_sound_of_a_video(tmp_path, model):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 6, sound=True)
    assert talked(clip, clip, tmp_path / "b.mkv", model).counts.frames in {6, 7}


@pytest.mark.parametrize("rate_hz", [8_000, 96_000])
def test_unusual_rates_and_channels(tmp_path, model, wav, rate_hz):
    sound = np.stack([hum(0.2, rate_hz)] * 6, axis=1)
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 3)
    result = talked(clip, wav("a.wav", sound, rate_hz), tmp_path / "b.mp4", model)
    assert result.counts.frames == 5
    with VideoReader(tmp_path / "b.mp4") as reader:
        (stream,) = reader._container.streams.audio
        assert (stream.codec_context.sample_rate, stream.codec_context.channels) == (rate_hz, 2)


def test_silence_is_counted(tmp_path, model, wav):
    sound = np.concatenate([hum(0.2), np.zeros(4800), hum(0.1)])
    result = talked(write_clip(tmp_path / "a.mp4", [ONE] * 3), wav("a.wav", sound), tmp_path / "b.mp4", model)
    assert (result.counts.frames, result.silent) == (15, 7)


def test_files_that_cannot_be_used(tmp_path, model, wav):
    clip, sound = write_clip(tmp_path / "a.mp4", [ONE] * 2), wav("a.wav", hum(0.1))
    (tmp_path / "text.wav").write_text("no sound")
    nobody = write_clip(tmp_path / "n.mp4", [NOBODY] * 3)
    before = set(tmp_path.iterdir())
    for face, audio, reason, says in (
        (clip, clip, "no sound", "has no sound track"),
        (clip, tmp_path / "text.wav", "unreadable", "no video or sound that facediff can read"),
        (clip, tmp_path / "none.wav", "missing", "does not exist"),
        (tmp_path / "none.png", sound, "missing", "does not exist"),
        (sound, sound, None, "a.wav"),
        (nobody, sound, "no face", "no face found in any of the 2 frames"),
        (clip, wav("s.wav", np.zeros(100)), "too short", "shorter than a frame"),
    ):
        with pytest.raises(BadInputError, match=says) as caught:
            talked(face, audio, tmp_path / "b.mp4", model)
        assert "\n" not in str(caught.value)
        assert reason is None or caught.value.reason == reason
    assert set(tmp_path.iterdir()) - before == {tmp_path / "s.wav"}


def test_a_full_disk_leaves_no_half_file(tmp_path, model, wav):
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    sound = wav("a.wav", hum(0.8))
    before, limit = set(tmp_path.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limit[1]))
    try:
        with pytest.raises(BadInputError, match="cannot be written") as caught:
            talked(tmp_path / "a.png", sound, tmp_path / "b.mp4", model, detector=FakeDetector())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.reason == "unwritable"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_no_half_file(tmp_path, model, wav, monkeypatch, error):
    def stop(*_args, **_kwargs):
        raise error

    clip, sound = write_clip(tmp_path / "a.mp4", [ONE] * 4), wav("a.wav", hum(0.1))
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(module, "blend_face", stop)
    with pytest.raises(error):
        talked(clip, sound, tmp_path / "b.mp4", model)
    assert set(tmp_path.iterdir()) == before


def test_an_emotion_that_the_model_does_not_have(tmp_path, model, wav):
    with pytest.raises(ConfigError, match=r"speaks without emotions\. Leave out --emotion"):
        talked(tmp_path / "a.mp4", tmp_path / "a.wav", tmp_path / "b.mp4", model, emotion="happy")


def test_an_emotion_changes_what_is_made(tmp_path, wav, written):
    feeling = tiny_talking_model(emotion=True, landmarks=True)
    clip, sound = write_clip(tmp_path / "a.mp4", [ONE] * 2), wav("a.wav", hum(0.08))
    for number, emotion in enumerate((None, "happy", "sad")):
        talked(clip, sound, tmp_path / f"{number}.mp4", feeling, emotion=emotion)
    assert not (written[0] == written[2]).all()
    assert not (written[2] == written[4]).all()


def test_equal_seeds_give_equal_pixels_and_others_do_not(tmp_path, model, wav, written):
    clip, sound = write_clip(tmp_path / "a.mp4", [ONE] * 2), wav("a.wav", hum(0.08))
    for number, seed in enumerate((0, 0, 1)):
        talked(clip, sound, tmp_path / f"{number}.mp4", model, seed=seed)
    assert (written[1] == written[3]).all()
    assert not (written[1] == written[5]).all()


def test_frames_held_do_not_grow_with_length(tmp_path, model, wav, monkeypatch):

    alive, most = weakref.WeakSet(), 0

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    original = scene._even

    def counted(picture):
        nonlocal most
        tracked = original(picture).view(Counted)
        alive.add(tracked)
        most = max(most, len(alive))
        return tracked

    monkeypatch.setattr(scene, "_even", counted)
    monkeypatch.setattr(module, "_say", lambda *_: None)
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 60)
    assert talked(clip, wav("a.wav", hum(6)), tmp_path / "b.mp4", model).counts.frames == 150
    assert most <= 40


def test_ffmpeg_can_read_what_was_written(tmp_path, model, wav):
    talked(write_clip(tmp_path / "a.mp4", [ONE] * 3), wav("a.wav", hum(0.2)), tmp_path / "b.mp4", model)
    run_ffmpeg("-i", tmp_path / "b.mp4", "-f", "null", "-")
