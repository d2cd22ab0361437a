"""Guidance by a classifier whose gradient is known, and the network that does it for real."""

import pytest
import torch

from stages.models.classifier_guidance import classifier_guidance
from stages.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from stages.models.process import Estimate, ForwardProcess

ABAR = torch.tensor([0.9, 0.36, 0.0])
TINY = NoisyClassifierConfig(
    latent_size=8, block_out_channels=(8, 16), attention_levels=(False, True), layers_per_block=1,
    channels_per_head=8, norm_num_groups=4,
)  # fmt: skip


def first_pixel_classifier(z_BCHW, _timesteps_B):
    """log p(y = 0) - log p(y = 1) is the first value of each sample."""
    first = z_BCHW.flatten(1)[:, 0]
    return torch.stack([first, torch.zeros_like(first)], dim=1)


def plain(z_BCHW, t):
    eps = torch.full_like(z_BCHW, 0.5)
    return Estimate((z_BCHW - (1 - ABAR[t]).sqrt() * eps) / ABAR[t].sqrt(), eps)


@pytest.mark.parametrize("t", [0, 1])
def test_eps_moves_against_the_gradient_of_the_log_likelihood(t):
    z = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1])
    guided = classifier_guidance(plain, first_pixel_classifier, ForwardProcess(ABAR), labels, 2.0)(z, t)
    gradient = torch.zeros_like(z)
    share = torch.sigmoid(z[:, 0, 0, 0])
    gradient[:, 0, 0, 0] = torch.stack([1 - share[0], -share[1]])
    torch.testing.assert_close(guided.eps, 0.5 - 2.0 * (1 - ABAR[t]).sqrt() * gradient)
    torch.testing.assert_close(ABAR[t].sqrt() * guided.x0 + (1 - ABAR[t]).sqrt() * guided.eps, z)


def test_it_works_where_gradients_are_off_and_leaves_none_behind():
    z = torch.randn(1, 3, 8, 8)
    classifier = NoisyClassifier(TINY).eval().requires_grad_(False)
    with torch.no_grad():
        guided = classifier_guidance(plain, classifier, ForwardProcess(ABAR), torch.tensor([3]), 1.0)(z, 1)
    assert not guided.x0.requires_grad
    assert (guided.eps != 0.5).any()
    assert all(p.grad is None for p in classifier.parameters())


def test_a_scale_of_zero_and_pure_noise_change_nothing():
    z = torch.randn(1, 3, 4, 4)
    process, labels = ForwardProcess(ABAR), torch.tensor([0])
    off, strong = (classifier_guidance(plain, first_pixel_classifier, process, labels, s) for s in (0.0, 5.0))
    torch.testing.assert_close(off(z, 1).eps, plain(z, 1).eps)
    assert strong(z, 2).eps.eq(0.5).all()


def test_the_classifier_sees_the_noise_level_and_every_sample_alone():
    torch.manual_seed(0)
    classifier = NoisyClassifier(TINY).eval()
    z, t = torch.randn(3, 3, 8, 8), torch.tensor([1, 500, 999])
    logits = classifier(z, t)
    assert logits.shape == (3, 8)
    torch.testing.assert_close(logits, torch.cat([classifier(z[i : i + 1], t[i : i + 1]) for i in range(3)]))
    assert not torch.allclose(classifier(z, t.flip(0)), logits)
