"""Losses of the first stage and of the denoiser, by hand."""

import pytest
import torch

from stages.models.losses import (
    PatchDiscriminator,
    adaptive_adversarial_weight,
    hinge_discriminator_loss,
    simple_loss,
)


@pytest.mark.parametrize(
    ("real", "fake", "loss"),
    [
        ([1.0, 2.0], [-1.0, -3.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 1.0),
        ([-1.0, 3.0], [-3.0, 2.0], 0.5 * (1.0 + 1.5)),
    ],
)
def test_hinge_loss_by_hand(real, fake, loss):
    assert hinge_discriminator_loss(torch.tensor(real), torch.tensor(fake)).item() == pytest.approx(loss)


def test_adaptive_weight_is_the_ratio_of_gradient_norms():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    features = torch.tensor([3.0, 1.0])
    reconstruction = (weight * features - 1).square().sum()
    adversarial = -(weight * features).sum()
    by_hand = 2 * (weight.detach() * features - 1) * features
    found = adaptive_adversarial_weight(reconstruction, adversarial, weight)
    torch.testing.assert_close(found, by_hand.norm() / (features.norm() + 1e-4))
    assert not found.requires_grad
    # Both graphs must survive for the training step's own backward pass.
    (reconstruction + found * adversarial).backward()
    torch.testing.assert_close(weight.grad, by_hand - found * features)


def test_adaptive_weight_is_limited_where_the_discriminator_is_flat():
    weight = torch.ones(2, requires_grad=True)
    assert adaptive_adversarial_weight(weight.sum() * 10, weight.sum() * 1e-9, weight).item() == pytest.approx(1e4)
    assert adaptive_adversarial_weight(weight.sum() * 10, weight.sum() * 1e-9, weight, limit=3.0).item() == 3.0


@pytest.mark.parametrize(("size_px", "patches"), [(32, 2), (64, 6), (128, 14)])
def test_discriminator_judges_patches(size_px, patches):
    with torch.device("meta"):
        assert PatchDiscriminator()(torch.empty(2, 3, size_px, size_px)).shape == (2, 1, patches, patches)


def test_a_patch_sees_seventy_pixels():
    torch.manual_seed(0)
    model = PatchDiscriminator(channels=8).eval()
    # Group normalisation sees the whole picture; without it only the convolutions decide who sees what.
    model.layers = torch.nn.Sequential(*(m for m in model.layers if not isinstance(m, torch.nn.GroupNorm)))
    x = torch.randn(1, 3, 128, 128, requires_grad=True)
    model(x)[0, 0, 7, 7].backward()
    seen = x.grad[0].abs().sum(dim=0) > 0
    assert seen.any(dim=0).sum() == 70
    assert seen.any(dim=1).sum() == 70


def test_simple_loss_is_the_mean_squared_error_in_float32():
    loss = simple_loss(torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([0.0, 4.0]))
    assert loss.item() == 2.5
    assert loss.dtype is torch.float32


def test_simple_loss_weights_each_sample():
    predicted, target = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    assert simple_loss(predicted, target, torch.tensor([1.0, 3.0])).item() == 2.0
    assert simple_loss(predicted, target, torch.ones(2)).item() == simple_loss(predicted, target).item()


def test_a_sample_without_any_weight_has_no_error():
    predicted, target = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    weights = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    assert simple_loss(predicted, target, weight_BCHW=weights).item() == 0.5
