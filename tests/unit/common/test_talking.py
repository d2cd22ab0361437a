"""Few-step synthesis of frames under their conditions, and models on disk."""

from __future__ import annotations

import pytest
import torch
from support.tiny_talker import tiny_talking_model, write_tiny_talker

from stages.common.talking import FrameConditions, load_talking_model, predict_frames, synthesize_frames

ROUNDING = {"rtol": 1e-3, "atol": 1e-3}
"""Kernels differ with the batch and with where weights lie in memory, and a few steps make more of it."""


@pytest.fixture(scope="module")
def model():
    return tiny_talking_model()


def conditions(count):
    torch.manual_seed(1)
    z = torch.randn(2, count, *(3, 8, 8))
    return FrameConditions(z[0], z[1], torch.randn(count, 256))


def synthesized(model, given, noise, **options):
    return synthesize_frames(model.talker, model.process, given, lambda: noise, **options)


def test_frames_do_not_see_one_another(model):
    given, noise = conditions(2), torch.randn(2, 3, 8, 8)
    both = synthesized(model, given, noise, steps=3, guidance_scale=2.0)
    alone = synthesized(model, FrameConditions(*(x[1:] for x in given)), noise[1:], steps=3, guidance_scale=2.0)
    torch.testing.assert_close(both[1:], alone, **ROUNDING)


def test_every_condition_and_the_noise_matter(model):
    given, noise = conditions(1), torch.randn(1, 3, 8, 8)
    z = synthesized(model, given, noise, steps=2)
    for name in FrameConditions._fields:
        other = given._replace(**{name: torch.zeros_like(getattr(given, name))})
        assert not torch.allclose(synthesized(model, other, noise, steps=2), z)
    assert not torch.allclose(synthesized(model, given, torch.zeros_like(noise), steps=2), z)


def test_guidance_goes_away_from_the_null_context(model):
    given = conditions(1)
    z = torch.randn(1, 3, 8, 8)
    one, zero, three = (
        predict_frames(model.talker, model.process, given, scale)(z, 500).eps for scale in (1.0, 0.0, 3.0)
    )
    null = given._replace(context_BD=model.talker.null_context(1))
    torch.testing.assert_close(zero, predict_frames(model.talker, model.process, null)(z, 500).eps)
    torch.testing.assert_close(three, zero + 3 * (one - zero), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("steps", "scale", "evaluations"), [(8, 1.0, 8), (8, 2.0, 16), (1, 1.0, 1)])
def test_evaluations_of_a_frame(model, monkeypatch, steps, scale, evaluations):
    counted = 0
    original = type(model.talker).predict

    def count(self, z, *rest):
        nonlocal counted
        counted += len(z)
        return original(self, z, *rest)

    monkeypatch.setattr(type(model.talker), "predict", count)
    synthesized(model, conditions(1), torch.randn(1, 3, 8, 8), steps=steps, guidance_scale=scale)
    assert counted == evaluations


def test_predictions_can_be_learned_through(model):
    given = conditions(1)
    identity = given.identity_BCHW.requires_grad_()
    predict_frames(model.talker, model.process, given)(torch.randn(1, 3, 8, 8), 300).x0.sum().backward()
    assert identity.grad is not None
    assert identity.grad.abs().sum() > 0


def test_a_model_comes_back_from_disk(tmp_path, model):
    loaded = load_talking_model(write_tiny_talker(tmp_path / "talker"))
    given, noise = conditions(1), torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(synthesized(loaded, given, noise), synthesized(model, given, noise), **ROUNDING)
    assert (loaded.fps, loaded.size_px, loaded.latent_shape) == (25.0, 32, (3, 8, 8))
