"""From one frame to the next: identity, anchors and noise."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.fake_editor import make_face

import stages.talk.speaker as module
from stages.models.mouth_mask import mask_below, mask_top
from stages.talk.config import TalkConfig
from stages.talk.listening import Heard
from stages.talk.speaker import FrameNoise, Speaker

LANDMARKS = make_face(0, 0, 32).landmarks
CROP = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)


@pytest.fixture
def heard():
    return Heard(torch.randn(50, 80), np.ones(50, np.float32), Fraction(25), Fraction(2))


@pytest.fixture
def identities(monkeypatch):
    """The identity latents of every synthesized frame."""
    seen = []
    original = module.synthesize_frames

    def watched(talker, process, given, noise, **options):
        seen.append(given.identity_BCHW)
        return original(talker, process, given, noise, **options)

    monkeypatch.setattr(module, "synthesize_frames", watched)
    return seen


def speak(model, heard, frames, tracks=None, **fields):
    speaker = Speaker(model, heard, TalkConfig(steps=2, **{"anchor": 0.0, **fields}))
    return [speaker.speak(CROP, LANDMARKS, (tracks or [0] * frames)[k], Fraction(2 * k + 1, 50)) for k in range(frames)]


def encoded(model, spoken):
    """The latents of a made frame, with the known part above its mask."""
    made = torch.from_numpy(spoken.made_SSC).permute(2, 0, 1)[None].clone()
    real = torch.from_numpy(CROP.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    made[:, :, : int(spoken.top_px)] = real[:, :, : int(spoken.top_px)]
    return model.first_stage.encode(made), model.first_stage.encode(real)


def test_each_frame_is_the_identity_of_the_next(model, heard, identities):
    spoken = speak(model, heard, 3)
    made, real = encoded(model, spoken[0])
    torch.testing.assert_close(identities[0], real)
    torch.testing.assert_close(identities[1], made)
    assert not torch.allclose(identities[2], identities[1])


def test_the_mouth_that_is_replaced_is_not_seen(model, heard, monkeypatch):
    seen = []
    original = module.synthesize_frames

    def watched(talker, process, given, noise, **options):
        seen.append(given.masked_BCHW)
        return original(talker, process, given, noise, **options)

    monkeypatch.setattr(module, "synthesize_frames", watched)
    speak(model, heard, 1)
    real = torch.from_numpy(CROP.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    top = mask_top(torch.from_numpy(LANDMARKS.astype(np.float32))[None])
    torch.testing.assert_close(seen[0], model.first_stage.encode(mask_below(real, top)))
    assert not torch.allclose(seen[0], model.first_stage.encode(real), atol=1e-3)


def test_anchors_lead_back_to_the_reference(model, heard, identities):
    spoken = speak(model, heard, 3, anchor=0.25)
    made, real = encoded(model, spoken[0])
    torch.testing.assert_close(identities[1], 0.75 * made + 0.25 * real)
    identities.clear()
    speak(model, heard, 6, anchor_every=2)
    assert [bool(torch.allclose(z, real, atol=1e-5)) for z in identities] == [True, True, False, True, False, True]


def test_another_person_is_another_reference(model, heard, identities):
    _, real = encoded(model, speak(model, heard, 4, tracks=[0, 0, 1, 1])[0])
    assert [bool(torch.allclose(z, real, atol=1e-5)) for z in identities] == [True, False, True, False]


def test_the_sound_is_heard_at_its_time(model, heard, monkeypatch):
    times = []
    original = Heard.window
    monkeypatch.setattr(
        Heard, "window", lambda self, time_s, w: (times.append((time_s, w)), original(self, time_s, w))[1]
    )
    speak(model, heard, 2)
    assert times == [(Fraction(1, 50), 2), (Fraction(3, 50), 2)]


def test_delta_also_gives_the_reconstruction(model, heard):
    paste, delta = (speak(model, heard, 1, blend=blend)[0] for blend in ("paste", "delta"))
    np.testing.assert_allclose(paste.made_SSC, delta.made_SSC)
    _, real = encoded(model, delta)
    expected = model.first_stage.decode(real)[0].permute(1, 2, 0).clamp(-1, 1)
    np.testing.assert_allclose(delta.reconstruction_SSC, expected, atol=1e-5)


@pytest.mark.parametrize("memory", [0.0, 0.7, 1.0])
def test_noise_remembers_and_keeps_its_spread(memory):
    noise = FrameNoise(0, memory, (3, 64, 64), "cpu")
    frames = [noise.next_frame()() for _ in range(3)]
    for before, after in pairwise(frames):
        correlation = float((before * after).mean())
        assert correlation == pytest.approx(memory, abs=0.03)
        assert float(after.std()) == pytest.approx(1, abs=0.02)


def test_an_ancestral_sampler_gets_other_noise_on_its_way(model, heard):
    draw = FrameNoise(0, 1.0, (3, 8, 8), "cpu").next_frame()
    first, second, third = draw(), draw(), draw()
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert speak(model, heard, 1, sampler="ddpm")
