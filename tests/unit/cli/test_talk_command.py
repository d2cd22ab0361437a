"""``facediff talk`` as a user types it."""

from __future__ import annotations

import re

import pytest
from support.clips import NOBODY, ONE, CornerDetector, write_clip
from support.edit_model import make_fake_model
from support.tiny_talker import write_tiny_talker
from support.videos import hum, run_ffmpeg


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.common.face.detect.load_detector", lambda *_: CornerDetector())
    write_tiny_talker(tmp_path / "talker")
    write_clip(tmp_path / "face.mp4", [NOBODY] * 6 + [ONE] * 4)
    pcm = (hum(0.4) * 32767).astype("<i2").tobytes()
    run_ffmpeg("-f", "s16le", "-ar", 16_000, "-ac", 1, "-i", "-", tmp_path / "sound.wav", stdin=pcm)
    return tmp_path


def call(facediff, files, *more, face="face.mp4", audio="sound.wav", out="out.mp4", model="talker"):
    given = ["--face", files / face, "--audio", files / audio, "--out", files / out, "--model", files / model]
    return facediff("talk", *given, "--steps", 2, "--device", "cpu", *more)


def test_a_result_says_what_was_made(facediff, files):
    result = call(facediff, files, "--json")
    assert result.exit_code == 0, result.stderr
    payload = result.payload
    assert payload["output"] == str(files / "out.mp4")
    assert (payload["frames"], payload["edited"], payload["passed_through"]) == (10, 4, {"no face": 6})
    assert (payload["sound_s"], payload["frames_per_s"], payload["silent_frames"]) == (0.4, 25.0, 0)
    assert "6 frames passed through (no face)" in result.stderr
    assert "frames: 10/10" in result.stderr
    assert "/s" in result.stderr
    assert (files / "out.mp4").stat().st_size > 0


def test_for_people(facediff, files):
    result = call(facediff, files)
    assert "out.mp4  (10 frames at 25/s, 4 with a mouth made anew, 0 in silence)" in result.stdout


def test_a_dry_run_writes_nothing(facediff, files):
    before = set(files.iterdir())
    result = call(facediff, files, "--dry-run", "--json", "--guidance", 2, "--set", "anchor_every=25")
    assert result.payload["config"]["guidance"] == 2
    assert result.payload["config"]["anchor_every"] == 25
    assert set(files.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "more", "code", "says"),
    [
        ({"audio": "face.mp4"}, (), 3, "face.mp4 has no sound track"),
        ({"audio": "none.wav"}, (), 3, "--audio .*none.wav does not exist"),
        ({"face": "none.mp4"}, (), 3, "--face .*none.mp4 does not exist"),
        ({"out": "out.avi"}, (), 2, "must end in .webm, .mp4"),
        ({"out": "face.mp4"}, (), 2, "written over a source"),
        ({"out": "sound.wav/out.mp4"}, (), 3, "cannot be written"),
        ({"model": "nothing"}, (), 6, "no model"),
        ({}, ("--emotion", "happy"), 2, "talker speaks without emotions. Leave out --emotion"),
        ({}, ("--emotion", "hapy"), 2, "happy"),
        ({}, ("--set", "anchr=1"), 2, "did you mean anchor"),
        ({}, ("--steps", "0"), 2, "--steps"),
    ],
)
def test_what_cannot_be_done_is_one_line(facediff, files, change, more, code, says):
    before = set(files.iterdir())
    result = call(facediff, files, *more, **change)
    assert result.exit_code == code
    lines = [line for line in result.stderr.strip().splitlines() if line.startswith("facediff: ")]
    assert len(lines) == 1
    assert re.search(says, lines[0])
    assert set(files.iterdir()) == before


def test_a_model_of_another_kind(facediff, files, monkeypatch):
    make_fake_model(files / "editor", monkeypatch)
    result = call(facediff, files, model="editor")
    assert result.exit_code == 6
    assert "which cannot talk. Give what `train talk` wrote" in result.stderr
