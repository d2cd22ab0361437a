"""The perceptual distance: a distance, differentiable, frozen, and independent of the caller's random stream."""

import pytest
import torch
from support.squeezenet import write_squeezenet
from torchvision.models import squeezenet1_1

from stages.common.errors import MissingModelError
from stages.common.perceptual_weights import load_squeezenet_keras
from stages.models.perceptual import LpipsDistance, PerceptualDistance, SqueezeNetFeatures


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {k: v.detach() for k, v in squeezenet1_1(weights=None).features.state_dict().items()}


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_features_see_bgr_in_0_to_255_less_the_mean(state, images):
    reference = squeezenet1_1(weights=None).features.eval()
    reference.load_state_dict(state)
    bgr = (images[:, [2, 1, 0]] + 1) * 127.5 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    (features,) = SqueezeNetFeatures(state, taps=(4,))(images)
    with torch.no_grad():
        torch.testing.assert_close(features, reference[:5](bgr))


def test_equal_images_are_at_distance_zero_and_noise_moves_them_apart(state, images):
    distance = PerceptualDistance(state)
    assert distance(images, images).item() == 0
    near = distance(images, (images + 0.02).clamp(-1, 1))
    far = distance(images, images.flip(0))
    assert 0 < near < far <= 2


def test_distance_is_symmetric_and_a_mean_over_the_batch(state, images):
    distance = PerceptualDistance(state)
    other = images.flip(3)
    torch.testing.assert_close(distance(images, other), distance(other, images))
    singles = torch.stack([distance(images[i : i + 1], other[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(distance(images, other), singles.mean())


def test_gradients_reach_the_images_but_not_the_network(state, images):
    distance = PerceptualDistance(state).train()
    x = images.clone().requires_grad_()
    distance(x, images.flip(0)).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() > 0
    assert not any(p.requires_grad for p in distance.parameters())
    assert not distance.features.layers.training


def test_black_images_have_finite_gradients(state):
    x = torch.full((1, 3, 64, 64), -1.0, requires_grad=True)
    PerceptualDistance(state)(x, torch.full((1, 3, 64, 64), -0.9)).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_building_it_leaves_the_random_stream_alone(state):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    PerceptualDistance(state)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_works_under_autocast_and_channels_last(state, images):
    distance = PerceptualDistance(state)
    expected = distance(images, images.flip(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = distance(images.to(memory_format=torch.channels_last), images.flip(0))
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.05, atol=0.01)


def test_keras_file_maps_every_layer(tmp_path, state):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "squeezenet.h5"
    write_squeezenet(path, state)
    loaded = load_squeezenet_keras(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[k], state[k]) for k in state)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = list(file.attrs["layer_names"])[:-1]
    with pytest.raises(MissingModelError, match="48 of the 50"):
        load_squeezenet_keras(path)


def test_the_distance_of_each_pair_is_what_the_mean_is_of(state, images):
    distance = PerceptualDistance(state)
    other = images.flip(3)
    each = distance.each(images, other)
    assert each.shape == (2,)
    torch.testing.assert_close(each.mean(), distance(images, other))
    torch.testing.assert_close(each[1:], distance.each(images[1:], other[1:]))


def test_other_files_are_refused_as_missing_models(tmp_path):
    with pytest.raises(MissingModelError, match="no SqueezeNet weights"):
        load_squeezenet_keras(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(MissingModelError, match="not a no-top Keras"):
        load_squeezenet_keras(tmp_path / "text.h5")


def test_lpips_without_cached_weights_is_a_lookup_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(LookupError, match=r"torch hub cache|not installed"):
        LpipsDistance("vgg")
    with pytest.raises(LookupError, match="known: vgg, alex"):
        LpipsDistance("resnet")
