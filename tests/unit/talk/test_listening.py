"""What is heard, and when."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from support.videos import hum

import stages.talk.listening as module
from stages.common.audio_features import AudioConfig, AudioEncoder
from stages.talk.listening import Heard, listen

MEL = AudioConfig(kind="mel")


def test_pieces_equal_the_whole(wav, monkeypatch):
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000 * 3 + 77).clip(-1, 1)
    path = wav("a.wav", sound)
    whole = listen(path, MEL, 25.0)
    monkeypatch.setattr(module, "_PIECE_FRAMES", 30)
    pieces = listen(path, MEL, 25.0)
    assert whole.features_TC.shape == (75, 80)
    torch.testing.assert_close(pieces.features_TC, whole.features_TC, atol=1e-4, rtol=0)
    assert whole.duration_s == Fraction(48_077, 16_000)
    samples = np.rint(sound * 32767).astype(np.float32)[: 75 * 640] / 32767
    np.testing.assert_allclose(whole.features_TC, AudioEncoder(MEL).features(samples, 75), atol=0.02)


@pytest.mark.parametrize("fps", [25.0, 24.0, 30_000 / 1001])
def test_a_beep_is_heard_in_its_frame(wav, fps):
    sound = np.zeros(16_000 * 4)
    sound[16_000 * 3 : 16_000 * 3 + 1600] = hum(0.1)
    heard = listen(wav("a.wav", sound), MEL, fps)
    loudest = float(heard.features_TC.mean(dim=1).argmax() + 0.5) / fps
    assert loudest == pytest.approx(3.05, abs=0.06)
    assert not heard.silent_T[int(3.05 * fps)]
    assert heard.silent_T.sum() == pytest.approx(3.9 * fps, abs=2)


def test_windows_keep_the_models_spacing_at_any_rate():
    rows = torch.arange(20.0)[:, None].repeat(1, 3)
    heard = Heard(rows, np.ones(20, np.float32), Fraction(25), Fraction(4, 5))
    np.testing.assert_allclose(heard.window(Fraction(21, 50), 2)[0, :, 0], [8, 9, 10, 11, 12])
    np.testing.assert_allclose(heard.window(Fraction(11, 25), 2)[0, :, 0], [8.5, 9.5, 10.5, 11.5, 12.5])
    np.testing.assert_allclose(heard.window(Fraction(0), 2)[0, :, 0], [0, 0, 0, 1, 2])
    np.testing.assert_allclose(heard.window(Fraction(5), 1)[0, :, 0], [18, 19, 19])


def test_a_model_that_does_not_listen_still_knows_how_long_it_is(wav):
    heard = listen(wav("a.wav", hum(0.5)), None, 25.0)
    assert heard.window(Fraction(0), 8) is None
    assert heard.duration_s == Fraction(1, 2)


def test_pauses_are_silent_beside_speech_and_quiet_speech_alone_is_not():
    rows = torch.zeros(40, 3)
    speech, noise = np.full(20, 0.2, np.float32), np.full(20, 0.008, np.float32)
    levels = np.concatenate([speech, noise])
    assert Heard(rows, levels, Fraction(25), Fraction(8, 5)).silent_T.sum() == 20
    assert Heard(rows, noise, Fraction(25), Fraction(8, 5)).silent_T.sum() == 0
    assert Heard(rows, noise * 0.1, Fraction(25), Fraction(8, 5)).silent_T.sum() == 20


def test_pauses_are_heard_as_the_model_knows_them(wav):
    path, known = wav("a.wav", np.concatenate([hum(1.0), np.zeros(16_000)])), np.arange(80.0)
    plain, heard = listen(path, MEL, 25.0), listen(path, MEL, 25.0, pause_C=known.tolist())
    np.testing.assert_allclose(heard.features_TC[28:], np.tile(known, (22, 1)))
    torch.testing.assert_close(heard.features_TC[:26], plain.features_TC[:26])
