"""The demonstration, and the voice that it needs."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from PIL import Image
from support.clips import ONE, CornerDetector, write_clip
from support.fake_editor import FakeDetector

from stages.common.errors import ConfigError
from stages.common.progress import SilentProgress
from stages.common.provenance import read_provenance
from stages.talk.demo import make_talk_demo
from stages.talk.voice import write_speech


def test_a_sentence_is_spoken(tmp_path):
    write_speech(tmp_path / "a.wav", "Place green at b four now.")
    with wave.open(str(tmp_path / "a.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        seconds = file.getnframes() / file.getframerate()
    assert 1 < seconds < 4
    assert np.abs(samples).max() > 3000


def test_an_unknown_voice_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no voice 'xx-nowhere'"):
        write_speech(tmp_path / "a.wav", "hello", "xx-nowhere")


def test_a_portrait_reads_a_sentence(tmp_path, model, monkeypatch):
    monkeypatch.setattr("stages.talk.demo.SENTENCE", "a")
    detector = FakeDetector(((150.0, 60.0, 150.0),))
    paths, result = make_talk_demo(tmp_path, None, model, detector, SilentProgress())
    assert [path.name for path in paths] == ["astronaut.png", "sentence.wav", "talk.mp4", "talk-strip.png"]
    assert all(path.is_file() for path in paths)
    assert result.counts.edited == result.counts.frames > 5


def test_a_clip_is_dubbed_with_its_own_sound(tmp_path, model):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 11, sound=True)
    paths, _ = make_talk_demo(tmp_path, clip, model, CornerDetector(), SilentProgress())
    assert [path.name for path in paths] == ["talk.mp4", "talk-strip.png"]
    with Image.open(paths[1]) as strip:
        assert strip.size == (10 * 130 + 2, 2 * 130 + 2)
    assert read_provenance(paths[1])["stage"] == "talk"
