"""The first stage without a codebook: its components against NumPy's, its scales, and its decoder."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stages.models.patch_autoencoder import PatchAutoencoder, PatchAutoencoderConfig

SIZES = {"size_px": 32, "patch_px": 8, "components": 6, "width": 8, "blocks": 1}


def patches(count=2000, seed=0):
    """Correlated patches of 3 * 8 * 8 values, and not about zero."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 20)) * np.geomspace(3, 0.05, 20)
    return torch.from_numpy(values @ random.normal(size=(20, 192)) / 20 + 0.2)


def fitted(**settings):
    model = PatchAutoencoder(PatchAutoencoderConfig(**{**SIZES, **settings})).eval().requires_grad_(False)
    model.fit(patches())
    return model


def as_pictures(patches_ND):
    """Patches as pictures of one patch each."""
    return F.pixel_shuffle(patches_ND.float()[:, :, None, None], 8)


@pytest.mark.parametrize("whitening", [0, 0.5, 1])
def test_no_other_components_keep_more(whitening):
    model, data = fitted(whitening=whitening), patches()
    centered = (data - data.mean(dim=0)).numpy()
    _, singular, vt = np.linalg.svd(centered, full_matrices=False)
    made = model.project(model.encode(as_pictures(data)))
    error = (made - as_pictures(data)).double().square().sum().item()
    assert error == pytest.approx((singular[6:] ** 2).sum(), rel=1e-3)
    overlap = np.abs(vt[:6] @ model.components_DK.double().numpy())
    np.testing.assert_allclose(overlap, np.eye(6), atol=1e-4)


def test_all_components_lose_nothing():
    model = PatchAutoencoder(PatchAutoencoderConfig(**{**SIZES, "components": 192})).eval()
    random = torch.Generator().manual_seed(0)
    model.fit(torch.rand(800, 192, generator=random, dtype=torch.float64) * 2 - 1)
    x = torch.rand(2, 3, 32, 32, generator=random) * 2 - 1
    with torch.no_grad():
        assert model.encode(x).shape == (2, 192, 4, 4)
        torch.testing.assert_close(model.project(model.encode(x)), x, atol=1e-4, rtol=0)


def test_latents_come_back_from_the_pictures_they_stand_for():
    model = fitted()
    z = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    pictures = model.project(z)
    assert pictures.shape == (2, 3, 32, 32)
    torch.testing.assert_close(model.encode(pictures), z, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("whitening", [0, 0.5, 1])
def test_latents_have_unit_mean_square(whitening):
    z = fitted(whitening=whitening).encode(as_pictures(patches()))
    assert z.square().mean().item() == pytest.approx(1, abs=0.01)
    spread = z.square().mean(dim=(0, 2, 3)).sqrt()
    ratio = (spread.max() / spread.min()).item()
    assert ratio == pytest.approx(1, abs=0.01) if whitening == 1 else ratio > 1.25
    assert (spread.diff() < 0.01).all()


def test_whitening_is_the_power_by_which_spreads_are_evened_out():
    spreads = [fitted(whitening=w).encode(as_pictures(patches())).square().mean(dim=(0, 2, 3)).sqrt() for w in (0, 0.5)]
    plain, half = (s / s[0] for s in spreads)
    torch.testing.assert_close(half, plain.sqrt(), rtol=0.01, atol=0)


def test_signs_do_not_depend_on_the_order_of_the_patches():
    model, other = fitted(), PatchAutoencoder(PatchAutoencoderConfig(**SIZES))
    other.fit(patches().flip(0))
    torch.testing.assert_close(other.components_DK, model.components_DK, atol=1e-5, rtol=0)
    largest = model.components_DK.gather(0, model.components_DK.abs().argmax(dim=0, keepdim=True))
    assert (largest > 0).all()


def test_an_untrained_decoder_gives_what_the_components_do_and_a_trained_one_mends_it():
    model = fitted()
    z = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.decode(z), model.project(z))
    model.leave.bias.fill_(0.1)
    torch.testing.assert_close(model.decode(z), model.project(z) + 0.1)


def test_components_and_scales_are_saved_with_the_weights():
    model, other = fitted(), PatchAutoencoder(PatchAutoencoderConfig(**SIZES))
    other.load_state_dict(model.state_dict())
    x = as_pictures(patches(3, seed=2))
    torch.testing.assert_close(other.encode(x), model.encode(x))
    assert {"mean_D", "components_DK", "scale_K"} <= model.state_dict().keys()
    assert not {"mean_D", "components_DK", "scale_K"} & dict(model.named_parameters()).keys()
