"""The expression network: what it gives, and what its two ways to coefficients depend on."""

import math

import pytest
import torch

from stages.common.checkpoint import load_expression_network, save_expression_network
from stages.models.expression_network import ExpressionNetwork, ExpressionNetworkConfig


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = ExpressionNetwork(ExpressionNetworkConfig(size_px=32, channels=(4, 4, 8), features=16, hidden=(16, 8)))
    network.fit(torch.randn(40, 478, 3) * 2 + 16, torch.rand(40, 51))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("side_px", [32, 48, 128])
def test_crops_of_any_size_give_points_coefficients_and_confidence(model, side_px):
    measured = model(torch.rand(2, 3, side_px, side_px) * 2 - 1)
    assert measured.points_BP3.shape == (2, 478, 3)
    assert measured.coefficients_BK.shape == (2, 51)
    assert measured.confidence_B.shape == (2,)
    for share in measured[1:]:
        assert ((share >= 0) & (share <= 1)).all()


def test_points_are_in_pixels_of_the_crop_whose_centres_are_whole(model):
    small = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    points, twice = model(small).points_BP3, model(large).points_BP3
    torch.testing.assert_close(twice[..., :2] + 0.5, 2 * (points[..., :2] + 0.5), atol=0.2, rtol=0.02)
    torch.testing.assert_close(twice[..., 2], 2 * points[..., 2], atol=0.2, rtol=0.02)


def test_it_begins_at_the_mean_shape_and_the_mean_coefficients():
    torch.manual_seed(1)
    points, coefficients = torch.randn(30, 478, 3) + 16, torch.rand(30, 51)
    network = ExpressionNetwork(ExpressionNetworkConfig(size_px=32, channels=(4, 4, 8), features=16, hidden=(16, 8)))
    network.fit(points, coefficients)
    torch.testing.assert_close(network.mean_shape, points.mean(dim=0))
    found = network.eval()(torch.zeros(1, 3, 32, 32))
    assert (found.points_BP3[0] - points.mean(dim=0)).abs().max() < 3
    assert (found.coefficients_BK[0] - coefficients.mean(dim=0)).abs().max() < 0.5


def test_what_points_express_does_not_depend_on_size_place_or_rotation(model):
    points = torch.randn(3, 478, 3, generator=torch.Generator().manual_seed(2)) * 4 + 16
    cos, sin = 1.7 * math.cos(0.4), 1.7 * math.sin(0.4)
    moved = points[..., :2] @ torch.tensor([[cos, sin], [-sin, cos]]) + torch.tensor([5.0, -3.0])
    moved = torch.cat([moved, points[..., 2:]], dim=-1)
    expressed = model.coefficients_of_points(points)
    torch.testing.assert_close(model.coefficients_of_points(moved), expressed, atol=1e-4, rtol=1e-4)


def test_what_points_express_depends_on_the_mouth(model):
    points = torch.randn(1, 478, 3, generator=torch.Generator().manual_seed(3)) * 4 + 16
    opened = points.clone()
    opened[:, [17, 84, 314, 14, 87, 317], 1] += 5
    assert (model.coefficients_of_points(opened) - model.coefficients_of_points(points)).abs().max() > 1e-4


def test_faces_do_not_influence_each_other(model):
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    for together, alone in zip(model(x), zip(*(model(x[i : i + 1]) for i in range(4)), strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded_it_measures_the_same(model, tmp_path, half):
    copy = ExpressionNetwork(model.config)
    copy.load_state_dict(model.state_dict())
    save_expression_network(copy.half() if half else copy, tmp_path)
    loaded = load_expression_network(tmp_path)
    assert loaded is not None
    assert not loaded.training
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    for found, expected in zip(loaded(x), model(x), strict=True):
        torch.testing.assert_close(found, expected, atol=0.05 if half else 0, rtol=0)


def test_a_model_without_one_has_none(tmp_path):
    assert load_expression_network(tmp_path) is None


def test_the_default_fits_the_bundle():
    with torch.device("meta"):
        network = ExpressionNetwork(ExpressionNetworkConfig())
    # Half precision, in MiB.
    assert sum(value.numel() for value in network.state_dict().values()) * 2 / 2**20 < 3.9
