"""Classifier-free guidance in the thesis's convention: g = 0 ignores the label, g = 1 is the conditional model."""

import pytest
import torch

from stages.models.guidance import classifier_free_guidance
from stages.models.process import ForwardProcess


class FakeDenoiser:
    """eps = (label + 1) z + t, and a record of what was evaluated; a context is its label."""

    def __init__(self):
        self.batches = []

    def null_context(self, count):
        return torch.full((count,), 8)

    def predict(self, z, timesteps, labels):
        self.batches.append(labels.tolist())
        return (labels + 1).view(-1, 1, 1, 1) * z + timesteps.view(-1, 1, 1, 1)


@pytest.fixture
def denoiser():
    return FakeDenoiser()


@pytest.fixture
def z():
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


PROCESS = ForwardProcess(torch.linspace(0.99, 0.01, 1000))
LABELS = torch.tensor([1, 5, 2])


def predict(denoiser, z, scales, t=7):
    return classifier_free_guidance(denoiser, PROCESS, LABELS, torch.tensor(scales))(z, t).eps


def alone(z, labels, t=7):
    return (labels + 1).view(-1, 1, 1, 1) * z + t


def test_scale_one_evaluates_only_the_conditional_branch(denoiser, z):
    torch.testing.assert_close(predict(denoiser, z, [1.0] * 3), alone(z, LABELS))
    assert denoiser.batches == [[1, 5, 2]]


def test_scale_zero_is_the_unconditional_model(denoiser, z):
    torch.testing.assert_close(predict(denoiser, z, [0.0] * 3), alone(z, torch.tensor([8, 8, 8])))
    assert denoiser.batches == [[8, 8, 8, 1, 5, 2]]


def test_the_estimate_is_linear_in_the_scale(denoiser, z):
    zero, one = predict(denoiser, z, [0.0] * 3), predict(denoiser, z, [1.0] * 3)
    torch.testing.assert_close(predict(denoiser, z, [3.5] * 3), zero + 3.5 * (one - zero))


def test_every_sample_has_its_own_scale_and_label(denoiser, z):
    mixed = predict(denoiser, z, [1.0, 0.0, 4.0])
    null = alone(z, torch.tensor([8, 8, 8]))
    expected = torch.stack([alone(z, LABELS)[0], null[1], (-3 * null + 4 * alone(z, LABELS))[2]])
    torch.testing.assert_close(mixed, expected)
    assert len(denoiser.batches) == 1


def test_the_time_step_reaches_both_branches(denoiser, z):
    later = predict(denoiser, z, [2.0] * 3, t=100)
    torch.testing.assert_close(later - predict(denoiser, z, [2.0] * 3, t=0), torch.full_like(z, 100.0))


def test_a_negative_label_takes_the_place_of_null(denoiser, z):
    negative = torch.tensor([0, 3, 2])
    guided = classifier_free_guidance(denoiser, PROCESS, LABELS, torch.tensor([3.0] * 3), negative_context=negative)
    torch.testing.assert_close(guided(z, 7).eps, -2 * alone(z, negative) + 3 * alone(z, LABELS))
    assert denoiser.batches == [[0, 3, 2, 1, 5, 2]]


@pytest.mark.parametrize(("t", "scale"), [(99, 1.0), (100, 3.0), (300, 3.0), (301, 1.0)])
def test_guidance_is_limited_to_its_levels(denoiser, z, t, scale):
    guided = classifier_free_guidance(denoiser, PROCESS, LABELS, torch.tensor([3.0] * 3), guided_levels=(100, 300))
    torch.testing.assert_close(guided(z, t).eps, predict(FakeDenoiser(), z, [scale] * 3, t))
    assert len(denoiser.batches[0]) == (6 if scale > 1 else 3)


class LearnedVariance(FakeDenoiser):
    """Says of the variance 0.1 under no label and -0.8 under any other."""

    def predict(self, z, timesteps, labels):
        spread = torch.where(labels == 8, 0.1, -0.8).view(-1, 1, 1, 1).expand_as(z)
        return torch.cat([super().predict(z, timesteps, labels), spread], dim=1)


@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_a_learned_variance_is_the_conditional_one_at_every_scale(z, scale):
    guided = classifier_free_guidance(LearnedVariance(), PROCESS, LABELS, torch.full((3,), scale))(z, 7)
    torch.testing.assert_close(guided.variance_fraction, torch.full_like(z, 0.1))
    torch.testing.assert_close(guided.eps, predict(FakeDenoiser(), z, [scale] * 3))
